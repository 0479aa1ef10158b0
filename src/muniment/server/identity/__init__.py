"""Who calls: principals, their roles and their tokens.

Owns principals, role grants and tokens, and the way the first administrator comes to be. Promises:
nothing readable as a secret is stored; a token gives at most what its principal has at that
moment; the last administrator stays one. Does not decide what a verb protects.
"""
