# METADATA
# title: The baseline suite passed
# custom:
#   id: EVAL-001
#   class: waivable
#   source: "R-081; requirements §1.11"
#   steps: [candidate]
#   passed: the baseline suite passed
#   not_applicable: asked when a version becomes a candidate
#   violations:
#     missing:
#       message: "the baseline suite has no result"
#       remedy: "run it and add what it wrote: `muniment evidence add {0} FILE`"
#       lacks: evidence
#     failed:
#       message: "the baseline suite failed"
#       remedy: "mend what fails and register that"
#       lacks: evidence
package muniment.rules.eval_001

default applies := false

applies if input.step == "candidate"

violations contains {"case": "missing", "args": [input.subject.ref]} if {
	applies
	not known
}

known if input.evaluation.baseline_passed in {true, false}

violations contains {"case": "failed", "args": []} if {
	applies
	input.evaluation.baseline_passed == false
}
