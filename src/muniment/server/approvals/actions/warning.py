"""Tell that approvals end soon: 30, 14 and 3 days before, once each."""

from __future__ import annotations

from muniment.core.entry import time_text
from muniment.server.approvals.actions.recording import About, Act, record
from muniment.server.approvals.records import DecisionOf
from muniment.server.approvals.rules import decisions as rules
from muniment.server.approvals.store import decisions as store
from muniment.server.identity import By
from muniment.server.ports.db import Tx


async def warn(tx: Tx, decision: DecisionOf, by: By) -> int | None:
    """Record that an approval ends in so many days, if it is time to; return how many. Repeatable."""
    assert decision.expires_at is not None
    told = await store.warned_days(tx, decision.id)
    days = rules.due_warning(decision.expires_at, by.at, told)
    if days is None:
        return None
    entry_id = by.new_id()
    if not await store.insert_warning(tx, decision.id, days, by.at, entry_id):
        return None
    expires_at = time_text(decision.expires_at)
    act = Act(
        name="approval.expiring",
        kind="decision",
        id=decision.id,
        reason=f"the approval for {decision.environment} ends on {decision.expires_at:%Y-%m-%d}",
        changes={"expires_at": (None, expires_at)},
    )
    payload = {
        "warning": {"decision_id": str(decision.id), "days": days},
        "environment": decision.environment,
        "expires_at": expires_at,
    }
    version = decision.ref.rpartition("@")[2]
    about = About(decision.asset_id, decision.version_id, version, decision.ref)
    await record(tx, about, act, payload, by, entry_id=entry_id, at=by.at)
    return days
