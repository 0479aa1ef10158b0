"""What may run where: deprecate, retire, quarantine, promote, withdraw; stages follow from it.

Owns environments, deployments and attempts (`0008_pre_lifecycle.sql`). Promises: in a namespace
that enforces, nothing reaches production but by a pipeline the rules allow, and every refusal is in
the log; one person may always stop; a stage is derived, never stored. Does not decide what is needed,
nor who approves: that are the policy in force, and `approvals`.
"""

# ruff: noqa: I001 -- a line each
# fmt: off
from muniment.server import policy
from muniment.server.lifecycle.actions.going_back import GoingBack, roll_back
from muniment.server.lifecycle.actions.naming import rename, tombstone_asset
from muniment.server.lifecycle.actions.pointing import point_alias, withdraw
from muniment.server.lifecycle.actions.promoting import promote
from muniment.server.lifecycle.actions.standings import Deprecation, deprecate, quarantine, reinstate, release, retire, tombstone
from muniment.server.lifecycle.reads import FOLDS, STAGE
from muniment.server.lifecycle.rules.checks import RULES
from muniment.server.lifecycle.rules.stages import stage_of
from muniment.server.lifecycle.rules.verdict import refusal_class, refusal_text, verdict, words
from muniment.server.lifecycle.store import environment_at, live_beside, live_of_version, live_places

policy.tell_live(live_places)

__all__ = [
    "FOLDS", "RULES", "STAGE", "Deprecation", "GoingBack", "deprecate", "environment_at", "live_beside", "live_of_version",
    "point_alias", "promote", "quarantine", "refusal_class", "refusal_text", "reinstate", "release", "rename",
    "retire", "roll_back", "stage_of", "tombstone", "tombstone_asset", "verdict", "withdraw", "words",
]
