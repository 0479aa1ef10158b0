# METADATA
# title: The evaluation covers every dimension, or says why not
# custom:
#   id: EVAL-002
#   class: critical_safety
#   source: "R-074; requirements §1.11"
#   steps: [approve, promote]
#   passed: every dimension is covered, or not applicable with a reason
#   not_applicable: nothing is approved, or deployed to production
#   violations:
#     missing:
#       message: "{0} is not covered"
#       remedy: "evaluate it and add what the tool wrote (`muniment evidence add {1} FILE`); or say why it does not apply (`muniment evidence not-applicable {1}`)"
#       lacks: evidence
#     no_reason:
#       message: "{0} is said to be not applicable, without a reason"
#       remedy: "say why"
#       lacks: evidence
#     must:
#       message: "{0} cannot be not applicable to a generative system"
#       remedy: "evaluate it and add what the tool wrote"
#       lacks: evidence
package muniment.rules.eval_002

import data.muniment.lib.facts

default applies := false

applies if facts.as_approved

status(dimension) := object.get(input, ["evaluation", "dimensions", dimension, "status"], "missing")

violations contains {"case": "missing", "args": [dimension, input.subject.ref]} if {
	applies
	some dimension in data.evaluation.dimensions
	status(dimension) == "missing"
}

violations contains {"case": "no_reason", "args": [dimension]} if {
	applies
	some dimension in data.evaluation.dimensions
	status(dimension) == "not_applicable"
	trim_space(object.get(input.evaluation.dimensions[dimension], "reason", "")) == ""
}

violations contains {"case": "must", "args": [dimension]} if {
	applies
	generative
	some dimension in data.evaluation.generative_must
	status(dimension) == "not_applicable"
}

generative if object.get(input.subject, "generative", true)
