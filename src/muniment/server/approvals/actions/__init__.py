"""The verbs of approvals: each changes rows and appends its entry in the caller's transaction.

All that is done to one request is done in turn, by its row's lock.
"""
