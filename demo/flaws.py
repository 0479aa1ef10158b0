"""A known vulnerability turns up in the model's software, and somebody says why it does not matter here."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import sklearn

from demo.story import Story

#: Made up for the demo, and named so that nobody takes it for a real one.
FLAW = "CVE-2099-0001"
_PURL = f"pkg:pypi/scikit-learn@{sklearn.__version__}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_database(folder: Path) -> None:
    """Write a database of one record, in OSV's format: a critical flaw of this scikit-learn."""
    folder.mkdir()
    record = {
        "schema_version": "1.7.5",
        "id": FLAW,
        "modified": _now(),
        "published": _now(),
        "summary": "Made up for the demo: nothing is wrong with scikit-learn",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "scikit-learn"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
                "versions": [sklearn.__version__],
            }
        ],
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    }
    (folder / f"{FLAW}.json").write_text(json.dumps(record))


def write_vex(file: Path, ref: str) -> None:
    """Write an OpenVEX statement: the code with the flaw is never reached by this model."""
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://vex.example/demo-1",
        "author": "Ada Lovelace",
        "timestamp": _now(),
        "version": 1,
        "statements": [
            {
                "vulnerability": {"name": FLAW},
                "products": [{"@id": ref, "subcomponents": [{"@id": _PURL}]}],
                "status": "not_affected",
                "justification": "vulnerable_code_not_in_execute_path",
            }
        ],
    }
    file.write_text(json.dumps(document))


def find_and_answer(story: Story, home: Path, ref: str) -> None:
    """Import the database, see the flaw, answer it."""
    story.step("A critical flaw is published (made up here): it shows at once, without a byte read")
    write_database(home / "osv")
    story.run("vulndb", "import", str(home / "osv"), "--ecosystem", "PyPI", quiet=True)
    story.run("vulns", ref, "--open", exit_code=3, shows=FLAW)
    story.run("impact", FLAW, shows=ref)
    story.say("no rule of class critical_safety is waived by anybody; this one stands in the way:")
    story.run("why-not", ref, "--for", "production", exit_code=3, shows=FLAW)
    story.say("an OpenVEX statement, kept as evidence until it ends, says why it does not matter:")
    write_vex(home / "vex.json", ref)
    story.run("vex", "add", ref, str(home / "vex.json"))
    story.run("vulns", ref)
