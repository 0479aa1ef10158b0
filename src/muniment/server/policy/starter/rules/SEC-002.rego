# METADATA
# title: Provenance is there, by an allowed workflow, about these files
# custom:
#   id: SEC-002
#   class: critical_safety
#   source: "R-087, R-088; requirements §1.11"
#   steps: [candidate, approve, promote]
#   passed: an allowed workflow says how these files were made
#   not_applicable: nothing becomes a candidate, is approved, or is deployed beyond development
#   violations:
#     missing:
#       message: "there is no provenance"
#       remedy: "have the pipeline attest what it built and add that: `muniment evidence add {0} FILE`"
#       lacks: evidence
#     signer:
#       message: "its signer is not a workflow that the asset trusts"
#       remedy: "build with a trusted workflow, or have an administrator believe its signer: `muniment signer add`"
#       lacks: evidence
#     other_files:
#       message: "the provenance is about other files ({0})"
#       remedy: "attest the files that were registered"
#       lacks: evidence
package muniment.rules.sec_002

import data.muniment.lib.facts

default applies := false

applies if facts.as_candidate

violations contains {"case": "missing", "args": [input.subject.ref]} if {
	applies
	not input.provenance
}

violations contains {"case": "signer", "args": []} if {
	applies
	input.provenance
	not input.provenance.signer_allowed
}

violations contains {"case": "other_files", "args": [input.provenance.subject_sha256]} if {
	applies
	input.provenance.subject_sha256 != input.subject.artifact_sha256
}
