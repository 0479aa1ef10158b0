# METADATA
# title: What has to be signed off was, each by the role it is for
# custom:
#   id: APPR-004
#   class: critical_safety
#   source: "R-118"
#   steps: [approve, promote]
#   passed: all that has to be signed off was
#   not_applicable: nothing has to be signed off, or nothing is to be approved
#   violations:
#     sign_off:
#       message: "nobody signed off {0} as {1}"
#       remedy: "have it signed off: `muniment approve {2} --env {3} --as {4} --sign-off {0}`"
#       lacks: approval
package muniment.rules.appr_004

import data.muniment.lib.facts

default applies := false

applies if {
	input.step == "approve"
	count(wanted) > 0
}

applies if {
	facts.to_production
	count(wanted) > 0
}

# Of the roles that have to approve, what each signs off.
wanted[sign_off] contains role if {
	some role, _ in facts.quorum
	sign_off := facts.profile.sign_offs[role]
}

given contains one.sign_off if {
	some one in facts.counted
	wanted[one.sign_off][one.role]
	count(facts.roles_of[one.person]) == 1
}

violations contains {"case": "sign_off", "args": [sign_off, concat(" or ", roles), input.subject.ref, environment, min(roles)]} if {
	applies
	some sign_off, roles in wanted
	not sign_off in given
}

environment := object.get(input, "environment", "production")
