"""Policy: bundles of rules in Rego, which of them is in force, and what it says of facts.

Owns bundles, activations, verdicts and simulations (`0022_pre_policy.sql`). Promises: the same
bundle and the same facts give the same verdict, byte for byte, whichever engine is asked and
whenever; a rule that gives no answer that counts has failed; after a registry's first bundle two
people bring another into force, never one. Does not gather facts, nor act on verdicts: those are
its callers'.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.policy.actions.adding import bring_first, ensure_first
from muniment.server.policy.actions.evaluating import Tried, evaluate, missing_fixtures, run_fixtures, unreadable
from muniment.server.policy.actions.keeping import judge, judged, keep
from muniment.server.policy.reads.bundles import active, get_bundle
from muniment.server.policy.reads.folds import FOLDS
from muniment.server.policy.reads.verdicts import tell_bound, tell_live
from muniment.server.policy.records import Judged
from muniment.server.policy.rules.archives import pack, unpack
from muniment.server.policy.rules.bundles import look, read_bundle, read_held
from muniment.server.policy.rules.folding import judged_in, judged_payload
from muniment.server.policy.rules.inputs import input_problems, read_input
from muniment.server.policy.rules.rendering import criteria, criteria_json, differences
from muniment.server.policy.rules.tables import UNREADABLE, asks, profile_of, review_steps
from muniment.server.policy.rules.verdicts import exit_code, verdict_bytes, verdict_json
from muniment.server.policy.store.files import STARTER, read_files

__all__ = [
    "FOLDS", "STARTER", "UNREADABLE", "Judged", "Tried", "active", "asks", "bring_first", "criteria", "criteria_json", "differences", "ensure_first",
    "evaluate", "exit_code", "get_bundle", "input_problems", "judge", "judged", "judged_in", "judged_payload", "keep", "look",
    "missing_fixtures", "pack", "profile_of", "read_bundle", "read_files", "read_held", "read_input", "review_steps", "run_fixtures", "tell_bound", "tell_live", "unpack", "unreadable",
    "verdict_bytes", "verdict_json",
]
