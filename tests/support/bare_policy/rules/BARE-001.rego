# METADATA
# title: What is quarantined goes nowhere
# custom:
#   id: BARE-001
#   class: critical_safety
#   source: "for tests that are about something else"
#   steps: [candidate, approve, promote, bind]
#   passed: it is not quarantined
#   not_applicable: nothing is asked
#   violations:
#     held:
#       message: "{0} is quarantined"
#       remedy: "release it: `muniment release {0} --reason …`"
package muniment.rules.bare_001

default applies := false

applies if input.step in {"candidate", "approve", "promote", "bind"}

violations contains {"case": "held", "args": [input.subject.ref]} if {
	applies
	input.subject.quarantined
}
