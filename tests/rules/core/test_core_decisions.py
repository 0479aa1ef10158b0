"""A decision checked by a stranger: it holds as it was made, and not with anything changed."""

from __future__ import annotations

import copy
import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from muniment.core.approvals import Said, approval_statement, frozen_sha256, sign
from muniment.core.canon import to_base64
from muniment.core.checkpoint import LogKey
from muniment.core.composite import SCHEMA, cvi, parse_cvi
from muniment.core.decisions import SUMMARY_TYPE, CheckedDecision, check_decision, log_key_of
from muniment.core.digest import Digest
from muniment.core.entry import (
    payload_bytes,
    read_record_statement,
    record_statement,
    record_statement_bytes,
)
from muniment.core.errors import BadProof
from muniment.core.statement import public_key_pem, trusted_root
from tests.support.receipts import AT, SALT, MemoryLog, a_log, an_envelope
from tests.support.signing import der_of, p256, pem_of, signed_by

LOG = a_log()
RECORD = LOG.keys.record
MANIFEST = Digest(bytes(32))
REQUEST = uuid.UUID(int=2)
ASKER, ADA, BOB = (str(uuid.UUID(int=number)) for number in (10, 11, 12))
FROZEN: dict[str, Any] = {
    "version": {"ref": "fraud@1.0.0", "manifest_sha256": MANIFEST.hex},
    "environment": "production",
    "requester": ASKER,
    "policy_sha256": "1" * 64,
    "evidence": [],
}


def approval(  # noqa: PLR0917 -- what it says
    person: str,
    role: str,
    number: int | None,
    decision: str = "approve",
    frozen: Any = FROZEN,
    step: str | None = None,
    sign_off: str | None = None,
) -> dict[str, Any]:
    """What a decision carries of an approval; `number` None: the registry signed."""
    said = Said(
        registry="registry.example", person=uuid.UUID(person), role=role, at=AT, nonce="ab" * 16,
        signed_by="registry" if number is None else "key", request_id=REQUEST, decision=decision,
        review_step=step, sign_off=sign_off,
    )  # fmt: skip
    statement = approval_statement(frozen, said)
    if number is None:
        bundle = sign(statement, RECORD.sign, RECORD.public_key_der)
        pem = public_key_pem(RECORD.public_key_der)
    else:
        key = p256(number)
        bundle = sign(statement, lambda message: signed_by(key, message), der_of(key))
        pem = pem_of(key)
    return {
        "id": str(uuid.uuid4()), "person_id": person, "role": role, "decision": decision,
        "signed_by": said.signed_by, "public_key": pem, "bundle": bundle, "sign_off": sign_off,
        "review_step": step,
    }  # fmt: skip


def payload_of(
    act: str = "decision.approve", frozen: Any = FROZEN, **decision: Any
) -> dict[str, Any]:
    approves = act == "decision.approve"
    said = [
        approval(ADA, "security", 1, frozen=frozen),
        approval(BOB, "platform", None, frozen=frozen),
    ]
    if not approves:
        said = [approval(ADA, "security", 1, "reject")]
    return {
        "decision": {
            **decision,
            "request_id": str(REQUEST),
            "frozen_sha256": frozen_sha256(frozen).hex,
            "expires_at": "2026-07-19T09:00:00.000000Z" if approves else None,
        },
        "frozen": frozen,
        "approvals": said,
        "predicate": {
            "verifier": {"id": "https://registry.example"},
            "policy": {"digest": {"sha256": "1" * 64}},
            "verificationResult": "PASSED" if approves else "FAILED",
        },
    }


def exported(
    payload: dict[str, Any], act: str = "decision.approve", kind: str = SUMMARY_TYPE, **more: Any
) -> dict[str, Any]:
    """The bundle of a decision with its place in a log."""
    data = payload_bytes(payload, SALT)
    fields = an_envelope(data, act=act, digests=more.pop("digests", [MANIFEST]))
    receipt = LOG.add_statement(record_statement(fields, data, kind))
    return receipt.sigstore_bundle(LOG.trusted)


def check(bundle: Any, at: dt.datetime = AT, log: Any = LOG.log_key) -> CheckedDecision:
    return check_decision(bundle, RECORD.public_key_der, log, at)


def failing(found: CheckedDecision) -> list[int]:
    return [step.number for step in found.steps if step.holds is False]


def test_a_decision_holds_as_it_was_made() -> None:
    found = check(exported(payload_of()))
    assert (found.ok, found.approves) == (True, True), found.steps
    said = {step.what: step.detail for step in found.steps}
    assert "security approve (own key)" in said["approvals"]
    assert "platform approve (signed by the registry on a session)" in said["approvals"]
    assert found.payload["decision"]["request_id"] == str(REQUEST)
    rejected = check(exported(payload_of("decision.reject"), "decision.reject"))
    assert (rejected.ok, rejected.approves) == (True, False), rejected.steps


