# METADATA
# title: The baseline suite passed
# custom:
#   id: EVAL-001
#   class: waivable
#   source: "R-081; requirements §1.11"
#   steps: [candidate, approve, promote]
#   passed: the baseline suite passed
#   not_applicable: nothing becomes a candidate, is approved, or is deployed beyond development
#   violations:
#     missing:
#       message: "the baseline suite has no result"
#       remedy: "have a gate plan with a gate called `baseline`, and run it: `muniment evidence gates {0}`"
#       lacks: evidence
#     failed:
#       message: "the baseline suite failed"
#       remedy: "mend what fails and register that; `muniment evidence gates {0}` says what fails"
#       lacks: evidence
package muniment.rules.eval_001

import data.muniment.lib.facts

default applies := false

applies if facts.as_candidate

violations contains {"case": "missing", "args": [input.subject.ref]} if {
	applies
	not known
}

known if input.evaluation.baseline_passed in {true, false}

violations contains {"case": "failed", "args": [input.subject.ref]} if {
	applies
	input.evaluation.baseline_passed == false
}
