"""What the server needs of keys: sign, and say which public key verifies; authenticate entries.

Three keys: the log key (Ed25519) signs checkpoints, the record key (ECDSA P-256) signs records, the
entry key (HMAC-SHA256) says of every entry that this registry wrote it. The Protocol asks for
nothing a KMS or a PKCS#11 token cannot do; the entry key is used for every act, so an adapter keeps
it in memory (unwrapped at the start) where a call to its token takes longer than a commit.

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


class EntryKey(Protocol):
    """The secret that only this registry's servers have, and its database does not."""

    def mac(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`: 32 raw bytes."""
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

    @property
    def entry(self) -> EntryKey:
        """HMAC-SHA256; authenticates ledger entries."""
        ...
