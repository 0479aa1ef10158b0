"""What is decided, how it is written down, and whether a version is approved.

A decision is a verification summary (SLSA VSA v1) with the registry's entry around it, signed with the
record key: whoever reads summaries can read it, and it carries what people signed.

Approved is computed, in this order, and says every reason why not:

1. a decision approved it, and its time has not run out;
2. what was frozen is as it was (`rules.requests`);
3. no condition is overdue, and somebody who signed still counts;
4. the rules, asked at `approve` as of now, have nothing against it;
5. the namespace enforces its rules: elsewhere nothing is called approved.

Source: design §1 (promise 3), §2; trust.md §2; R-101, R-113, R-117; SLSA VSA v1.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from muniment.core.approvals import second_text
from muniment.core.digest import digest_of
from muniment.core.own_keys import key_sha256
from muniment.core.statement import public_key_pem, read_bundle
from muniment.server import identity
from muniment.server.approvals.records import (
    Approval,
    Approved,
    ConditionOf,
    DecisionOf,
    Missing,
    Outcome,
    RuleException,
    Standing,
)
from muniment.server.approvals.rules.requests import in_words
from muniment.server.catalog.records import Mode
from muniment.server.policy.records import Verdict

SUMMARY_TYPE: Final = "https://slsa.dev/verification_summary/v1"
#: How many days before its end an approval is told to end, each once.
WARNINGS: Final = (30, 14, 3)
_ROLE_ARGS: Final = 3


def missing(verdict: Verdict) -> tuple[Missing, ...]:
    """Return the roles of the quorum of which people are missing, as the rules say."""
    return tuple(
        Missing(role=violation.args[2], have=violation.args[0], need=violation.args[1])
        for result in verdict.failed
        for violation in result.violations
        if violation.case == "role" and _counts(violation.args)
    )


def _counts(args: Sequence[Any]) -> bool:
    return (
        len(args) == _ROLE_ARGS
        and all(isinstance(one, int) for one in args[:2])
        and isinstance(args[2], str)
    )


def summary(
    decision: DecisionOf,
    *,
    registry: str,
    policy_digest: str,
    attestations: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the members that a verification summary has. Source: SLSA VSA v1."""
    digest = policy_digest.removeprefix("sha256:")
    passed = decision.outcome is Outcome.APPROVED
    level = f"MUNIMENT_APPROVED_{decision.environment.replace('-', '_').upper()}"
    return {
        "verifier": {"id": f"https://{registry}"},
        "timeVerified": second_text(decision.decided_at),
        "resourceUri": f"https://{registry}/{decision.name}",
        "policy": {"uri": f"https://{registry}/policies/{digest}", "digest": {"sha256": digest}},
        "inputAttestations": list(attestations),
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [level if passed else "FAILED"],
    }


