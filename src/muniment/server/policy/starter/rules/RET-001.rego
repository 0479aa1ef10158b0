# METADATA
# title: Nothing is destroyed before its time, or under legal hold
# custom:
#   id: RET-001
#   class: critical_safety
#   source: "R-178; requirements §1.11"
#   steps: [dispose]
#   passed: its time has come and nothing holds it
#   not_applicable: nothing is to be destroyed
#   violations:
#     unknown:
#       message: "it is not known how long it must be kept"
#       remedy: "say so: until then it is kept"
#     early:
#       message: "it must be kept {0} more days"
#       remedy: "wait"
#     hold:
#       message: "it is under legal hold"
#       remedy: "who placed the hold ends it"
package muniment.rules.ret_001

import data.muniment.lib.facts

default applies := false

applies if input.step == "dispose"

violations contains {"case": "unknown", "args": []} if {
	applies
	not input.retention
}

violations contains {"case": "early", "args": [ceil((input.retention.ends_at - input.at) / facts.day)]} if {
	applies
	input.at < input.retention.ends_at
}

violations contains {"case": "hold", "args": []} if {
	applies
	input.retention.legal_hold
}
