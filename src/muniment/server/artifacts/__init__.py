"""Artifacts: uploads, manifests, and the verb that registers a version.

Owns upload sessions, blobs' formats and manifests. Promises: a version's bytes are held, verified,
before the version exists; a manifest never changes; knowing a digest gives no access to its bytes.
Does not decide what may run where.
"""

from muniment.server.artifacts.reads import FOLDS, required_blobs

__all__ = ["FOLDS", "required_blobs"]
