# METADATA
# title: The people who have to approve did, and none of them asked for it or made it
# custom:
#   id: APPR-001
#   class: critical_safety
#   source: "R-100, R-112, R-114; requirements §1.3, §1.11"
#   steps: [approve, promote]
#   passed: the quorum is met
#   not_applicable: nothing is to be approved
#   violations:
#     no_request:
#       message: "nobody asked for approval"
#       remedy: "ask for it: `muniment request {0} --to production`"
#       lacks: approval
#     role:
#       message: "{0} of {1} with the role {2} approved"
#       remedy: "have somebody with the role {2} approve it"
#       lacks: approval
#     rejected:
#       message: "{0} rejected it"
#       remedy: "mend what was said, and ask again"
#     comments:
#       message: "{0} comments are open"
#       remedy: "answer and resolve them"
#       lacks: approval
#     re_conformity:
#       message: "a substantial change of a high-risk system needs a reference to its conformity assessment"
#       remedy: "add the reference to the request"
#       lacks: evidence
package muniment.rules.appr_001

import data.muniment.lib.facts

default applies := false

applies if input.step == "approve"

applies if facts.to_production

people := {role: n | some role, _ in facts.quorum; n := count([1 | some one in facts.signed; one == role])}

violations contains {"case": "no_request", "args": [input.subject.ref]} if {
	applies
	not input.request
}

violations contains {"case": "role", "args": [people[role], needed, role]} if {
	applies
	some role, needed in facts.quorum
	people[role] < needed
}

violations contains {"case": "rejected", "args": [one.person]} if {
	applies
	some one in input.approvals
	one.decision == "reject"
	one.signature_valid
	one.frozen_sha256 == input.request.frozen_sha256
}

violations contains {"case": "comments", "args": [input.request.open_comments]} if {
	applies
	input.request.open_comments > 0
}

violations contains {"case": "re_conformity", "args": []} if {
	applies
	facts.profile.re_conformity
	facts.change_class == "substantial"
	trim_space(object.get(input, ["request", "re_conformity_reference"], "")) == ""
}
