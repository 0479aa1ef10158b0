"""Keys of people's own: what one is called, and how somebody shows that it is theirs.

The private key never leaves the machine of who it belongs to; the registry knows the public one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from muniment.core.envelope import read_public_key
from muniment.core.errors import BadProof
from muniment.core.statement import public_key_pem, verify_p256

#: What a key may be called: a file on its owner's machine has that name too.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

_CONTEXT: Final = "muniment/signing-key/v1"
_P256_BYTES: Final = 91
_P256_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def key_sha256(public_der: bytes) -> str:
    """Return what a key is called: SHA-256 of its PEM, in hex, as a bundle's hint has it."""
    return hashlib.sha256(public_key_pem(public_der).encode()).hexdigest()


def read_own_key(pem: str) -> bytes:
    """Return a P-256 public key in PEM as SubjectPublicKeyInfo (DER).

    Raises:
        BadProof: it is another kind of key, or none.
    """
    public_der = read_public_key(pem)
    if len(public_der) != _P256_BYTES or not public_der.startswith(_P256_HEAD):
        raise BadProof("expected an ECDSA P-256 public key in PEM, found another kind of key")
    return public_der


def possession(principal_id: str, public_der: bytes) -> bytes:
    """Return what a person signs to show that a key is theirs."""
    return f"{_CONTEXT}\n{principal_id}\n{key_sha256(public_der)}\n".encode()


def check_possession(principal_id: str, public_der: bytes, proof: bytes) -> None:
    """Go on only if `proof` (ASN.1 DER) was made with the key, for that principal.

    Raises:
        BadSignature: it was not.
    """
    verify_p256(possession(principal_id, public_der), proof, public_der)
