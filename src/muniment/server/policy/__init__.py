"""Policy: bundles of rules in Rego, and what they say of facts.

Owns no tables. Promises: the same bundle and the same facts give the same verdict, byte for byte,
whichever engine is asked and whenever; a rule that gives no answer that counts has failed. Does not
gather facts, nor act on verdicts: those are its callers'.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.policy.actions import Tried, evaluate, missing_fixtures, run_fixtures, unreadable
from muniment.server.policy.rules.archives import pack
from muniment.server.policy.rules.bundles import look, read_bundle
from muniment.server.policy.rules.inputs import input_problems, read_input
from muniment.server.policy.rules.rendering import criteria, criteria_json, differences
from muniment.server.policy.rules.verdicts import exit_code, verdict_bytes, verdict_json
from muniment.server.policy.store import STARTER, read_files

__all__ = [
    "STARTER", "Tried", "criteria", "criteria_json", "differences", "evaluate", "exit_code", "input_problems", "look",
    "missing_fixtures", "pack", "read_bundle", "read_files", "read_input", "run_fixtures", "unreadable", "verdict_bytes", "verdict_json",
]
