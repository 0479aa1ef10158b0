# METADATA
# title: Evidence is fresh, whole, as its tool wrote it
# custom:
#   id: EVAL-004
#   class: waivable
#   source: "R-082; requirements §1.11"
#   steps: [approve, promote]
#   passed: all runs are fresh, whole, and by tools that count
#   not_applicable: nothing is approved, or deployed to production
#   violations:
#     none:
#       message: "there is no evaluation run"
#       remedy: "evaluate it and add what the tool wrote: `muniment evidence add {0} FILE`"
#       lacks: evidence
#     old:
#       message: "run {0} is {1} days old, more than {2}"
#       remedy: "evaluate again"
#       lacks: evidence
#     partial:
#       message: "run {0} did not come to its end"
#       remedy: "run it to its end"
#       lacks: evidence
#     edited:
#       message: "run {0} was edited after its tool wrote it"
#       remedy: "add what the tool wrote"
#       lacks: evidence
#     tool:
#       message: "run {0} is by a tool, or a version of one, that does not count"
#       remedy: "use one that does"
#       lacks: evidence
package muniment.rules.eval_004

import data.muniment.lib.facts

default applies := false

applies if facts.as_approved

runs := object.get(input, ["evaluation", "runs"], [])

violations contains {"case": "none", "args": [input.subject.ref]} if {
	applies
	count(runs) == 0
}

violations contains {"case": "old", "args": [run.id, floor(age / facts.day), facts.profile.evidence_days]} if {
	applies
	some run in runs
	age := input.at - run.at
	age > facts.profile.evidence_days * facts.day
}

violations contains {"case": "partial", "args": [run.id]} if {
	applies
	some run in runs
	not run.complete
}

violations contains {"case": "edited", "args": [run.id]} if {
	applies
	some run in runs
	run.edited
}

violations contains {"case": "tool", "args": [run.id]} if {
	applies
	some run in runs
	not run.tool_allowed
}
