"""What may run where: deprecate, retire, quarantine, promote, withdraw; stages follow from it.

Owns environments, deployments and attempts (`0008_pre_lifecycle.sql`). Promises: in a namespace
that enforces, nothing reaches production but by a pipeline the rules allow, and every refusal is in
the log; one person may always stop; a stage is derived, never stored. Does not decide what is needed,
nor who approves: that are the policy in force, and `approvals`.
"""

# ruff: noqa: I001 -- a line each
# fmt: off
from muniment.server import policy
from muniment.server.lifecycle.actions.approving import authority
from muniment.server.lifecycle.actions.going_back import GoingBack, roll_back
from muniment.server.lifecycle.actions.helping import Help, help_with
from muniment.server.lifecycle.actions.leaving import withdraw
from muniment.server.lifecycle.actions.naming import rename, tombstone_asset
from muniment.server.lifecycle.actions.pointing import point_alias
from muniment.server.lifecycle.actions.promoting import promote
from muniment.server.lifecycle.actions.question import check_reason
from muniment.server.lifecycle.actions.recording import Answer, keep_answer
from muniment.server.lifecycle.actions.standings import Deprecation, deprecate, quarantine, reinstate, release, retire, tombstone
from muniment.server.lifecycle.reads import FOLDS, STAGE, VerdictBody, tell_consumers, verdict_body
from muniment.server.lifecycle.rules.checks import RULES, Rule, Said
from muniment.server.lifecycle.rules.stages import stage_of
from muniment.server.lifecycle.rules.verdict import barred, joined, refusal_class, refusal_text, refused, said, verdict, verdict_json, words
from muniment.server.lifecycle.store.deployments import environment_at, get_environment, live_beside, live_of_version, live_places

policy.tell_live(live_places)

__all__ = [
    "FOLDS", "RULES", "STAGE", "Answer", "Deprecation", "GoingBack", "Help", "Rule", "Said", "VerdictBody", "authority", "barred",
    "check_reason", "deprecate", "environment_at", "get_environment", "help_with", "joined", "keep_answer", "live_beside",
    "live_of_version", "point_alias", "promote", "quarantine", "refusal_class", "refusal_text", "refused", "reinstate", "release",
    "rename", "retire", "roll_back", "said", "stage_of", "tell_consumers", "tombstone", "tombstone_asset", "verdict",
    "verdict_body", "verdict_json", "withdraw", "words",
]
