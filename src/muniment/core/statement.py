"""Signed statements in the formats other people's tools check.

DSSE envelopes around in-toto statements, in Sigstore bundles v0.3: one signature per envelope,
`keyid` empty, ECDSA P-256 over SHA-256. The log leaf of a signed statement is a Rekor v2
`hashedrekord` body over the envelope's pre-authentication encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from muniment.core.digest import Digest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


def statement(
    subjects: Iterable[tuple[str, Digest]], predicate_type: str, predicate: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an in-toto statement about `subjects`, each a name and the SHA-256 it has.

    Source: in-toto attestation, Statement v1.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex}} for name, digest in subjects],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
