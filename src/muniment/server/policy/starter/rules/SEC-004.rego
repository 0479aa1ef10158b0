# METADATA
# title: No high vulnerability is open
# custom:
#   id: SEC-004
#   class: waivable
#   source: "R-086; requirements §1.11"
#   steps: [promote]
#   passed: no high vulnerability is open
#   not_applicable: nothing is deployed beyond development
#   violations:
#     unknown:
#       message: "vulnerabilities were not looked for"
#       remedy: "import databases (`muniment vulndb import`), and add an SBOM: `muniment evidence add {0} FILE`"
#       lacks: evidence
#       waivable: false
#     open:
#       message: "{0} is open in {1}: high"
#       remedy: "update what contains it, say why it does not matter (`muniment vex add`), or ask for an exception"
#     open_high_risk:
#       message: "{0} is open in {1}: high, and so is the risk tier"
#       remedy: "update what contains it and register that; or say why it does not matter: `muniment vex add`"
#       waivable: false
package muniment.rules.sec_004

import data.muniment.lib.facts

default applies := false

applies if facts.leaves_development

violations contains {"case": "unknown", "args": [input.subject.ref]} if {
	applies
	not input.vulnerabilities
}

high contains one if {
	applies
	some one in input.vulnerabilities.open
	one.severity == "high"
}

violations contains {"case": "open", "args": [one.id, one.component]} if {
	some one in high
	facts.profile.high_cve_waivable
}

violations contains {"case": "open_high_risk", "args": [one.id, one.component]} if {
	some one in high
	not facts.profile.high_cve_waivable
}
