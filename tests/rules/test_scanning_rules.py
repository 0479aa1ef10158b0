"""What follows from scans: hints, verdicts, reports, what the log says, what evidence reads."""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from typing import Any

import pytest

from muniment.core.digest import Digest, digest_of
from muniment.scan.records import FileReport, Finding, Place, Severity, VerdictClass
from muniment.scan.reports import report_from
from muniment.server.artifacts.records import File
from muniment.server.evidence.plugins import parse
from muniment.server.evidence.records import EvidenceKind, Flag, Parsed, Unreadable
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.scanning.plugins.reports import PARSER
from muniment.server.scanning.records import Result, Scan
from muniment.server.scanning.rules import folding, results

AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RULESET = Digest(b"\x01" * 32)
CLEAN = FileReport("text", False, VerdictClass.CLEAN)


def finding(rule: str, severity: Severity) -> Finding:
    return Finding(rule, severity, Place("a.zip!/b", 7), "what", "why", "remedy")


BAD = FileReport(
    "pickle",
    True,
    VerdictClass.FINDINGS,
    (finding("pickle.runs-code", Severity.CRITICAL), finding("jinja.template", Severity.INFO)),
)
STOPPED = FileReport(
    "unknown",
    True,
    VerdictClass.UNSCANNABLE,
    (finding("unscannable.stopped", Severity.MEDIUM),),
)


def result(path: str, report: FileReport, *, reused: bool = False) -> Result:
    file = File(path, len(path), digest_of(path.encode()))
    return Result(results.targets([file])[0], report, reused)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("model.pkl", ""),
        ("deep/model.safetensors", ""),
        ("deep/Run.PY", "run.py"),
        ("x.py.gz", "x.py.gz"),
        ("t.jinja", "t.jinja"),
        ("chat_template.txt", "chat_template.txt"),
    ],
)
def test_only_names_that_matter_are_hints(path: str, hint: str) -> None:
    assert results.hint_of(path, [path, "other"]) == hint


def test_of_onnx_the_other_files_matter() -> None:
    hint = results.hint_of("a/m.onnx", ["a/m.onnx", "a/w.bin"])
    assert hint.startswith("onnx ")
    assert hint == results.hint_of("a/n.ONNX", ["a/m.onnx", "a/w.bin"])
    assert hint != results.hint_of("b/m.onnx", ["a/m.onnx", "a/w.bin"])
    assert hint != results.hint_of("a/m.onnx", ["a/m.onnx"])


def test_the_worst_file_is_the_version_s_verdict() -> None:
    assert results.verdict([]) is VerdictClass.CLEAN
    assert results.verdict([result("a", CLEAN), result("b", STOPPED)]) is VerdictClass.UNSCANNABLE
    assert results.verdict([result("b", BAD), result("a", STOPPED)]) is VerdictClass.FINDINGS
    assert results.severities([result("a", BAD), result("b", STOPPED)]) == {
        "critical": 1,
        "medium": 1,
        "info": 1,
    }
    assert results.was_stopped(STOPPED)
    assert not results.was_stopped(BAD)


def test_a_result_is_read_as_it_was_written() -> None:
    assert report_from(json.loads(results.result_bytes(BAD))) == BAD


def whole(*found: Result) -> dict[str, Any]:
    return results.report(
        found,
        subject="thing@1.0.0",
        manifest=RULESET,
        tool=("muniment-scan", "1"),
        ruleset=("builtin", RULESET),
        others=[("picklescan", "1.0.5")],
        times=(AT, AT + dt.timedelta(seconds=1)),
    )


REPORT = whole(result("a.pkl", BAD), result("b.txt", CLEAN, reused=True))


def parsed(told: Any) -> Parsed | Unreadable:
    import muniment.server.scanning  # noqa: F401, PLC0415 -- the slice adds its parser

    return parse(json.dumps(told).encode(), "scan.json")


def test_evidence_reads_a_report() -> None:
    found = parsed(REPORT)
    assert isinstance(found, Parsed)
    assert (found.kind, found.format) == (EvidenceKind.SCAN, PARSER.name)
    assert found.run.tool_name == "muniment-scan"
    assert found.run.ended == AT + dt.timedelta(seconds=1)
    assert found.run.config_digest == str(RULESET)
    assert found.subjects == (RULESET,)
    assert not found.flags
    assert found.details == {
        "verdict": "findings",
        "executable": True,
        "files": 2,
        "ruleset": "builtin",
        "severities": {"critical": 1, "info": 1},
        "rules": {"jinja.template": 1, "pickle.runs-code": 1},
        "formats": ["pickle", "text"],
        "opinions": {},
    }


