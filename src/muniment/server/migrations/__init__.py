"""The schema, as plain SQL in a fixed order, and what moves a database along it.

`versions/NNNN_pre_NAME.sql` may run while the code before it still serves; `NNNN_post_NAME.sql`
once that code is gone. Files that were released never change.
"""

from muniment.server.migrations.guards import Guards, Trigger, guards_of, trigger_of
from muniment.server.migrations.steps import (
    VERSIONS,
    Migration,
    Phase,
    chain,
    current,
    guards,
    migrate,
    pending,
    plan,
    remaining,
)

# fmt: off
__all__ = [
    "VERSIONS", "Guards", "Migration", "Phase", "Trigger", "chain", "current", "guards", "guards_of",
    "migrate", "pending", "plan", "remaining", "trigger_of",
]
