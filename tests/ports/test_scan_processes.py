"""Files scanned in processes: what one does to its own costs that file only."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muniment.scan import opinions, plugins, process, reports, worker
from muniment.scan.process import Allowance, Processes, was_stopped
from muniment.scan.reader import BytesReader
from muniment.scan.records import FileReport, Opinion, VerdictClass
from muniment.scan.ruleset import digest_with
from muniment.scan.scanner import scan, scan_with_pickles
from muniment.scan.trees import files_in, scan_tree
from tests.support.gadgets import GADGETS, PLAIN, SYSTEM, zipped

SAMPLES = Path(__file__).parents[1] / "samples" / "models"


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(Allowance(seconds=30)) as made:
        yield made


def rules(report: FileReport) -> set[str]:
    return {one.rule for one in report.findings}


def test_a_process_says_what_the_scanner_says(processes: Processes) -> None:
    for name in ("tiny.safetensors", "xgboost.pkl", "keras-lambda.keras"):
        here = scan(BytesReader((SAMPLES / name).read_bytes()), name)
        there = processes.scan(str(SAMPLES / name), name)
        assert (there.format, there.verdict, there.findings) == (
            here.format,
            here.verdict,
            here.findings,
        )


def test_a_second_opinion_is_asked_about_pickles(processes: Processes, tmp_path: Path) -> None:
    report = processes.scan(str(SAMPLES / "torch-state.pt"), "torch-state.pt")
    assert [(one.tool, one.says) for one in report.opinions] == [("picklescan", "innocuous")]
    bad = tmp_path / "bad.pt"
    bad.write_bytes(zipped({"a/data.pkl": SYSTEM}))
    (opinion,) = processes.scan(str(bad), "bad.pt").opinions
    assert (opinion.says, opinion.detail) == ("dangerous", "os.system")
    assert not processes.scan(str(SAMPLES / "tiny.gguf"), "tiny.gguf").opinions


def test_what_opinions_come_to() -> None:
    fine = scan(BytesReader((SAMPLES / "xgboost.pkl").read_bytes()), "x")
    bad = scan(BytesReader(PLAIN), "x")

    def joined(report: FileReport, says: str) -> FileReport:
        return opinions.joined(report, Opinion("picklescan", "1", says))

    worse = joined(fine, "dangerous")
    assert worse.verdict is VerdictClass.FINDINGS
    assert rules(worse) == {"second-opinion.dangerous"}
    assert joined(fine, "suspicious").verdict is fine.verdict
    assert joined(fine, "failed").verdict is fine.verdict
    assert rules(joined(fine, "failed")) == {"second-opinion.failed"}
    assert rules(joined(bad, "innocuous")) == rules(bad) | {"second-opinion.differs"}
    assert joined(bad, "dangerous").findings == bad.findings


def test_a_long_text_is_not_read_for_the_opinion() -> None:
    class Watched(BytesReader):
        longest = 0

        def read(self, offset: int, length: int) -> bytes:
            self.longest = max(self.longest, length)
            return super().read(offset, length)

    size = 8 << 20
    reader = Watched(b"\x80\x04B" + size.to_bytes(4, "little") + bytes(size) + b".")
    assert opinions.ask([reader]) == Opinion("picklescan", opinions.version() or "", "innocuous")
    assert reader.longest <= 1 << 20


def test_all_gadgets_are_shown_to_both() -> None:
    """Recorded, whatever it says: some that we refuse it does not call dangerous."""
    said = {}
    for name, data in GADGETS.items():
        report, pickles = scan_with_pickles(BytesReader(data), name)
        opinion = opinions.ask(pickles)
        if opinion is not None:
            said[name] = opinions.joined(report, opinion)
    assert len(said) > 100
    assert all(one.verdict is VerdictClass.FINDINGS for one in said.values())


def test_a_process_that_wants_too_much_memory_costs_one_file(tmp_path: Path) -> None:
    with Processes(Allowance(memory_bytes=60 << 20, seconds=20)) as small:
        text = tmp_path / "long.json"
        text.write_bytes(b"[" + b'"aaaaaaaaaaaa",' * 1_000_000 + b"1]")
        report = small.scan(str(text), "long.json")
        assert report.verdict is VerdictClass.UNSCANNABLE
        assert was_stopped(report)
        after = small.scan(str(SAMPLES / "tiny.safetensors"), "tiny.safetensors")
        assert after.verdict is VerdictClass.CLEAN


def test_a_process_that_takes_too_long_costs_one_file(tmp_path: Path) -> None:
    slow = tmp_path / "slow.pkl"
    slow.write_bytes(b"\x80\x04" + b"N0" * 20_000_000 + b"N.")
    with Processes(Allowance(seconds=-3)) as hasty:
        report = hasty.scan(str(slow), "slow.pkl")
        assert was_stopped(report)
        assert "too long" in report.findings[0].what


def test_modules_beside_the_model_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "zlib.py", "muniment.py", "sitecustomize.py"):
        (tmp_path / name).write_text("open('was-here', 'w').close(); raise SystemExit(9)")
    (tmp_path / "m.safetensors").write_bytes((SAMPLES / "tiny.safetensors").read_bytes())
    monkeypatch.chdir(tmp_path)
    report = scan_tree(Path())
    assert not (tmp_path / "was-here").exists()
    assert {one["path"]: one["verdict"] for one in report["files"]}["m.safetensors"] == "clean"


def test_secrets_are_not_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUNIMENT_DATABASE_URL", "secret")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\n")
    (tmp_path / "python").chmod(0o755)
    with Processes(Allowance(seconds=20)) as made:
        assert was_stopped(made.scan(str(SAMPLES / "tiny.gguf"), "x"))
    assert "secret" not in (tmp_path / "seen").read_text()


def test_an_answer_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\nread x\necho '{\"report\": {}}'\nsleep 5\n")
    (tmp_path / "python").chmod(0o755)
    with Processes(Allowance(seconds=20)) as made:
        assert was_stopped(made.scan(str(SAMPLES / "tiny.gguf"), "x"))


# -- plugins --


class Plugged:
    version = "1"

    def scan(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        print("this is no answer")
        if name.startswith("bad"):
            yield {"rule": "x", "severity": "high", "what": Path(path).read_text()}
        if name.startswith("dies"):
            os._exit(3)


SCANNER = Plugged()


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A scanner installed as any distribution would install it."""
    info = tmp_path / "house-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[muniment.scanners]\nhouse = house_scanner:SCANNER\n")
    (tmp_path / "house_scanner.py").write_text(Path(__file__).read_text())
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()


