"""Serving's verbs: each changes rows and appends its ledger entry in the caller's transaction."""
