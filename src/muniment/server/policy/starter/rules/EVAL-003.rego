# METADATA
# title: Evidence is about what would run
# custom:
#   id: EVAL-003
#   class: critical_safety
#   source: "R-080, R-102; requirements §1.11"
#   steps: [approve, promote]
#   passed: all evaluations were made with these components
#   not_applicable: nothing is approved, or deployed to production
#   violations:
#     none:
#       message: "there is no evaluation run"
#       remedy: "evaluate it and add what the tool wrote: `muniment evidence add {0} FILE`"
#       lacks: evidence
#     unbound:
#       message: "it is not known which components would run"
#       remedy: "register it with its components"
#       lacks: evidence
#     other:
#       message: "run {0} was made with another {1}"
#       remedy: "evaluate again with what would run"
#       lacks: evidence
package muniment.rules.eval_003

import data.muniment.lib.facts

default applies := false

applies if facts.as_approved

violations contains {"case": "none", "args": [input.subject.ref]} if {
	applies
	count(object.get(input, ["evaluation", "runs"], [])) == 0
}

violations contains {"case": "unbound", "args": []} if {
	applies
	count(object.get(input.subject, "components", {})) == 0
}

violations contains {"case": "other", "args": [run.id, component]} if {
	applies
	some run in input.evaluation.runs
	some component, digest in input.subject.components
	object.get(run.components, component, "") != digest
}

# What it was made with and would not run is as different.
violations contains {"case": "other", "args": [run.id, component]} if {
	applies
	some run in input.evaluation.runs
	some component, _ in run.components
	not input.subject.components[component]
}
