"""How the tables of policy follow from the log; what entries hold for that.

A verdict is in the entry of the act it was asked for, whatever act that is, under `judged`.

Source: design §1 (promise 5), §5.6; R-104, R-110, R-111.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Mapping
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.entry import time_text
from muniment.core.errors import NotFound
from muniment.server.ledger.records import Fields, Key, Recorded
from muniment.server.policy.records import Activation, Judged
from muniment.server.policy.rules import verdicts

ADD: Final = "policy.add"
PROPOSE: Final = "policy.propose"
ACTIVATE: Final = "policy.activate"
WITHDRAW: Final = "policy.withdraw"
REFUSE: Final = "policy.refuse"

_Rows = dict[Key, Any]
_PLAIN_BYTES: Final = 256 * 1024


def judged_payload(
    judged: Judged,
    *,
    asset_id: uuid.UUID,
    version_id: uuid.UUID | None,
    environment: str | None,
    carried_out: bool,
    composite: str | None = None,
) -> Fields:
    """Return what goes into the payload of the act's entry under `judged`; `keep` writes the row.

    Document and verdict stand there as they are, or, where they are large, `packed`: base64 of zlib
    of both in canonical JSON, since an entry has room for 1 MiB.
    """
    evaluation = judged.evaluation
    said: Fields = {
        "document": json.loads(judged.document_bytes),
        "verdict": verdicts.verdict_json(evaluation.verdict),
    }
    plain = canonical(said)
    if len(plain) > _PLAIN_BYTES:
        said = {"packed": base64.b64encode(zlib.compress(plain, 9)).decode()}
    return {
        "id": str(judged.id),
        "asset_id": str(asset_id),
        "version_id": None if version_id is None else str(version_id),
        "environment": environment,
        "carried_out": carried_out,
        **({} if composite is None else {"composite": composite}),
        "engine": evaluation.engine,
        "engine_version": evaluation.engine_version,
        "duration_us": evaluation.duration_us,
        **said,
    }


def judged_in(payload: Mapping[str, Any] | None) -> Fields | None:
    """Return what a payload says of the verdict it holds, `document` and `verdict` as they were.

    None if it holds none, or was erased.
    """
    found = (payload or {}).get("judged")
    if not isinstance(found, dict):
        return None
    if "packed" not in found:
        return found
    plain = zlib.decompress(base64.b64decode(found["packed"]))
    return {**found, **json.loads(plain)}


def judged_of(entry: Recorded) -> Fields:
    """Return what an entry says of the verdict it holds.

    Raises:
        NotFound: it holds none, or its payload was erased.
    """
    found = judged_in(entry.payload)
    if found is None:
        raise NotFound(f"the entry {entry.id} holds no verdict: its payload may have been erased")
    return found


def fold_verdict(rows: _Rows, entry: Recorded) -> None:
    """Apply every act that a bundle was asked about."""
    judged = judged_in(entry.payload)
    if judged is None:
        return
    verdict = verdicts.read_verdict(judged["verdict"])
    rows[judged["id"]] = {
        "entry_id": str(entry.id),
        "at": time_text(entry.at),
        "step": judged["document"]["step"],
        "policy_digest": verdict.policy_digest,
        "input_digest": verdict.input_digest,
        "decision": verdict.decision.value,
        "failed": [one.id for one in verdict.failed],
        "composite": judged.get("composite"),
        **{name: judged[name] for name in _AS_SAID},
    }


_AS_SAID: Final = (
    "asset_id", "version_id", "environment", "carried_out", "engine", "engine_version", "duration_us",
)  # fmt: skip


def fold_bundle(rows: _Rows, entry: Recorded) -> None:
    """Apply `policy.add`."""
    if entry.act == ADD and entry.payload is not None:
        rows[entry.payload["digest"]] = {
            "packed": entry.payload["packed_sha256"],
            "rule_count": entry.payload["rule_count"],
            "added_at": time_text(entry.at),
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
            "entry_id": str(entry.id),
        }


def proposal_payload(one: Activation) -> Fields:
    """Return the payload of `policy.propose`: all that its row holds but the entry's own."""
    return {
        "digest": one.digest,
        "reason": one.proposed.reason,
        "effective_from": None if one.effective_from is None else time_text(one.effective_from),
        "simulation": None if one.simulation is None else dict(one.simulation),
    }


def fold_activation(rows: _Rows, entry: Recorded) -> None:
    """Apply what is done to activations; the first of a registry is proposed and approved at once."""
    if entry.payload is None or entry.act not in {PROPOSE, ACTIVATE, WITHDRAW}:
        return
    at, payload = time_text(entry.at), entry.payload
    if "digest" in payload:
        rows[entry.subject.id] = {
            **{
                name: payload[name] for name in ("digest", "reason", "effective_from", "simulation")
            },
            "proposed_at": at,
            "proposer_kind": entry.actor.kind,
            "proposer_id": entry.actor.id,
            "entry_id": str(entry.id),
            **dict.fromkeys((*_APPROVAL, "effective_at", *_WITHDRAWAL)),
        }
    if entry.act == ACTIVATE:
        own = (at, entry.actor.kind, entry.actor.id, payload["approval_reason"], str(entry.id))
        rows[entry.subject.id] |= dict(zip(_APPROVAL, own, strict=True))
        rows[entry.subject.id]["effective_at"] = payload["effective_at"]
    if entry.act == WITHDRAW:
        own = (at, entry.actor.kind, entry.actor.id, payload["withdrawal_reason"], str(entry.id))
        rows[entry.subject.id] |= dict(zip(_WITHDRAWAL, own, strict=True))


_APPROVAL: Final = (
    "approved_at", "approver_kind", "approver_id", "approval_reason", "approval_entry_id",
)  # fmt: skip
_WITHDRAWAL: Final = (
    "withdrawn_at", "withdrawer_kind", "withdrawer_id", "withdrawal_reason", "withdrawal_entry_id",
)  # fmt: skip
