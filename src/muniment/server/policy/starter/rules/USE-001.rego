# METADATA
# title: It is used for what it is for
# custom:
#   id: USE-001
#   class: critical_safety
#   source: "R-127, R-128; requirements §1.11; Regulation (EU) 2024/1689, Article 5(1)"
#   steps: [bind]
#   passed: the use is an allowed one
#   not_applicable: nobody new is to use it
#   violations:
#     unknown:
#       message: "it is not said what it is to be used for"
#       remedy: "say so"
#     not_allowed:
#       message: "{0} is not among its allowed uses"
#       remedy: "have the owner allow it, or use something made for it"
#     prohibited:
#       message: "{0} is a prohibited use"
#       remedy: "use something made for it"
#     nobodys:
#       message: "{0} is a use that nobody may make of anything"
#       remedy: "do without: the policy in force lists such uses (uses.prohibited)"
#     state:
#       message: "it is {0}: new use does not begin"
#       remedy: "use what replaces it"
package muniment.rules.use_001

default applies := false

applies if input.step == "bind"

violations contains {"case": "unknown", "args": []} if {
	applies
	not input.consumer
}

violations contains {"case": "not_allowed", "args": [input.consumer.use]} if {
	applies
	input.consumer
	not input.consumer.use in object.get(input.asset, "allowed_uses", [])
}

violations contains {"case": "prohibited", "args": [input.consumer.use]} if {
	applies
	input.consumer.use in object.get(input.asset, "prohibited_uses", [])
}

violations contains {"case": "nobodys", "args": [input.consumer.use]} if {
	applies
	input.consumer.use in data.uses.prohibited
}

violations contains {"case": "state", "args": [input.subject.lifecycle]} if {
	applies
	input.subject.lifecycle in {"deprecated", "retired"}
}
