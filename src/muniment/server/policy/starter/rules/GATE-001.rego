# METADATA
# title: The gates of the risk tier were passed in their order
# custom:
#   id: GATE-001
#   class: critical_safety
#   source: "R-077, R-107; requirements §1.11"
#   steps: [promote]
#   passed: all gates were passed in order
#   not_applicable: its risk tier has no gates, or it is not for production
#   violations:
#     missing:
#       message: "gate {0} was not passed"
#       remedy: "run the gates {1}, in this order: `muniment evidence gates {2}`"
#       lacks: evidence
#     order:
#       message: "gate {0} was decided before {1}, which comes first"
#       remedy: "run {0} again"
#       lacks: evidence
package muniment.rules.gate_001

import data.muniment.lib.facts

default applies := false

applies if {
	facts.to_production
	count(facts.profile.gates) > 0
}

last(name) := max([one.at | some one in input.gates; one.name == name])

passed(name) if {
	some one in input.gates
	one.name == name
	one.at == last(name)
	one.passed
	not failed_too(one)
}

# Of two results of the same second, the worse counts.
failed_too(one) if {
	some other in input.gates
	other.name == one.name
	other.at == one.at
	not other.passed
}

violations contains {"case": "missing", "args": [name, concat(", ", facts.profile.gates), input.subject.ref]} if {
	applies
	some name in facts.profile.gates
	not passed(name)
}

violations contains {"case": "order", "args": [name, before]} if {
	applies
	some at, name in facts.profile.gates
	some earlier, before in facts.profile.gates
	earlier < at
	last(name) < last(before)
}