def test_without_the_logs_key_its_place_is_not_looked_at() -> None:
    found = check(exported(payload_of()), log=None)
    assert found.ok
    assert [step.holds for step in found.steps][:2] == [True, None]


def test_what_does_not_apply_and_the_authors_own_review_are_no_approvals() -> None:
    asker = FROZEN["requester"]
    payload = payload_of()
    beside = [
        approval(ADA, "security", 1, "not_applicable", step="legal"),
        approval(asker, "author", 3, step="self-review"),
    ]
    payload["approvals"] += beside
    assert check(exported(payload)).ok
    payload["approvals"] = beside
    assert failing(check(exported(payload))) == [5]
    payload["approvals"] = [
        *payload_of()["approvals"],
        approval(asker, "technical", 3, step="peer"),
    ]
    assert failing(check(exported(payload))) == [5]


def test_what_was_signed_off_and_which_step_was_done_is_said_and_checked() -> None:
    payload = payload_of()
    signed = approval(ADA, "security", 1, step="final", sign_off="production-approved")
    payload["approvals"][0] = signed
    found = check(exported(payload))
    said = {step.what: step.detail for step in found.steps}
    assert "security approve, production-approved, final (own key)" in said["approvals"]
    for name in ("sign_off", "review_step"):
        payload["approvals"][0] = {**signed, name: None}
        assert failing(check(exported(payload))) == [5]


def test_it_runs_out() -> None:
    assert failing(check(exported(payload_of()), AT + dt.timedelta(days=90))) == [6]


def test_another_key_another_entry_and_another_log_are_refused() -> None:
    bundle = exported(payload_of())
    assert failing(check_decision(bundle, der_of(p256(5)), LOG.log_key, AT)) == [1]
    assert failing(check(exported(payload_of(), kind="https://x.example/v1"))) == [1]
    assert failing(check(exported(payload_of(), "version.register"))) == [1]
    assert failing(check({})) == [1]
    other = LogKey("other.example", a_log().log_key.public)
    assert failing(check(bundle, log=other)) == [2]


Change = Callable[[dict[str, Any]], Any]


def at(*path: Any, value: Any) -> Change:
    def change(found: dict[str, Any]) -> None:
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (at("predicate", "verificationResult", value="FAILED"), 3),
        (at("predicate", "policy", "digest", "sha256", value="2" * 64), 3),
        (at("predicate", "verifier", value=None), 3),
        (at("frozen", "requester", value=BOB), 4),
        (at("approvals", value=[]), 5),
        (at("approvals", value=[approval(ADA, "security", 1)] * 2), 5),
        (at("approvals", value=[approval(ASKER, "security", 1)]), 5),
        (at("approvals", value=[approval(ADA, "security", 1, "defer")]), 5),
        (at("approvals", 0, "public_key", value=pem_of(p256(9))), 5),
        (at("approvals", 0, "public_key", value="no key"), 5),
        (at("approvals", 0, "signed_by", value="registry"), 5),
        (at("approvals", 0, "role", value="legal"), 5),
        (at("approvals", 0, value=approval(ADA, "security", 1, frozen={**FROZEN, "environment": "staging"})), 5),
        (at("approvals", 0, value={}), 5),
        (at("approvals", value=7), 5),
        (at("decision", "request_id", value=str(uuid.UUID(int=3))), 5),
        (at("decision", "expires_at", value="soon"), 6),
    ],
)  # fmt: skip
def test_what_contradicts_itself_does_not_hold(change: Change, step: int) -> None:
    payload = copy.deepcopy(payload_of())
    change(payload)
    assert step in failing(check(exported(payload)))


def test_it_is_of_the_files_it_names() -> None:
    assert failing(check(exported(payload_of(), digests=[Digest(bytes([1] * 32))]))) == [4]


# --- of composites -------------------------------------------------------------------------------

