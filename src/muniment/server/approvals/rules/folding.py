"""How this slice's tables follow from the log, act by act.

What an entry makes stands in its payload under the name of what it is (`request`, `approval`,
`comment`, `decision`, `exception`, `warning`), what it ends beside it (`request_ended`,
`comment_resolved`, `condition_met`, `exception_revoked`). Who and when are the entry's own. An entry
whose payload was erased leaves the rows as they are.

Source: design §1 (promise 5), §5.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.entry import time_text
from muniment.server.approvals.rules.decisions import statement_sha256_of
from muniment.server.ledger.records import Fields, Key, Recorded

Rows = dict[Key, Fields]
#: What acts of this slice are on.
_NOUNS: Final = frozenset({"approval", "comment", "condition", "decision", "exception", "request"})


def _payload(entry: Recorded) -> Mapping[str, Any]:
    ours = entry.act.partition(".")[0] in _NOUNS
    return entry.payload if ours and entry.payload is not None else {}


def fold_request(rows: Rows, entry: Recorded) -> None:
    """Apply every act that opens or ends a request."""
    payload = _payload(entry)
    if "request_ended" in payload:
        ended = payload["request_ended"]
        rows[ended["id"]] |= {
            "ended_at": time_text(entry.at),
            "ended_as": ended["as"],
            "ended_reason": ended["reason"],
            "ended_entry_id": str(entry.id),
        }
    if "request" in payload:
        fields = dict(payload["request"])
        document = canonical(fields.pop("frozen"))
        key = fields.pop("id")
        rows[key] = {
            "composite": None,
            "member_assets": None,
            **fields,
            "frozen": document.hex(),
            "frozen_sha256": digest_of(document).hex,
            "opened_at": time_text(entry.at),
            **_actor(entry),
            "entry_id": str(entry.id),
            "ended_at": None,
            "ended_as": None,
            "ended_reason": None,
            "ended_entry_id": None,
        }


def fold_approval(rows: Rows, entry: Recorded) -> None:
    """Apply every act by which somebody signs."""
    payload = _payload(entry)
    if "approval" in payload:
        fields = {"review_step": None, **payload["approval"]}
        key = fields.pop("id")
        rows[key] = {
            **_with_bundle(fields),
            "at": time_text(entry.at),
            "entry_id": str(entry.id),
        }


def fold_condition(rows: Rows, entry: Recorded) -> None:
    """Apply every act that sets conditions, and that says one is met."""
    payload = _payload(entry)
    if "approval" in payload:
        for one in payload["conditions"]:
            fields = dict(one)
            key = fields.pop("id")
            rows[key] = {
                **fields,
                "met_at": None,
                "met_by": None,
                "met_note": None,
                "met_entry_id": None,
            }
    if "condition_met" in payload:
        met = payload["condition_met"]
        rows[met["id"]] |= {
            "met_at": time_text(entry.at),
            "met_by": entry.actor.id,
            "met_note": met["note"],
            "met_entry_id": str(entry.id),
        }


def fold_comment(rows: Rows, entry: Recorded) -> None:
    """Apply every act that makes a comment or resolves one."""
    payload = _payload(entry)
    if "comment" in payload:
        fields = dict(payload["comment"])
        key = fields.pop("id")
        rows[key] = {
            **fields,
            "at": time_text(entry.at),
            **_actor(entry),
            "entry_id": str(entry.id),
            "resolved_at": None,
            "resolution": None,
            "resolved_kind": None,
            "resolved_id": None,
            "resolved_entry_id": None,
        }
    if "comment_resolved" in payload:
        resolved = payload["comment_resolved"]
        rows[resolved["id"]] |= {
            "resolved_at": time_text(entry.at),
            "resolution": resolved["resolution"],
            "resolved_kind": entry.actor.kind,
            "resolved_id": entry.actor.id,
            "resolved_entry_id": str(entry.id),
        }


def fold_decision(rows: Rows, entry: Recorded) -> None:
    """Apply every act that decides."""
    payload = _payload(entry)
    if "decision" in payload:
        fields = dict(payload["decision"])
        key = fields.pop("id")
        rows[key] = {
            "composite": None,
            **fields,
            "decided_at": time_text(entry.at),
            "entry_id": str(entry.id),
        }


def fold_warning(rows: Rows, entry: Recorded) -> None:
    """Apply every act that tells of the end of an approval."""
    payload = _payload(entry)
    if "warning" in payload:
        told = payload["warning"]
        rows[f"{told['decision_id']}/{told['days']}"] = {
            "at": time_text(entry.at),
            "entry_id": str(entry.id),
        }


def fold_exception(rows: Rows, entry: Recorded) -> None:
    """Apply every act that grants or revokes an exception."""
    payload = _payload(entry)
    if "exception" in payload:
        fields = dict(payload["exception"])
        key = fields.pop("id")
        rows[key] = {
            **_with_bundle(fields),
            "granted_at": time_text(entry.at),
            "entry_id": str(entry.id),
            "revoked_at": None,
            "revoked_kind": None,
            "revoked_id": None,
            "revoked_reason": None,
            "revoked_entry_id": None,
        }
    if "exception_revoked" in payload:
        revoked = payload["exception_revoked"]
        rows[revoked["id"]] |= {
            "revoked_at": time_text(entry.at),
            "revoked_kind": entry.actor.kind,
            "revoked_id": entry.actor.id,
            "revoked_reason": revoked["reason"],
            "revoked_entry_id": str(entry.id),
        }


def _with_bundle(fields: dict[str, Any]) -> Fields:
    bundle = fields.pop("bundle")
    came_in = fields.pop("came_in", None) or {"by": None, "made_by": None}
    return {
        **fields,
        "came_in": came_in["by"],
        "made_by": came_in["made_by"],
        "statement_sha256": statement_sha256_of(bundle).hex(),
        "bundle": canonical(bundle).hex(),
    }


def _actor(entry: Recorded) -> Fields:
    return {"actor_kind": entry.actor.kind, "actor_id": entry.actor.id}
