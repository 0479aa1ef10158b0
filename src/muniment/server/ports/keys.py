"""What the server needs of keys: sign, and say which public key verifies.

Two keys: the log key (Ed25519) signs checkpoints, the record key (ECDSA P-256) signs records.
The Protocol asks for nothing a KMS or a PKCS#11 token cannot do.

Adapter: `muniment.server.ports.key_files`.
"""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """One private key, wherever it lives."""

    @property
    def public_key_der(self) -> bytes:
        """The public key as SubjectPublicKeyInfo, DER."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign `message` (not its digest).

        Ed25519: 64 raw bytes. ECDSA P-256: ASN.1 DER over SHA-256 of `message`.
        """
        ...


class Keys(Protocol):
    """The registry's own keys."""

    @property
    def log(self) -> Signer:
        """Ed25519; signs checkpoints."""
        ...

    @property
    def record(self) -> Signer:
        """ECDSA P-256; signs records."""
        ...
