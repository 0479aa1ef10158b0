"""Provenance, model signatures and gate plans as files: read as they are, refused where they are not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.statement import model_signing_statement, sign_bundle, statement
from muniment.server.evidence.plugins import PARSERS, add_parser, formats, parse, version_of
from muniment.server.evidence.plugins.formats import MISREAD, read_with
from muniment.server.evidence.records import EvidenceKind, Metric, Parsed, Run, Unreadable
from muniment.server.evidence.rules.reading import Document, read
from tests.support.keys import MemoryKeys

KEYS = MemoryKeys()
MODEL = digest_of(b"model")
SLSA = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {},
        "resolvedDependencies": [
            {"uri": "git+https://git.example/fraud@refs/heads/main", "digest": {"gitCommit": "a" * 40}},
            {"uri": "no digest"},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://github.com/actions/runner/github-hosted"},
        "metadata": {"invocationId": "https://ci.example/7", "startedOn": "2026-01-01T00:00:00Z",
                     "finishedOn": "2026-01-01T01:00:00Z"},
    },
}  # fmt: skip


def provenance(predicate: Any = SLSA, subject: Digest = MODEL) -> dict[str, Any]:
    return statement([("model", subject)], "https://slsa.dev/provenance/v1", predicate)


def bundled(said: Any) -> Any:
    return sign_bundle(said, KEYS.record.sign, KEYS.record.public_key_der)[0]


def parsed(value: Any, **more: Any) -> Parsed:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = parse(data, "a.json", **more)
    assert isinstance(found, Parsed), found
    return found


def refused(value: Any) -> dict[str, Any]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = parse(data, "a.json")
    assert isinstance(found, Unreadable), found
    return dict(found.problems[0])


@pytest.mark.parametrize("form", ["bundle", "envelope", "bare"])
def test_provenance_is_read_in_every_wrapping(form: str) -> None:
    bundle = bundled(provenance())
    value = {"bundle": bundle, "envelope": bundle["dsseEnvelope"], "bare": provenance()}[form]
    found = parsed(value)
    assert (found.kind, found.format) == (EvidenceKind.PROVENANCE, "slsa-provenance")
    assert found.subjects == (MODEL,)
    assert found.run.commit == "a" * 40
    assert found.run.tool_name == "https://github.com/actions/runner/github-hosted"
    assert found.details["signed"] is (form != "bare")
    assert {flag.value for flag in found.flags} == (set() if form != "bare" else {"unsigned"})
    assert len(found.details["materials"]) == 1


def test_a_model_signature_is_of_the_files_it_lists() -> None:
    files = {"a.bin": MODEL.hex, "b.bin": digest_of(b"b").hex}
    found = parsed(bundled(model_signing_statement("fraud", files)))
    assert (found.kind, found.details["files"]) == (EvidenceKind.SIGNATURE, 2)
    assert {MODEL, digest_of(b"b")} < set(found.subjects)


def test_an_envelope_of_something_else_is_no_provenance() -> None:
    nothing = provenance()
    nothing["subject"] = [{"name": "x", "digest": {"sha512": "a"}}]
    assert refused(bundled(nothing))["field"] == "a.json /subject"
    envelope = bundled(provenance())["dsseEnvelope"]
    for change in (
        {"payload": "???"}, {"payloadType": "text/plain"}, {"signatures": 1},
        {"payload": base64.b64encode(b"{").decode()}, {"payload": base64.b64encode(b'{"a": NaN}').decode()},
        {"payload": base64.b64encode(canonical(statement([("m", MODEL)], "https://x.example/v1", {}))).decode()},
    ):  # fmt: skip
        assert "a format nobody knows" in refused(envelope | change)["message"]


@pytest.mark.parametrize(
    ("predicate", "ended"),
    [
        ({}, None),
        ({"runDetails": []}, None),
        ({"buildDefinition": {"resolvedDependencies": 1}}, None),
    ],
)
def test_provenance_that_says_little_is_read_as_little(predicate: Any, ended: None) -> None:
    found = parsed(provenance(predicate))
    assert (found.run.ended, found.run.tool_name) == (ended, None)


def test_gate_plans_and_records_are_checked() -> None:
    check = {"metric": "accuracy", "direction": "higher", "threshold": 0.9}
    gate = {"gate": "performance", "checks": [check]}
    plan: dict[str, Any] = {"schema": "muniment/gate-plan/v1", "gates": [gate]}
    assert parsed(plan).details == plan
    twice = plan | {"gates": [gate, gate]}
    assert "once" in refused(twice)["message"]
    assert (
        refused(plan | {"gates": [{"gate": "taste", "checks": [check]}]})["field"]
        == "a.json /gates/0/gate"
    )
    assert "gate, order" in refused({"schema": "muniment/gate/v1"})["message"]
    record = {
        "schema": "muniment/gate/v1", "gate": "fairness", "order": 2, "result": "failed", "blocking": True,
        "checks": [{"metric": "x", "result": "failed"}, {"metric": "y", "result": "passed"}], "evidence": [],
        "policy": "sha256:x", "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:01Z",
    }  # fmt: skip
    found = parsed(record)
    assert (found.details["checks"], [one["metric"] for one in found.details["failed"]]) == (
        2,
        ["x"],
    )
    assert "a result" in refused(record | {"result": "maybe"})["message"]


# --- parsers of other slices ---------------------------------------------------------------------------


class Careless:
    """A parser as nobody should write one."""

    name = "careless"
    version = "3"
    kind = EvidenceKind.SCAN
    takes_nonfinite = False
    found: Parsed | None = None

    def recognises(self, document: Document) -> bool:
        return isinstance(document.value, dict) and "careless" in document.value

    def parse(self, document: Document) -> Parsed | Unreadable:
        if self.found is None:
            raise TypeError(document.name)
        return self.found


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Careless:
    monkeypatch.setattr(formats, "PARSERS", list(PARSERS))
    parser = Careless()
    formats.add_parser(parser)
    formats.add_parser(parser)
    return parser


def test_a_parser_of_another_slice_is_asked_first_and_once(careless: Careless) -> None:
    assert [one.name for one in formats.PARSERS].count("careless") == 1
    assert version_of("careless") == "3"
    assert (version_of("unknown"), version_of("forgotten")) == ("1", "gone")
    careless.found = Parsed(kind=EvidenceKind.SCAN, format="careless", format_version="3")
    assert parsed({"careless": 1}).format == "careless"


def test_the_mistake_of_a_parser_is_a_refusal(careless: Careless) -> None:
    assert MISREAD in refused({"careless": 1})["message"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metrics": (Metric(metric="a", value=float("inf")),)}, "a finite number"),
        ({"metrics": (Metric(metric="a", value=1.0, ci=(0.0, float("nan"))),)}, "a finite number"),
        ({"metrics": (Metric(metric="a", value=1.0),) * 10_001}, "at most 10000 metrics"),
        ({"details": {"a": "x" * (5 << 20)}}, "at most 4194304 bytes"),
        ({"details": {"a": object()}}, "expected a JSON value"),
        ({"run": Run(n=2**60)}, "an integer within"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    careless: Careless, more: dict[str, Any], message: str
) -> None:
    careless.found = Parsed(kind=EvidenceKind.SCAN, format="careless", format_version="3", **more)
    document = read(b'{"careless": 1}', "a.json")
    assert isinstance(document, Document)
    found = read_with(careless, document)
    assert isinstance(found, Unreadable)
    assert message in found.problems[0]["message"]


def test_the_list_of_parsers_is_the_same_everywhere() -> None:
    assert formats.PARSERS is PARSERS
    assert add_parser is formats.add_parser
