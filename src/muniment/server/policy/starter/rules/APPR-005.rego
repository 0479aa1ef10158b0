# METADATA
# title: The steps of the review were done in their order, by whom they are for
# description: A profile lists the steps in `review_steps`; the starter bundle has none.
# custom:
#   id: APPR-005
#   class: critical_safety
#   source: "R-121, R-120"
#   steps: [approve, promote]
#   passed: every step of the review was done in its order, or does not apply
#   not_applicable: its risk tier has no review steps, or nothing is to be approved
#   violations:
#     step:
#       message: "the step {0} was not done by anybody with the role {1}"
#       remedy: "have it done: `muniment approve {2} --env {3} --as {4} --step {0}`"
#       lacks: approval
#     waits:
#       message: "the step {0} waits for {1}"
#       remedy: "have {1} done first"
#       lacks: approval
#     order:
#       message: "the step {0} comes after {1}, and was done before"
#       remedy: "have it done again: `muniment approve {2} --env {3} --as {4} --step {0}`"
#       lacks: approval
package muniment.rules.appr_005

import data.muniment.lib.facts

default applies := false

applies if {
	input.step == "approve"
	count(steps) > 0
}

applies if {
	facts.to_production
	count(steps) > 0
}

steps := object.get(facts.profile, "review_steps", [])

environment := object.get(input, "environment", "production")

# Who has signed exactly what is to be approved, and may still sign.
signed contains one if {
	some one in input.approvals
	one.signature_valid
	one.eligible
	one.frozen_sha256 == input.request.frozen_sha256
	one.at <= input.at
}

own(one) if one.person == input.request.requester

own(one) if one.person in facts.authors

# Who asked or made it does the step of the author, and no other; others do not do that.
by_whom_it_is(step, one) if {
	one.role in step.roles
	one.role == "author"
	own(one)
}

by_whom_it_is(step, one) if {
	one.role in step.roles
	one.role != "author"
	not own(one)
}

said(_, one) if one.decision == "approve"

said(step, one) if {
	one.decision == "not_applicable"
	step.optional
}

done[step.name] contains one.at if {
	some step in steps
	some one in signed
	one.review_step == step.name
	by_whom_it_is(step, one)
	said(step, one)
}

first(step) := [name | some name in object.get(step, "after", [])]

waits_for(step) := [name | some name in first(step); not done[name]]

violations contains {"case": "step", "args": [step.name, concat(" or ", step.roles), input.subject.ref, environment, step.roles[0]]} if {
	applies
	some step in steps
	not done[step.name]
	count(waits_for(step)) == 0
}

violations contains {"case": "waits", "args": [step.name, concat(", ", waits_for(step))]} if {
	applies
	some step in steps
	not done[step.name]
	count(waits_for(step)) > 0
}

# What comes first was done, or done again, since; or what did it counts no more.
violations contains {"case": "order", "args": [step.name, name, input.subject.ref, environment, step.roles[0]]} if {
	applies
	some step in steps
	some name in first(step)
	done[step.name]
	not before(name, step.name)
}

before(name, other) if max(done[name]) <= max(done[other])
