"""Tell that approvals end soon: 30, 14 and 3 days before, once each."""

from __future__ import annotations

from muniment.core.entry import time_text
from muniment.server.approvals.actions.recording import About, Act, record
from muniment.server.approvals.records import DecisionOf
from muniment.server.approvals.store import decisions as store
from muniment.server.identity import By
from muniment.server.ports.db import Tx


async def warn(tx: Tx, decision: DecisionOf, days: int, by: By) -> bool:
    """Record that an approval ends in `days` days; return False, and do nothing, if it was told before."""
    assert decision.expires_at is not None
    entry_id = by.new_id()
    if not await store.insert_warning(tx, decision.id, days, by.at, entry_id):
        return False
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
    version = decision.composite or decision.ref.rpartition("@")[2]
    about = About(
        decision.asset_id, decision.version_id, version, decision.name, decision.composite
    )
    await record(tx, about, act, payload, by, entry_id=entry_id, at=by.at)
    return True
