# What several rules read. What is not known is taken for the stricter.
package muniment.lib.facts

default tier := "high"

tier := input.asset.risk_tier if input.asset.risk_tier in {"minimal", "limited"}

profile := data.profiles[tier]

default change_class := "substantial"

change_class := input.subject.change_class

quorum := data.quorum[tier][change_class]

day := 86400

hour := 3600

to_production if {
	input.step == "promote"
	input.stage == "production"
}

leaves_development if {
	input.step == "promote"
	input.stage in {"staging", "production"}
}

# A stage that is not said counts as production.
leaves_development if {
	input.step == "promote"
	not input.stage
}

to_production if {
	input.step == "promote"
	not input.stage
}

# What a candidate must show is asked again wherever it goes from there.
as_candidate if input.step in {"candidate", "approve"}

as_candidate if leaves_development

# What approval rests on is asked again when it is used.
as_approved if input.step == "approve"

as_approved if to_production

authors := {one | some one in object.get(input.subject, "authors", [])}

# Who has signed exactly what is to be approved, may still sign, and neither asked for it nor made it.
counted contains one if {
	some one in input.approvals
	one.decision == "approve"
	one.signature_valid
	one.eligible
	one.frozen_sha256 == input.request.frozen_sha256
	one.at <= input.at
	one.person != input.request.requester
	not one.person in authors
}

# One person has one role: who signed under several counts under none.
roles_of[one.person] contains one.role if some one in counted

signed := [role | some roles in roles_of; count(roles) == 1; some role in roles]
