# METADATA
# title: What contains a vulnerability that is used in attacks is quarantined
# custom:
#   id: LIFE-003
#   class: automatic
#   source: "R-091; requirements §1.11"
#   steps: [event, daily]
#   passed: no vulnerability in it is known to be used in attacks
#   not_applicable: asked when databases change, and once a day
#   violations:
#     exploited:
#       message: "{0} in {1} is used in attacks"
#       remedy: "quarantine it"
package muniment.rules.life_003

default applies := false

applies if {
	input.step in {"event", "daily"}
	input.subject.lifecycle != "retired"
	not quarantined
}

quarantined if input.subject.quarantined

violations contains {"case": "exploited", "args": [one.id, one.component]} if {
	applies
	some one in input.vulnerabilities.open
	one.exploited
}
