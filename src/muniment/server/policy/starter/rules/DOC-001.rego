# METADATA
# title: Model card, description and limitations are complete
# custom:
#   id: DOC-001
#   class: waivable
#   source: "R-050, R-057; requirements §1.11"
#   steps: [approve]
#   passed: the documentation is complete
#   not_applicable: asked when a version is to be approved
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

default applies := false

applies if input.step == "approve"

violations contains {"case": "unknown", "args": [input.subject.ref]} if {
	applies
	not input.documentation
}

violations contains {"case": "missing", "args": [concat(", ", sort(input.documentation.missing))]} if {
	applies
	count(input.documentation.missing) > 0
}
