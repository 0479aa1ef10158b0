"""A Merkle log in memory, with a real Ed25519 key: what the fake registry proves things with."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from muniment.core import merkle
from muniment.core.checkpoint import Checkpoint, LogKey, sign_checkpoint
from muniment.core.digest import Digest, digest_of
from muniment.core.entry import (
    SIGNED_ACTS,
    entry_leaf,
    envelope,
    payload_bytes,
    record_statement,
)
from muniment.core.statement import public_key_pem, sign_bundle
from tests.support.keys import MemoryKeys

AT = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ORIGIN = "registry.example"


class FakeLog:
    """A Merkle log in memory, with an Ed25519 key."""

    def __init__(self, seed: int = 1, origin: str = ORIGIN) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.key = LogKey(origin, self.private.public_key().public_bytes_raw())
        self.leaves: list[bytes] = []
        self.entries: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.record = MemoryKeys().record
        self.bundles: list[dict[str, Any] | None] = []

    @property
    def record_key_pem(self) -> str:
        return public_key_pem(self.record.public_key_der)

    def append(self, act: str, name: str, digests: list[Digest], payload: dict[str, Any]) -> str:
        entry_id = uuid.UUID(int=(1 << 127) + len(self.leaves))
        data = payload_bytes(payload, f"{len(self.leaves):032x}")
        fields = envelope(
            entry_id=entry_id,
            at=AT,
            act=act,
            actor={"kind": "person", "id": "ada"},
            subject={"kind": act.split(".", maxsplit=1)[0], "id": name, "name": name},
            digests=digests,
            payload_sha256=digest_of(data),
        )
        self.bundles.append(None)
        leaf = b""
        if act in SIGNED_ACTS:
            statement = record_statement(fields, data, "https://registry.example/registration")
            key = self.record
            self.bundles[-1], leaf = sign_bundle(statement, key.sign, key.public_key_der)
        self.leaves.append(leaf or entry_leaf(fields))
        self.entries.append(fields)
        self.payloads.append(data)
        return str(entry_id)

    def hashes(self, size: int | None = None) -> list[bytes]:
        return [merkle.leaf_hash(leaf) for leaf in self.leaves[:size]]

    def note(self, size: int | None = None) -> str:
        size = len(self.leaves) if size is None else size
        checkpoint = Checkpoint(self.key.name, size, merkle.root_hash(self.hashes(size)))
        return sign_checkpoint(checkpoint, self.key.name, self.private.sign, self.key.public)

    def receipt(self, index: int) -> dict[str, Any]:
        size = len(self.leaves)
        proof = merkle.inclusion_proof(index, self.hashes())
        return {
            "schema": "muniment/receipt/v1",
            "leaf": b64(self.leaves[index]),
            "payload": b64(self.payloads[index]),
            "bundle": self.bundles[index],
            "index": index,
            "tree_size": size,
            "hashes": [b64(each) for each in proof],
            "checkpoint": self.note(),
        }


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()
