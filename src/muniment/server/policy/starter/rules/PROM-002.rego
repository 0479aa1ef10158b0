# METADATA
# title: There is something to go back to, and going back was tried
# custom:
#   id: PROM-002
#   class: critical_safety
#   source: "R-056, R-149; requirements §1.11"
#   steps: [promote]
#   passed: the rollback target is approved and was tried
#   not_applicable: it is not for production
#   violations:
#     none:
#       message: "no rollback target is named"
#       remedy: "name one that is approved"
#       lacks: evidence
#     not_approved:
#       message: "the rollback target {0} is not approved"
#       remedy: "name one that is"
#       lacks: evidence
#     never:
#       message: "going back to {0} was never tried"
#       remedy: "try it, and record the drill"
#       lacks: evidence
#     old:
#       message: "going back was last tried {0} days ago, more than {1}"
#       remedy: "try it again, and record the drill"
#       lacks: evidence
package muniment.rules.prom_002

import data.muniment.lib.facts

default applies := false

applies if facts.to_production

violations contains {"case": "none", "args": []} if {
	applies
	not input.rollback
}

violations contains {"case": "not_approved", "args": [input.rollback.target]} if {
	applies
	not input.rollback.approved
}

violations contains {"case": "never", "args": [input.rollback.target]} if {
	applies
	input.rollback
	not drilled
}

drilled if input.rollback.drilled_at >= 0

violations contains {"case": "old", "args": [floor(age / facts.day), facts.profile.drill_days]} if {
	applies
	age := input.at - input.rollback.drilled_at
	age > facts.profile.drill_days * facts.day
}
