"""The schema, as plain SQL in a fixed order, and what moves a database along it.

`versions/NNNN_pre_NAME.sql` may run while the code before it still serves; `NNNN_post_NAME.sql`
once that code is gone. Files that were released never change.
"""

from muniment.server.migrations.steps import (
    VERSIONS,
    Migration,
    Phase,
    chain,
    current,
    migrate,
    pending,
    plan,
    remaining,
)

__all__ = [
    "VERSIONS",
    "Migration",
    "Phase",
    "chain",
    "current",
    "migrate",
    "pending",
    "plan",
    "remaining",
]
