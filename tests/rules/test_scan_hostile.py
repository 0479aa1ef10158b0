"""Every pickle that runs something is refused, in whatever it hides."""

from __future__ import annotations

import pytest

from muniment.scan.reader import BytesReader
from muniment.scan.records import FileReport, Severity, VerdictClass
from muniment.scan.scanner import scan
from tests.support.gadgets import GADGETS, HIDDEN, PLAIN, SYSTEM

SEVERE = {Severity.CRITICAL, Severity.HIGH}


def told(data: bytes, name: str = "model.bin") -> FileReport:
    return scan(BytesReader(data), name)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(GADGETS) >= 40
    assert len(set(GADGETS.values())) == len(GADGETS)


@pytest.mark.parametrize("name", GADGETS)
def test_a_pickle_that_runs_something_is_refused(name: str) -> None:
    report = told(GADGETS[name])
    assert report.verdict is VerdictClass.FINDINGS, report
    assert report.executable
    assert any(one.severity in SEVERE for one in report.findings), report.findings


@pytest.mark.parametrize("name", HIDDEN)
def test_a_file_that_hides_such_a_pickle_is_refused(name: str) -> None:
    report = told(HIDDEN[name])
    assert report.verdict is VerdictClass.FINDINGS, report
    assert any(one.severity in SEVERE for one in report.findings), report.findings


@pytest.mark.parametrize("ending", ["safetensors", "json", "onnx", "txt", "npy", ""])
def test_a_name_does_not_help(ending: str) -> None:
    assert told(SYSTEM, f"model.{ending}").verdict is VerdictClass.FINDINGS
    assert told(PLAIN, f"model.{ending}").verdict is VerdictClass.FINDINGS


@pytest.mark.parametrize(
    "name", [one for one in GADGETS if not one.startswith(("second", "third"))]
)
def test_no_beginning_of_one_is_called_harmless(name: str) -> None:
    """Cut anywhere: whatever is left is refused, unscannable, or a text that nobody runs."""
    data = GADGETS[name]
    for length in range(3, len(data), 7):
        report = told(data[:length])
        if report.verdict in {VerdictClass.CLEAN, VerdictClass.EXECUTABLE_ALLOW_LISTED}:
            assert report.format in {"text", "json", "xml"}, (length, report)


def test_what_is_said_helps() -> None:
    first = told(SYSTEM).findings[0]
    assert first.rule == "pickle.runs-code"
    assert "os.system" in first.what
    assert first.place.offset == SYSTEM.index(b"\x93") + 1
    assert first.why
    assert first.remedy