def test_a_plugin_adds_its_findings(plugged: None, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("hello")
    assert plugins.installed() == (("house", "1.5"),)
    with Processes(Allowance(seconds=60)) as made:
        assert made.scan(str(file), "good.txt").verdict is VerdictClass.CLEAN
        report = made.scan(str(file), "bad.txt")
        assert (report.verdict, rules(report)) == (VerdictClass.FINDINGS, {"house:x"})
        assert report.findings[0].what == "hello"
        died = made.scan(str(file), "dies.txt")
        assert died.verdict is VerdictClass.UNSCANNABLE
        assert "scanner `house`" in died.findings[0].what
        assert made.scan(str(file), "good.txt").verdict is VerdictClass.CLEAN
    assert process.ruleset_digest() != digest_with(process.others()[:-1])


def test_a_plugin_that_is_not_there() -> None:
    with pytest.raises(LookupError):
        plugins.load("nobody's")


def test_the_worker_answers_line_by_line() -> None:
    asked = io.StringIO(json.dumps({"path": str(SAMPLES / "xgboost.pkl"), "name": "x"}) + "\n")
    out = io.StringIO()
    worker.serve(worker.scan_one, asked, out)
    first, second, end = map(json.loads, out.getvalue().splitlines())
    assert reports.report_from(first["report"]).opinions == ()
    assert reports.report_from(second["report"]).opinions[0].tool == "picklescan"
    assert end == {"end": True}
    telling = worker.scan_one({"path": str(SAMPLES / "keras-lambda.h5"), "name": "x"})
    report = next(telling)["report"]
    assert reports.report_json(reports.report_from(report)) == report


# -- trees --


def test_a_tree_is_scanned_whole(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("hello")
    (tmp_path / "b.pkl").write_bytes(PLAIN)
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to(tmp_path / "sub")
    told: list[tuple[str, int]] = []
    report = scan_tree(tmp_path, progress=lambda name, size: told.append((name, size)))
    assert [(one["path"], one["verdict"]) for one in report["files"]] == [
        ("b.pkl", "findings"),
        ("folder", "findings"),
        ("link", "findings"),
        ("sub/a.txt", "clean"),
    ]
    assert report["verdict"] == "findings"
    assert ("sub/a.txt", 5) in told
    assert report["format"] == reports.FORMAT
    assert report["ruleset"]["digest"] == process.ruleset_digest()


def test_one_file_is_a_tree(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("hello")
    assert files_in(file) == [("a.txt", file)]
    assert scan_tree(file)["verdict"] == "clean"
    with pytest.raises(FileNotFoundError):
        scan_tree(tmp_path / "nothing")
