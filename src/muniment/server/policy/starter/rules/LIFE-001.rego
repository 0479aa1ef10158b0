# METADATA
# title: What nobody uses is deprecated, then retired
# custom:
#   id: LIFE-001
#   class: automatic
#   source: "R-130; requirements §1.11"
#   steps: [daily]
#   passed: it is in use, or its grace has not ended
#   not_applicable: asked once a day of what is not retired, where its use is known
#   violations:
#     deprecate:
#       message: "nobody has used it for {0} days, more than {1}"
#       remedy: "deprecate it"
#     retire:
#       message: "it was deprecated {0} days ago, more than {1}, and nobody has used it since"
#       remedy: "retire it"
package muniment.rules.life_001

import data.muniment.lib.facts

default applies := false

applies if {
	input.step == "daily"
	input.activity
	input.subject.lifecycle != "retired"
}

unused := input.at - input.activity.last_used_at

violations contains {"case": "deprecate", "args": [floor(unused / facts.day), data.life.stale_days]} if {
	applies
	input.subject.lifecycle != "deprecated"
	unused > data.life.stale_days * facts.day
}

violations contains {"case": "retire", "args": [floor(age / facts.day), data.life.grace_days]} if {
	applies
	input.subject.lifecycle == "deprecated"
	age := input.at - input.activity.deprecated_at
	age > data.life.grace_days * facts.day
	input.activity.last_used_at <= input.activity.deprecated_at
}
