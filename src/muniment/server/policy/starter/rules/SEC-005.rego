# METADATA
# title: Loading it runs nothing it should not
# custom:
#   id: SEC-005
#   class: critical_safety
#   source: "R-085, R-095; requirements §1.11"
#   steps: [candidate, approve, promote]
#   passed: nothing wrong was found, and its format is allowed for its risk tier
#   not_applicable: nothing becomes a candidate, is approved, or is deployed beyond development
#   violations:
#     missing:
#       message: "its files were not scanned"
#       remedy: "scan them: `muniment scan {0}`"
#       lacks: evidence
#     unread:
#       message: "something in its files could not be read to its end"
#       remedy: "register files that can be read whole"
#     found:
#       message: "{0} in {1}"
#       remedy: "register files without it"
#     executable:
#       message: "loading it may run code in its files, which its risk tier ({0}) does not allow"
#       remedy: "register a format that holds data only, such as safetensors or ONNX"
package muniment.rules.sec_005

import data.muniment.lib.facts

default applies := false

applies if facts.as_candidate

violations contains {"case": "missing", "args": [input.subject.ref]} if {
	applies
	not input.scan
}

violations contains {"case": "unread", "args": []} if {
	applies
	input.scan
	not input.scan.complete
}

violations contains {"case": "found", "args": [one.rule, one.path]} if {
	applies
	some one in input.scan.findings
}

violations contains {"case": "executable", "args": [facts.tier]} if {
	applies
	input.scan.executable
	not facts.profile.executable_allowed
}
