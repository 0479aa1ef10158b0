# METADATA
# title: What nobody owns finds an owner, or ends
# custom:
#   id: LIFE-002
#   class: automatic
#   source: "R-132; requirements §1.11"
#   steps: [daily]
#   passed: somebody owns it
#   not_applicable: asked once a day of what is not retired
#   violations:
#     notify:
#       message: "nobody who is active owns it"
#       remedy: "tell the escalation contact: it needs an owner"
#     deprecate:
#       message: "nobody has owned it for {0} days, more than {1}"
#       remedy: "deprecate it"
#     retire:
#       message: "nobody has owned it for {0} days, more than {1}"
#       remedy: "retire it"
package muniment.rules.life_002

import data.muniment.lib.facts

default applies := false

applies if {
	input.step == "daily"
	input.subject.lifecycle != "retired"
}

owned if input.asset.owner_active

owned if input.asset.backup_owner_active

days := floor((input.at - object.get(input.asset, "unowned_since", input.at)) / facts.day)

violations contains {"case": "notify", "args": []} if {
	applies
	not owned
	days <= data.life.unowned_deprecate_days
}

violations contains {"case": "deprecate", "args": [days, data.life.unowned_deprecate_days]} if {
	applies
	not owned
	days > data.life.unowned_deprecate_days
	days <= data.life.unowned_retire_days
}

violations contains {"case": "retire", "args": [days, data.life.unowned_retire_days]} if {
	applies
	not owned
	days > data.life.unowned_retire_days
}
