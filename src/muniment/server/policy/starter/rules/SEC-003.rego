# METADATA
# title: No critical vulnerability is open, by databases of today
# custom:
#   id: SEC-003
#   class: critical_safety
#   source: "R-086; requirements §1.3, §1.11"
#   steps: [approve, promote]
#   passed: no critical vulnerability is open
#   not_applicable: nothing is approved, or deployed beyond development
#   violations:
#     unknown:
#       message: "vulnerabilities were not looked for"
#       remedy: "import databases (`muniment vulndb import`), and add an SBOM: `muniment evidence add {0} FILE`"
#       lacks: evidence
#     uncovered:
#       message: "no database here is about its {0} packages"
#       remedy: "import one: `muniment vulndb import`"
#       lacks: evidence
#     stale:
#       message: "the vulnerability databases are {0} hours old, more than {1}"
#       remedy: "import today's: `muniment vulndb import`"
#       lacks: evidence
#     open:
#       message: "{0} is open in {1}: critical, or of unknown severity"
#       remedy: "update what contains it and register that; or say why it does not matter: `muniment vex add`"
package muniment.rules.sec_003

import data.muniment.lib.facts

default applies := false

applies if facts.leaves_development

applies if input.step == "approve"

violations contains {"case": "unknown", "args": [input.subject.ref]} if {
	applies
	not input.vulnerabilities
}

violations contains {"case": "uncovered", "args": [kind]} if {
	applies
	some kind in input.vulnerabilities.uncovered
}

# An approval does not end because nobody looked today: going back must stay possible.
violations contains {"case": "stale", "args": [floor(age / facts.hour), facts.profile.snapshot_hours]} if {
	facts.leaves_development
	age := input.at - input.vulnerabilities.snapshot_at
	age > facts.profile.snapshot_hours * facts.hour
}

violations contains {"case": "open", "args": [one.id, one.component]} if {
	applies
	some one in input.vulnerabilities.open
	one.severity in {"critical", "unknown"}
}
