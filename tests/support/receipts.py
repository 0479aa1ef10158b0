"""A small log in memory that gives receipts, made of core alone."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core import merkle
from muniment.core.checkpoint import Checkpoint, LogKey, sign_checkpoint
from muniment.core.digest import Digest, digest_of
from muniment.core.entry import entry_leaf, envelope, payload_bytes, record_statement
from muniment.core.receipt import Receipt, TrustedKeys
from muniment.core.statement import sign_bundle
from tests.support.keys import MemoryKeys

ORIGIN = "audit.registry.example"
SALT = "00112233445566778899aabbccddeeff"
PREDICATE = "https://muniment.example/attestation/decision/v1"
AT = dt.datetime(2026, 4, 20, 9, 0, tzinfo=dt.UTC)
PAYLOAD: Mapping[str, Any] = {"version": "1.2.0", "metric": 0.25, "large": 1e17, "note": "für Ada"}


def an_envelope(payload: bytes, **changes: Any) -> dict[str, Any]:
    """Return an envelope over `payload`; `changes` replace arguments of `envelope`."""
    given: dict[str, Any] = {
        "entry_id": uuid.UUID("01963f2a-0000-7000-8000-000000000001"),
        "at": AT,
        "act": "version.register",
        "actor": {"kind": "person", "id": "ada"},
        "subject": {"kind": "version", "id": "7", "name": "fraud-detector@1.2.0"},
        "digests": [Digest(bytes(range(32)))],
        "payload_sha256": digest_of(payload),
    }
    return envelope(**(given | changes))


@dataclass
class MemoryLog:
    """Leaves in order, and the keys that sign for them."""

    keys: MemoryKeys
    leaves: list[bytes]

    @property
    def log_key(self) -> LogKey:
        """The log's verifier key."""
        return LogKey(ORIGIN, self.keys.log.public_key_der[-32:])

    @property
    def trusted(self) -> TrustedKeys:
        """What a verifier is given."""
        return TrustedKeys(self.log_key.vkey, self.keys.record.public_key_der)

    def checkpoint(self) -> str:
        """The signed checkpoint over all leaves."""
        root = merkle.root_hash([merkle.leaf_hash(leaf) for leaf in self.leaves])
        head = Checkpoint(ORIGIN, len(self.leaves), root)
        return sign_checkpoint(head, ORIGIN, self.keys.log.sign, self.log_key.public)

    def receipt(
        self, index: int, payload: bytes | None = None, bundle: dict[str, Any] | None = None
    ) -> Receipt:
        """The receipt of a leaf against the newest checkpoint."""
        hashes = [merkle.leaf_hash(leaf) for leaf in self.leaves]
        return Receipt(
            leaf=self.leaves[index],
            payload=payload,
            bundle=bundle,
            index=index,
            tree_size=len(self.leaves),
            hashes=tuple(merkle.inclusion_proof(index, hashes)),
            checkpoint=self.checkpoint(),
        )

    def unsigned_receipt(self, **changes: Any) -> Receipt:
        """Put an unsigned entry in the log; return its receipt."""
        payload = payload_bytes(PAYLOAD, SALT)
        given = {"act": "version.annotate", **changes}
        return self.add(entry_leaf(an_envelope(payload, **given)), payload)

    def signed_receipt(self, **changes: Any) -> Receipt:
        """Put a signed entry in the log; return its receipt."""
        payload = payload_bytes(PAYLOAD, SALT)
        return self.add_statement(
            record_statement(an_envelope(payload, **changes), payload, PREDICATE)
        )

    def add_statement(self, statement: dict[str, Any]) -> Receipt:
        """Sign any statement and put it in the log; return its receipt."""
        record = self.keys.record
        bundle, leaf = sign_bundle(statement, record.sign, record.public_key_der)
        return self.add(leaf, None, bundle)

    def add(
        self, leaf: bytes, payload: bytes | None = None, bundle: dict[str, Any] | None = None
    ) -> Receipt:
        """Put any leaf in the log; return its receipt."""
        self.leaves.append(leaf)
        return self.receipt(len(self.leaves) - 1, payload, bundle)


def a_log(size: int = 4) -> MemoryLog:
    """Return a log with new keys that holds `size` leaves of somebody else."""
    return MemoryLog(MemoryKeys(), [b"leaf %d" % index for index in range(size)])
