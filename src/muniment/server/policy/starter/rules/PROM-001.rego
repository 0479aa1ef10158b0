# METADATA
# title: A workload identity that the asset trusts executes promotions to production
# custom:
#   id: PROM-001
#   class: critical_safety
#   source: "R-139, R-140; requirements §1.11"
#   steps: [promote]
#   passed: a trusted pipeline executes it
#   not_applicable: it is not for production
#   violations:
#     person:
#       message: "a {0} would execute it; production is moved by a pipeline"
#       remedy: "ask for it (`muniment request {1} --to production`); the pipeline runs `muniment promote`"
#     untrusted:
#       message: "the asset does not trust this pipeline to promote there"
#       remedy: "an administrator permits it: `muniment trust add`"
package muniment.rules.prom_001

import data.muniment.lib.facts

default applies := false

applies if facts.to_production

kind := object.get(input, ["executor", "kind"], "nobody known")

violations contains {"case": "person", "args": [kind, input.subject.ref]} if {
	applies
	kind != "workload"
}

violations contains {"case": "untrusted", "args": []} if {
	applies
	kind == "workload"
	not input.executor.trusted
}
