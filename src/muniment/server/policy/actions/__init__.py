"""The verbs of policy: ask a bundle, keep what it said, add bundles, bring one into force."""
