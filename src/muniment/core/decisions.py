"""Check a decision without the registry: one file, and the keys one trusts.

The file is the Sigstore bundle of the decision's entry. Steps, in order:

1. the record key signed the statement, and it is an entry of the log that decides;
2. that entry is in the log: its leaf leads to the root of a checkpoint that the log's key signed;
3. as a verification summary it says what the entry decides;
4. what was frozen has the digest that was decided on, and is of the files the statement is about; of
   a composite, its manifest leads to its CVI and its members are components of it;
5. every approval in it is signed, by the key beside it, over just that; those of an approved request
   by different people, none of them who asked, nor who registered the composite;
6. it has not run out.

Whose the keys in step 5 are, the registry says. Source: trust.md §2; SLSA VSA v1; DSSE v1.0.2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from muniment.core.approvals import (
    AUTHOR,
    KEY,
    NOT_APPLICABLE,
    approval_statement,
    frozen_sha256,
    read_said,
    read_statement,
    verified,
)
from muniment.core.canon import canonical, from_base64
from muniment.core.checkpoint import LogKey, open_checkpoint
from muniment.core.composite import cvi, parse_cvi
from muniment.core.entry import read_record_statement
from muniment.core.envelope import read_public_key
from muniment.core.errors import BadProof, BadSignature, MunimentError
from muniment.core.merkle import leaf_hash, verify_inclusion
from muniment.core.statement import bundle_leaf, read_bundle, verify_bundle

SUMMARY_TYPE: Final = "https://slsa.dev/verification_summary/v1"
ACTS: Final = {"decision.approve": "PASSED", "decision.reject": "FAILED"}
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
_HASHES_MAX: Final = 63


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its number, what it is about, whether it holds (None: not looked at), and why."""

    number: int
    what: str
    holds: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class CheckedDecision:
    """What a decision says, step by step. `entry` and `payload` are empty if the first step fails."""

    steps: tuple[Step, ...]
    entry: Mapping[str, Any]
    payload: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether nothing that was looked at fails."""
        return all(step.holds is not False for step in self.steps)

    @property
    def approves(self) -> bool:
        """Whether it is an approval that holds."""
        return self.ok and self.entry.get("act") == "decision.approve"


def log_key_of(trusted_root: Mapping[str, Any]) -> LogKey:
    """Return the log's key in a Sigstore trusted root with one log.

    Raises:
        BadProof: it is none.
    """
    logs = trusted_root.get("tlogs")
    log = logs[0] if isinstance(logs, list) and len(logs) == 1 else None
    key = log.get("publicKey") if isinstance(log, Mapping) else None
    if not isinstance(log, Mapping) or not isinstance(key, Mapping):
        raise BadProof("expected a trusted root with one log and its public key")
    der = from_base64(key.get("rawBytes"))
    name = urlsplit(str(log.get("baseUrl"))).hostname or ""
    if not der.startswith(_ED25519_SPKI):
        raise BadProof("expected the Ed25519 key of a log")
    return LogKey(name, der[len(_ED25519_SPKI) :])


def check_decision(
    bundle: Mapping[str, Any], record_key: bytes, log: LogKey | None, at: dt.datetime
) -> CheckedDecision:
    """Check a decision as of `at`; the steps are at the top of this file.

    `record_key` is SubjectPublicKeyInfo; without `log` step 2 is not looked at. Never raises for what
    does not hold.
    """
    try:
        entry, payload, statement = _opened(bundle, record_key)
    except MunimentError as error:
        return CheckedDecision((Step(1, "signature", holds=False, detail=error.message),), {}, {})
    said = f"`{entry['act']}` of {entry['subject']['name']} at {entry['time']}"
    checks: list[tuple[int, str, Callable[[], str]]] = [
        (2, "log", lambda: _in_log(bundle, record_key, log)),
        (3, "summary", lambda: _summary(entry, statement)),
        (4, "frozen", lambda: _frozen(payload, statement)),
        (5, "approvals", lambda: _approvals(entry, payload, record_key)),
        (6, "time", lambda: _time(payload, at)),
    ]
    steps = [Step(1, "signature", holds=True, detail=said)]
    for number, what, check in checks:
        if number == 2 and log is None:  # noqa: PLR2004 -- the step
            steps.append(Step(2, what, holds=None, detail="no log key was given"))
            continue
        try:
            steps.append(Step(number, what, holds=True, detail=check()))
        except MunimentError as error:
            steps.append(Step(number, what, holds=False, detail=error.message))
        except (KeyError, TypeError, ValueError, AttributeError):
            steps.append(Step(number, what, holds=False, detail="is not of the form of a decision"))
    return CheckedDecision(tuple(steps), entry, payload)


def _opened(
    bundle: Mapping[str, Any], record_key: bytes
) -> tuple[dict[str, Any], Mapping[str, Any], dict[str, Any]]:
    statement = verify_bundle(bundle, record_key)
    entry, _ = read_record_statement(statement)
    if statement.get("predicateType") != SUMMARY_TYPE or entry["act"] not in ACTS:
        raise BadProof("expected a decision, found another signed entry")
    return entry, statement["predicate"]["payload"], statement


def _in_log(bundle: Mapping[str, Any], record_key: bytes, log: LogKey | None) -> str:
    """Source: Sigstore bundle v0.3, TransparencyLogEntry; RFC 9162 §2.1.3.2."""
    assert log is not None
    entries = bundle["verificationMaterial"]["tlogEntries"]
    if not isinstance(entries, list) or len(entries) != 1:
        raise BadProof("expected its place in the log, found none: export it anew")
    [place] = entries
    leaf = from_base64(place["canonicalizedBody"])
    if leaf != bundle_leaf(*read_bundle(bundle), record_key):
        raise BadProof("its place in the log is that of another entry")
    proof = place["inclusionProof"]
    hashes = [from_base64(one) for one in proof["hashes"][:_HASHES_MAX]]
    checkpoint = open_checkpoint(proof["checkpoint"]["envelope"], log)
    index, size = int(proof["logIndex"]), int(proof["treeSize"])
    if size != checkpoint.size:
        raise BadProof("its proof is for another tree than its checkpoint's")
    verify_inclusion(leaf_hash(leaf), index, size, hashes, checkpoint.root)
    return f"entry {index} of the {size} of {log.name}"


def _summary(entry: Mapping[str, Any], statement: Mapping[str, Any]) -> str:
    predicate = statement["predicate"]
    expected = ACTS[entry["act"]]
    if predicate["verificationResult"] != expected:
        raise BadProof(f"expected the result {expected}, found another")
    decided = predicate["payload"]["frozen"]["policy_sha256"]
    if predicate["policy"]["digest"]["sha256"] != decided:
        raise BadProof("names another policy than the one that was frozen")
    return f"{expected} under policy {decided[:16]}… by {predicate['verifier']['id']}"


def _frozen(payload: Mapping[str, Any], statement: Mapping[str, Any]) -> str:
    frozen = payload["frozen"]
    digest = frozen_sha256(frozen)
    if digest.hex != payload["decision"]["frozen_sha256"]:
        raise BadProof("what was frozen has another digest than the one decided on")
    subjects = [one["digest"]["sha256"] for one in statement["subject"]]
    if payload["decision"].get("composite") is not None:
        expected, name = _whole(frozen, payload["decision"]["composite"])
    else:
        expected, name = [frozen["version"]["manifest_sha256"]], frozen["version"]["ref"]
    if subjects != expected:
        raise BadProof("what was frozen is of other files than the decision")
    return f"{name} for {frozen['environment']}, {digest}"


def _whole(frozen: Mapping[str, Any], identifier: str) -> tuple[list[str], str]:
    """Return the digests a decision on a composite is about, and how it is called.

    The manifest has the identifier, and each member is one of its components.
    """
    manifest, members = frozen["manifest"], frozen["members"]
    if not frozen["composite"]["cvi"] == identifier == cvi(manifest):
        raise BadProof("the manifest that was frozen is that of another composite")
    held = [(one.get("digest") or {}).get("sha256") for one in manifest["components"]]
    files = [one["manifest_sha256"] for one in members]
    if not files or not set(files) <= set(held):
        raise BadProof("a member that was frozen is no component of the composite")
    named = ", ".join(one["ref"] for one in members)
    return [parse_cvi(identifier).hex(), *files], f"{identifier} ({named})"


def _approvals(entry: Mapping[str, Any], payload: Mapping[str, Any], record_key: bytes) -> str:
    people: list[str] = []
    told = []
    for one in payload["approvals"]:
        _check_approval(one, payload, record_key)
        if one["decision"] != NOT_APPLICABLE:
            people.append(one["person_id"])
        told.append(f"{one['role']} {one['decision']}{_of(one)} ({_by(one)})")
    if len(set(people)) != len(people):
        raise BadProof("one person signed it twice")
    approving = [
        one
        for one in payload["approvals"]
        if one["decision"] == "approve" and one["role"] != AUTHOR
    ]
    if entry["act"] == "decision.approve":
        if not approving:
            raise BadProof("nobody approved it")
        persons = {one["person_id"] for one in approving}
        if payload["frozen"]["requester"] in persons:
            raise BadProof("who asked for it approved it")
        if payload["frozen"].get("composite", {}).get("registered_by") in persons:
            raise BadProof("who registered the composite approved it")
    return ", ".join(told)


def _of(one: Mapping[str, Any]) -> str:
    """Say what an approval signs off, and which step of the review it does."""
    named = [one.get("sign_off"), one.get("review_step")]
    return "".join(f", {text}" for text in named if text is not None)


def _by(one: Mapping[str, Any]) -> str:
    return "own key" if one["signed_by"] == KEY else "signed by the registry on a session"


def _check_approval(one: Mapping[str, Any], payload: Mapping[str, Any], record_key: bytes) -> None:
    key = read_public_key(one["public_key"])
    if (one["signed_by"] == KEY) == (key == record_key):
        raise BadSignature("an approval says of another key than its own that it signed it")
    verified(one["bundle"], key)
    said = read_said(read_statement(one["bundle"]))
    expected = canonical(approval_statement(payload["frozen"], said))
    if expected != read_bundle(one["bundle"])[0]:
        raise BadProof("an approval is of something else than what was frozen")
    found = (str(said.person), said.role, said.decision, said.signed_by, str(said.request_id))
    told = (one["person_id"], one["role"], one["decision"], one["signed_by"])
    beside = (one.get("sign_off"), one.get("review_step"))
    if found != (*told, payload["decision"]["request_id"]) or beside != (
        said.sign_off,
        said.review_step,
    ):
        raise BadProof("an approval is not what the decision says it is")


def _time(payload: Mapping[str, Any], at: dt.datetime) -> str:
    ends = payload["decision"]["expires_at"]
    if ends is None:
        return "a rejection does not run out"
    if dt.datetime.fromisoformat(ends) <= at:
        raise BadProof(f"the approval ended on {ends}")
    return f"holds until {ends}"
