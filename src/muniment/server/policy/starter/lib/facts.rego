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
