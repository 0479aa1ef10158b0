"""The SDK and the command line: everything a user of a registry runs.

Owns: credentials and trusted keys on this machine, uploads and downloads, offline verification.
Promises: every byte that comes in is checked against the manifest before it gets its final name;
a write is never repeated without its Idempotency-Key. Does not know the server's code.
"""
