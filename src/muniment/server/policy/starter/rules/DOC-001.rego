# METADATA
# title: Model card, description and limitations are complete
# custom:
#   id: DOC-001
#   class: waivable
#   source: "R-050, R-057; requirements §1.11"
#   steps: [approve, promote]
#   passed: the documentation is complete
#   not_applicable: nothing is approved, or deployed to production
#   violations:
#     unknown:
#       message: "it is not known whether it is documented"
#       remedy: "`muniment show {0}` says what is missing"
#       lacks: evidence
#     missing:
#       message: "missing: {0}"
#       remedy: "metadata never changes: register a new version with it"
#       lacks: evidence
package muniment.rules.doc_001

import data.muniment.lib.facts

default applies := false

applies if facts.as_approved

violations contains {"case": "unknown", "args": [input.subject.ref]} if {
	applies
	not input.documentation
}

violations contains {"case": "missing", "args": [concat(", ", sort(input.documentation.missing))]} if {
	applies
	count(input.documentation.missing) > 0
}