def attestations(approvals: Iterable[Approval], frozen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a decision rests on, each with its digest: what people signed, then the evidence."""
    signed = [
        {"uri": f"urn:uuid:{one.id}", "digest": {"sha256": one.statement_sha256.hex}}
        for one in approvals
    ]
    shown = [
        {"uri": f"urn:uuid:{one['id']}", "digest": {"sha256": one["sha256"]}}
        for one in frozen["evidence"]
    ]
    return [*signed, *shown]


def approval_json(one: Approval) -> dict[str, Any]:
    """Return an approval as its entry has it: when and by which entry are the entry's own."""
    return {
        "id": str(one.id),
        "request_id": str(one.request_id),
        "person_id": str(one.person_id),
        "role": one.role,
        "decision": one.decision,
        "sign_off": one.sign_off,
        "review_step": one.review_step,
        "comment": one.comment,
        "signed_by": one.signed_by,
        "key_id": None if one.key_id is None else str(one.key_id),
        "nonce": one.nonce,
        "came_in": identity.came_in_json(one.came_in),
        "bundle": dict(one.bundle),
    }


def carried(
    approvals: Iterable[Approval], keys: Mapping[Any, bytes], record_key: bytes
) -> list[dict[str, Any]]:
    """Return approvals as a decision carries them: with the public key each was signed with.

    `keys` are people's own, by id.
    """
    found = []
    for one in approvals:
        der = record_key if one.key_id is None else keys[one.key_id]
        found.append(
            {
                "id": str(one.id),
                "person_id": str(one.person_id),
                "role": one.role,
                "decision": one.decision,
                "sign_off": one.sign_off,
                "review_step": one.review_step,
                "signed_by": one.signed_by,
                "public_key": public_key_pem(der),
                "key_sha256": key_sha256(der),
                "bundle": dict(one.bundle),
            }
        )
    return found


def decision_json(one: DecisionOf) -> dict[str, Any]:
    """Return a decision as its entry has it."""
    return {
        "id": str(one.id),
        "request_id": str(one.request_id),
        "asset_id": str(one.asset_id),
        "version_id": str(one.version_id),
        "environment": one.environment,
        "outcome": one.outcome.value,
        "frozen_sha256": one.frozen_sha256.hex,
        "composite": one.composite,
        "expires_at": None if one.expires_at is None else _micro(one.expires_at),
    }


def condition_json(one: ConditionOf) -> dict[str, Any]:
    """Return a condition as an entry has it."""
    return {
        "id": str(one.id),
        "approval_id": str(one.approval_id),
        "position": one.position,
        "text": one.text,
        "due": one.due.isoformat(),
    }


def exception_json(one: RuleException) -> dict[str, Any]:
    """Return an exception as its entry has it."""
    return {
        "id": str(one.id),
        "asset_id": str(one.asset_id),
        "version_id": str(one.version_id),
        "environment": one.environment,
        "rule": one.rule,
        "reason": one.reason,
        "control": one.control,
        "until": one.until.isoformat(),
        "person_id": str(one.person_id),
        "role": one.role,
        "signed_by": one.signed_by,
        "key_id": None if one.key_id is None else str(one.key_id),
        "nonce": one.nonce,
        "came_in": identity.came_in_json(one.came_in),
        "bundle": dict(one.bundle),
    }


def statement_sha256_of(bundle: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of the statement in a bundle that was read before: 32 raw bytes."""
    return digest_of(read_bundle(bundle)[0]).raw


def _micro(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# --- approved ------------------------------------------------------------------------------------


def certainly_not(standing: Standing) -> list[tuple[str, str]]:
    """Return why something is not approved, as far as that can be told without asking the rules."""
    decision, place = standing.decision, standing.place.name
    if decision is None:
        return [("not_decided", f"nobody decided that it may go to {place}")]
    if decision.expires_at is None:
        return [("rejected", f"it was rejected for {place}")]
    reasons = []
    if decision.expires_at <= standing.at:
        reasons.append(("expired", f"the approval ended on {decision.expires_at:%Y-%m-%d %H:%M}Z"))
    if standing.changed:
        reasons.append(("changed", in_words(standing.changed)))
    reasons += [
        ("overdue_condition", f"`{one.text}` was due by {one.due}") for one in standing.overdue
    ]
    if not any(one.counts and one.approval.approves for one in standing.words):
        reasons.append(("no_approver", "nobody who approved it counts any more"))
    return reasons


def approved(standing: Standing, verdict: Verdict | None, mode: Mode) -> Approved:
    """Return whether something is approved; `verdict` is None where that is certainly not so."""
    reasons = certainly_not(standing)
    if verdict is not None:
        reasons += [(one.id, one.message) for one in verdict.failed]
    if mode is not Mode.ENFORCE:
        reasons.append(("not_enforced", "its namespace does not enforce its rules"))
    return Approved(not reasons and verdict is not None, tuple(reasons), standing.decision)


def due_warnings(
    expiring: Iterable[DecisionOf], at: dt.datetime, told: Mapping[uuid.UUID, Sequence[int]]
) -> list[tuple[DecisionOf, int]]:
    """Return of which approvals it is time to tell that they end, and in how many days.

    `told` says of each decision for how many days before its end that was told already.
    """
    due = [
        (one, due_warning(one.expires_at, at, told.get(one.id, ())))
        for one in expiring
        if one.expires_at is not None
    ]
    return [(one, days) for one, days in due if days is not None]


def due_warning(expires_at: dt.datetime, at: dt.datetime, told: Iterable[int]) -> int | None:
    """Return for how many days before the end it is time to tell; None: not now.

    Of several that are due only the nearest to the end is told, and each once.
    """
    due = [days for days in WARNINGS if at < expires_at <= at + dt.timedelta(days=days)]
    nearest = min(due, default=None)
    return None if nearest is None or any(one <= nearest for one in told) else nearest
