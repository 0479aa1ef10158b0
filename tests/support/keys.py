"""The registry's keys in memory, the same in every run."""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class _MemorySigner:
    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @cached_property
    def public_key_der(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class _MemoryMac:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mac(self, message: bytes) -> bytes:
        return hmac.new(self._secret, message, hashlib.sha256).digest()


class MemoryKeys:
    """Keys made from `seed`: same seed, same keys, same signatures (RFC 6979 for ECDSA)."""

    def __init__(self, seed: str = "muniment tests") -> None:
        def secret(name: str) -> bytes:
            return hashlib.sha256(f"{seed} {name}".encode()).digest()

        self.log = _MemorySigner(ed25519.Ed25519PrivateKey.from_private_bytes(secret("log")))
        number = int.from_bytes(secret("record")[:31], "big") + 1  # below the curve's order
        self.entry = _MemoryMac(secret("entry"))
        self.record = _MemorySigner(ec.derive_private_key(number, ec.SECP256R1()))