def test_a_report_of_a_disk_names_no_subject() -> None:
    told = {key: value for key, value in REPORT.items() if key != "manifest_sha256"}
    found = parsed(told)
    assert isinstance(found, Parsed)
    assert found.subjects == ()


def test_a_report_that_was_made_better_is_flagged() -> None:
    found = parsed({**REPORT, "verdict": "clean"})
    assert isinstance(found, Parsed)
    assert found.flags == {Flag.EDITED}
    assert found.details["verdict"] == "findings"


@pytest.mark.parametrize(
    "broken",
    [
        {"files": 5},
        {"files": [{"verdict": "clean"}]},
        {"files": [5]},
        {"verdict": "fine"},
        {"started": "yesterday"},
        {"started": "2026-01-02T03:04:05"},
        {"ended": None},
        {"tool": []},
        {"ruleset": {"id": "x", "digest": "short"}},
        {"manifest_sha256": "short"},
    ],
)
def test_a_report_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    found = parsed({**copy.deepcopy(REPORT), **broken})
    assert isinstance(found, Unreadable)
    assert "muniment scan --json" in found.problems[0]["message"]


# -- the log --


def scan() -> Scan:
    return Scan(
        id=uuid.UUID(int=1),
        version_id=uuid.UUID(int=2),
        version_name="thing@1.0.0",
        ruleset_id="builtin",
        ruleset=RULESET,
        tool_name="muniment-scan",
        tool_version="1",
        verdict=VerdictClass.CLEAN,
        executable=False,
        file_count=1,
        reused_count=0,
        stopped_count=0,
        severities={},
        started_at=AT,
        ended_at=AT,
        report_digest=RULESET,
        report_bytes=9,
        evidence_id=uuid.UUID(int=3),
        recorded_at=AT,
        actor=Actor("system", "scanner"),
        entry_id=uuid.UUID(int=4),
    )


def entry(act: str, payload: Any) -> Recorded:
    subject = Subject("scan", str(uuid.UUID(int=1)), "thing@1.0.0", uuid.UUID(int=5))
    return Recorded(uuid.UUID(int=4), AT, act, Actor("system", "scanner"), subject, payload, 0)


def test_the_tables_follow_from_the_log() -> None:
    rows: dict[Any, Any] = {}
    folding.fold_scan(rows, entry("scan.record", folding.payload(scan())))
    assert rows[str(uuid.UUID(int=1))]["verdict"] == "clean"
    assert rows[str(uuid.UUID(int=1))]["entry_id"] == str(uuid.UUID(int=4))
    kept = [result(f"f{number}", CLEAN) for number in range(folding.FILES_AT_ONCE + 1)]
    payloads = folding.files_payloads(RULESET, kept)
    assert [len(one["files"]) for one in payloads] == [folding.FILES_AT_ONCE, 1]
    files: dict[Any, Any] = {}
    for payload in payloads:
        folding.fold_file_scan(files, entry("scan.files", payload))
    assert len(files) == len(kept)
    key = folding.file_key(digest_of(b"f0").hex, RULESET.hex, "")
    assert files[key]["result_sha256"] == digest_of(results.result_bytes(CLEAN)).hex


def test_other_acts_and_erased_ones_change_nothing() -> None:
    rows: dict[Any, Any] = {}
    for act in ("scan.record", "scan.files"):
        folding.fold_scan(rows, entry(act, None))
        folding.fold_file_scan(rows, entry(act, None))
    folding.fold_scan(rows, entry("scan.files", {}))
    folding.fold_file_scan(rows, entry("scan.record", {}))
    assert not rows


def test_a_report_made_on_a_disk_is_evidence_too(tmp_path: Any) -> None:
    from muniment.scan.trees import scan_tree  # noqa: PLC0415 -- starts processes

    (tmp_path / "a.txt").write_text("hello")
    found = parsed(scan_tree(tmp_path))
    assert isinstance(found, Parsed)
    assert found.details["verdict"] == "clean"