COMPONENTS: list[dict[str, Any]] = [
    *(
        {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
        for kind in ("code", "data", "adapter", "config", "env")
    ),
    {"kind": "model", "name": "fraud", "digest": {"sha256": "a" * 64}},
    {"kind": "prompt", "name": "words", "digest": {"sha256": "b" * 64}},
]
WHOLE = {"schema": SCHEMA, "system": "shop", "components": COMPONENTS}
CVI = cvi(WHOLE)


def whole(**more: Any) -> dict[str, Any]:
    """What is frozen of a composite."""
    rest = {name: value for name, value in FROZEN.items() if name != "version"}
    members = [
        {"ref": f"{one['name']}@1.0.0", "manifest_sha256": one["digest"]["sha256"]}
        for one in COMPONENTS[5:]
    ]
    made = {"cvi": CVI, "registered_by": "carl"}
    return {**rest, "composite": made, "manifest": WHOLE, "members": members, **more}


ROOT = Digest(parse_cvi(CVI))
PARTS = [Digest(bytes.fromhex(one * 64)) for one in "ab"]


def test_a_decision_on_a_composite_is_of_its_root_and_of_every_member() -> None:
    found = check(exported(payload_of(frozen=whole(), composite=CVI), digests=[ROOT, *PARTS]))
    assert (found.ok, found.approves) == (True, True), found.steps
    assert f"{CVI} (fraud@1.0.0, words@1.0.0) for production" in found.steps[3].detail


@pytest.mark.parametrize(
    ("frozen", "identifier", "digests", "steps"),
    [
        (whole(), CVI, [ROOT], [4]),
        (whole(), CVI, [ROOT, *PARTS[::-1]], [4]),
        (whole(), None, [ROOT, *PARTS], [4]),
        (FROZEN, CVI, [MANIFEST], [4]),
        (whole(manifest={**WHOLE, "system": "other"}), CVI, [ROOT, *PARTS], [4]),
        (whole(), "cvi1-" + "a" * 52, [ROOT, *PARTS], [4]),
        (whole(members=[]), CVI, [ROOT], [4]),
        (whole(members=[{"ref": "x@1.0.0", "manifest_sha256": "c" * 64}]), CVI, [ROOT, Digest(bytes.fromhex("c" * 64))], [4]),
        (whole(composite={"cvi": CVI, "registered_by": ADA}), CVI, [ROOT, *PARTS], [5]),
    ],
)  # fmt: skip
def test_a_decision_on_another_composite_does_not_hold(
    frozen: Any, identifier: str | None, digests: list[Digest], steps: list[int]
) -> None:
    payload = payload_of(frozen=frozen, composite=identifier)
    assert failing(check(exported(payload, digests=digests))) == steps


@pytest.mark.parametrize(
    "change",
    [
        at("verificationMaterial", "tlogEntries", value=[]),
        at("verificationMaterial", "tlogEntries", 0, "canonicalizedBody", value=to_base64(b"x")),
        at("verificationMaterial", "tlogEntries", 0, "inclusionProof", "treeSize", value="1"),
        at("verificationMaterial", "tlogEntries", 0, "inclusionProof", "logIndex", value="0"),
        at("verificationMaterial", "tlogEntries", 0, "inclusionProof", value=None),
    ],
)
def test_its_place_in_the_log_is_proved(change: Change) -> None:
    bundle = copy.deepcopy(exported(payload_of()))
    change(bundle)
    assert failing(check(bundle)) == [2]


def test_the_logs_key_is_in_its_trusted_root() -> None:
    root = trusted_root(LOG.log_key, AT)
    assert log_key_of(root) == LOG.log_key
    record = to_base64(RECORD.public_key_der)
    for change in (
        at("tlogs", value=[]),
        at("tlogs", 0, value="log"),
        at("tlogs", 0, "publicKey", value=None),
        at("tlogs", 0, "publicKey", "rawBytes", value=record),
    ):
        broken = copy.deepcopy(root)
        change(broken)
        with pytest.raises(BadProof):
            log_key_of(broken)


# --- entries whose predicate is of somebody else's type ------------------------------------------


def test_members_of_a_predicate_stand_in_it_and_in_the_payload() -> None:
    payload = payload_of()
    data = payload_bytes(payload, SALT)
    fields = an_envelope(data, act="decision.approve", digests=[MANIFEST])
    statement = record_statement(fields, data, SUMMARY_TYPE)
    assert statement["predicate"]["verificationResult"] == "PASSED"
    assert read_record_statement(statement) == (fields, data)
    statement["predicate"]["verificationResult"] = "FAILED"
    with pytest.raises(BadProof):
        read_record_statement(statement)


@pytest.mark.parametrize("members", ["text", {"act": "x"}, {"payload": 1}])
def test_members_of_a_predicate_are_never_the_entrys_own(members: Any) -> None:
    data = payload_bytes({"predicate": members}, SALT)
    fields = an_envelope(data, act="decision.approve")
    with pytest.raises(BadProof, match="none of an entry's"):
        record_statement(fields, data, SUMMARY_TYPE)
    with pytest.raises(BadProof, match="none of an entry's"):
        record_statement_bytes(fields, data, SUMMARY_TYPE, SALT, members)
    whole = {
        "predicateType": SUMMARY_TYPE,
        "predicate": {**fields, "payload": {"predicate": members, "salt": SALT}},
    }
    with pytest.raises(BadProof):
        read_record_statement(whole)


_ = MemoryLog
