# METADATA
# title: The SBOM is there, signed, covers these files and has the minimum elements
# custom:
#   id: SEC-001
#   class: critical_safety
#   source: "R-088; requirements §1.11"
#   steps: [candidate, approve, promote]
#   passed: a signed SBOM covers these files
#   not_applicable: nothing becomes a candidate, is approved, or is deployed beyond development
#   violations:
#     missing:
#       message: "there is no SBOM"
#       remedy: "add one, and a signed context: `muniment evidence add {0} FILE --context CONTEXT`"
#       lacks: evidence
#     unsigned:
#       message: "the SBOM is not signed by anybody the registry believes"
#       remedy: "have the pipeline that makes it sign a context: `muniment evidence add {0} FILE --context CONTEXT`"
#       lacks: evidence
#     other_files:
#       message: "the SBOM is about other files ({0})"
#       remedy: "make it from the files that were registered"
#       lacks: evidence
#     incomplete:
#       message: "the SBOM lacks minimum elements: {0}"
#       remedy: "have the tool write them"
#       lacks: evidence
package muniment.rules.sec_001

import data.muniment.lib.facts

default applies := false

applies if facts.as_candidate

violations contains {"case": "missing", "args": [input.subject.ref]} if {
	applies
	not input.sbom
}

violations contains {"case": "unsigned", "args": [input.subject.ref]} if {
	applies
	input.sbom
	not input.sbom.signed
}

violations contains {"case": "other_files", "args": [input.sbom.subject_sha256]} if {
	applies
	input.sbom.subject_sha256 != input.subject.artifact_sha256
}

violations contains {"case": "incomplete", "args": [concat(", ", sort(input.sbom.missing_elements))]} if {
	applies
	count(input.sbom.missing_elements) > 0
}
