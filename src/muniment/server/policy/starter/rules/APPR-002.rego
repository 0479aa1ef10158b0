# METADATA
# title: The approval has not ended, and is recent where the risk is high
# custom:
#   id: APPR-002
#   class: critical_safety
#   source: "R-101; requirements §1.11"
#   steps: [promote]
#   passed: the approval stands
#   not_applicable: it is not for production
#   violations:
#     none:
#       message: "it is not approved"
#       remedy: "ask for it: `muniment request {0} --to production`"
#       lacks: approval
#     later:
#       message: "the approval is of a time that has not come"
#       remedy: "find out why: clocks differ"
#     expired:
#       message: "the approval ended: it was given {0} days ago, and holds {1}"
#       remedy: "ask again: `muniment request {2} --to production`"
#       lacks: approval
#     ended:
#       message: "the approval said itself when it ends, and that has passed"
#       remedy: "ask again: `muniment request {0} --to production`"
#       lacks: approval
#     old:
#       message: "the decision is {0} hours old, more than {1}"
#       remedy: "have it confirmed"
#       lacks: approval
package muniment.rules.appr_002

import data.muniment.lib.facts

default applies := false

applies if facts.to_production

decided := max([input.approval.granted_at, object.get(input.approval, "confirmed_at", 0)])

violations contains {"case": "none", "args": [input.subject.ref]} if {
	applies
	not input.approval
}

violations contains {"case": "later", "args": []} if {
	applies
	decided > input.at
}

violations contains {"case": "expired", "args": [floor(age / facts.day), facts.profile.approval_days, input.subject.ref]} if {
	applies
	age := input.at - input.approval.granted_at
	age >= facts.profile.approval_days * facts.day
}

violations contains {"case": "ended", "args": [input.subject.ref]} if {
	applies
	input.at >= input.approval.expires_at
}

violations contains {"case": "old", "args": [floor(age / facts.hour), facts.profile.decision_hours]} if {
	applies
	age := input.at - decided
	age > facts.profile.decision_hours * facts.hour
}
