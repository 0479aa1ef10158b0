"""The lifecycle's verbs: each changes rows and appends its ledger entry in the caller's transaction.

All of them lock the asset first, so that what is done to one asset is done in turn.
"""
