"""How the lifecycle's tables follow from the log, act by act.

An entry that deploys has `deployment`, one that ends deployments `ended` (ids) and `ended_as`, one
that the rules did not allow `attempt`. An entry whose payload was erased leaves the rows as they are.

Source: design §1 (promise 5), §5.6.
"""

from __future__ import annotations

from typing import Any, Final

from muniment.server.ledger.records import Fields, Key, Recorded
from muniment.server.lifecycle.records import Attempt, Deployment, Resting

Rows = dict[Key, Fields]

#: What is signed of a promotion that was carried out, and of going back.
PREDICATE_TYPE: Final = "https://muniment.dev/attestation/promotion/v1"


def fold_deployment(rows: Rows, entry: Recorded, at: str) -> None:
    """Apply every act that begins or ends deployments; `at` is the entry's time as text."""
    payload = entry.payload
    if payload is None:
        return
    for ended in payload.get("ended", []):
        rows[ended] |= {
            "ended_at": at,
            "ended_as": payload["ended_as"],
            "ended_actor_kind": entry.actor.kind,
            "ended_actor_id": entry.actor.id,
            "ended_entry_id": str(entry.id),
        }
    if "deployment" in payload:
        fields = dict(payload["deployment"])
        deployment_id = fields.pop("id")
        rows[deployment_id] = {
            "decision_id": None,
            "composite": None,
            **fields,
            "since": at,
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
            "entry_id": str(entry.id),
            "ended_at": None,
            "ended_as": None,
            "ended_actor_kind": None,
            "ended_actor_id": None,
            "ended_entry_id": None,
        }


def fold_attempt(rows: Rows, entry: Recorded, at: str) -> None:
    """Apply every act that the rules did not allow; `at` is the entry's time as text."""
    if entry.payload is not None and "attempt" in entry.payload:
        rows[str(entry.id)] = {
            "step": "promote",
            "composite": None,
            **entry.payload["attempt"],
            "at": at,
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
        }


def deployment_json(deployment: Deployment) -> dict[str, Any]:
    """Return a deployment as its entry has it: who and when are the entry's own."""
    return {
        "id": str(deployment.id),
        "asset_id": str(deployment.asset_id),
        "version_id": str(deployment.version_id),
        "environment": deployment.environment,
        "alias": deployment.alias,
        "mode": deployment.mode.value,
        "reason": deployment.reason,
        **({} if deployment.decision_id is None else {"decision_id": str(deployment.decision_id)}),
        **({} if deployment.composite is None else {"composite": deployment.composite}),
    }


def resting_json(resting: Resting) -> dict[str, Any]:
    """Return the decision a promotion rests on as its statement has it."""
    return {
        "id": str(resting.decision_id),
        "entry_id": str(resting.entry_id),
        "frozen_sha256": resting.frozen_sha256,
        "approvals": list(resting.approvals),
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as its entry has it: who and when are the entry's own."""
    return {
        "asset_id": str(attempt.asset_id),
        "version_id": None if attempt.version_id is None else str(attempt.version_id),
        "namespace": attempt.namespace,
        "environment": attempt.environment,
        "mode": attempt.mode.value,
        "carried_out": attempt.carried_out,
        "rules": list(attempt.rules),
        "step": attempt.step,
        **({} if attempt.composite is None else {"composite": attempt.composite}),
    }
