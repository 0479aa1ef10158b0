# METADATA
# title: There is something to go back to, and going back was tried
# custom:
#   id: PROM-002
#   class: critical_safety
#   source: "R-056, R-149; requirements §1.11"
#   steps: [promote]
#   passed: there is a way back
#   not_applicable: it is not for production
#   violations:
#     none:
#       message: "it is not known what production would go back to"
#       remedy: "find out what is there: `muniment deployments {0} --live`"
#       lacks: evidence
#     not_approved:
#       message: "the rollback target {0} is not approved"
#       remedy: "ask for approval of it: `muniment request {0} --to production`"
#       lacks: evidence
#     never:
#       message: "going back was never tried; production would go back to {0}"
#       remedy: "try it where it does no harm: `muniment rollback {1} --env staging` is recorded"
#       lacks: evidence
#     old:
#       message: "going back was last tried {0} days ago, more than {1}"
#       remedy: "try it again where it does no harm: `muniment rollback {2} --env staging` is recorded"
#       lacks: evidence
package muniment.rules.prom_002

import data.muniment.lib.facts

default applies := false

applies if facts.to_production

# Nothing is there yet: going back is to take it out again.
withdraws if input.rollback.withdraws

back if {
	applies
	not withdraws
	input.rollback.target
}

violations contains {"case": "none", "args": [input.asset.name]} if {
	applies
	not withdraws
	not input.rollback.target
}

violations contains {"case": "not_approved", "args": [input.rollback.target]} if {
	back
	not input.rollback.approved
}

violations contains {"case": "never", "args": [input.rollback.target, input.asset.name]} if {
	back
	not drilled
}

drilled if input.rollback.drilled_at >= 0

violations contains {"case": "old", "args": [floor(age / facts.day), facts.profile.drill_days, input.asset.name]} if {
	back
	age := input.at - input.rollback.drilled_at
	age > facts.profile.drill_days * facts.day
}
