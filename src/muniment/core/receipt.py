"""What a caller keeps: one entry of the log with all it takes to check it without us.

`verify` believes two public keys and nothing else. Its steps, in order:

1. the checkpoint is signed by the log's key, and its origin is that key's name;
2. the receipt's tree is the checkpoint's tree;
3. the leaf is in that tree, at that index;
4. the leaf is an entry: an envelope as it stands, or a hashedrekord body of a signed statement;
5. of a signed one: the bundle's signature is by the record key, over the bundle's statement;
6. the leaf is exactly what that statement, signature and key make, and the bundle holds nothing
   else (but its own copy of the proof);
7. the statement is exactly what its envelope and payload make;
8. the payload, where it was not erased, is the one the envelope names, byte for byte.

Source: each step names its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.canon import canonical, from_base64, loads_strict, to_base64
from muniment.core.checkpoint import MAX_NOTE_BYTES, Checkpoint, LogKey, open_checkpoint
from muniment.core.digest import digest_of
from muniment.core.entry import (
    envelope,
    payload_bytes,
    read_payload,
    read_record_statement,
    read_unsigned_leaf,
    record_statement,
)
from muniment.core.errors import BadJson, BadProof
from muniment.core.merkle import (
    MAX_ENTRY_BYTES,
    MAX_SIZE,
    leaf_hash,
    verify_inclusion,
)
from muniment.core.statement import (
    bundle_leaf,
    read_bundle,
    unlogged_bundle,
    verify_bundle,
    with_inclusion,
)

__all__ = [
    "MAX_RECEIPT_BYTES",
    "SCHEMA",
    "Receipt",
    "TrustedKeys",
    "Verified",
    "envelope",
    "payload_bytes",
    "record_statement",
    "verify",
]

SCHEMA = "muniment/receipt/v1"
MAX_RECEIPT_BYTES = 16 * 1024 * 1024
MAX_HASHES = 63

#: Envelope, payload (None: erased or left out), predicate type (None: not signed).
_Opened = tuple[dict[str, Any], bytes | None, str | None]

_SIGNED_LEAF = re.compile(rb'\{"apiVersion":"0\.0\.2","kind":"hashedrekord",')


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys a verifier believes: the log's verifier key, and the record key.

    `record_key_der` is a P-256 SubjectPublicKeyInfo; without it signed entries cannot be checked
    and are refused.
    """

    log_vkey: str
    record_key_der: bytes | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves.

    `entry` is the envelope (schema, id, time, actor, act, subject, digests, payload_sha256);
    `payload` is without its salt, None if it was erased or left out; `predicate_type` is None for
    an unsigned entry.
    """

    entry: dict[str, Any]
    index: int
    tree_size: int
    checkpoint: Checkpoint
    payload: dict[str, Any] | None = None
    predicate_type: str | None = None

    @property
    def signed(self) -> bool:
        """Whether the record key signed this entry, besides the log that holds it."""
        return self.predicate_type is not None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One entry, its place in the log, and the proof; nothing in it is verified yet.

    `leaf`, `payload` and `hashes` are raw bytes, `hashes` bottom-up; `bundle` is the Sigstore
    bundle of a signed entry; `checkpoint` is the signed note of a tree of `tree_size` leaves.
    """

    leaf: bytes
    payload: bytes | None
    bundle: dict[str, Any] | None
    index: int
    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    @classmethod
    def parse(cls, source: bytes | str | Mapping[str, Any]) -> Receipt:
        """Read a receipt, as JSON text or as the JSON object already read.

        Raises:
            BadProof: it is none; `problems` names every member that is wrong.
        """
        fields = _object(source)
        values: dict[str, Any] = {}
        problems = [
            {"field": str(name), "message": "not a member of a receipt"}
            for name in fields.keys() - _READERS.keys() - {"schema"}
        ]
        if fields.get("schema") != SCHEMA:
            problems.append({"field": "schema", "message": f"expected {SCHEMA}"})
        for name, read in _READERS.items():
            try:
                values[name] = read(fields[name])
            except KeyError:
                problems.append({"field": name, "message": "missing"})
            except BadProof as error:
                problems.append({"field": name, "message": error.message})
        if problems:
            wrong = "; ".join(f"{each['field'][:40]}: {each['message']}" for each in problems[:9])
            raise BadProof(
                f"expected a receipt, found one that is wrong: {wrong}", problems=problems
            )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as a JSON object: what `parse` reads."""
        return {
            "schema": SCHEMA,
            "leaf": to_base64(self.leaf),
            "payload": None if self.payload is None else to_base64(self.payload),
            "bundle": self.bundle,
            "index": self.index,
            "tree_size": self.tree_size,
            "hashes": [to_base64(each) for each in self.hashes],
            "checkpoint": self.checkpoint,
        }

    def tlog_proof(self) -> str:
        """Return the proof as C2SP text, for tools that know nothing of Muniment.

        They take the leaf itself as the file that is proved.

        Source: c2sp.org/tlog-proof@v1.
        """
        hashes = "".join(to_base64(each) + "\n" for each in self.hashes)
        return f"c2sp.org/tlog-proof@v1\nindex {self.index}\n{hashes}\n{self.checkpoint}"

    def sigstore_bundle(self, trusted: TrustedKeys) -> dict[str, Any]:
        """Return the bundle of a signed entry with its inclusion proof, for Sigstore's tools.

        Raises:
            BadProof, BadSignature: the receipt does not verify, or its entry is not signed.
        """
        verified = verify(self, trusted)
        if self.bundle is None:
            raise BadProof("expected a signed entry, found one that only the log vouches for")
        return _logged_bundle(self, trusted, verified.checkpoint)


def verify(receipt: Receipt, trusted: TrustedKeys) -> Verified:
    """Return what a receipt proves under `trusted`; the steps are at the top of this file.

    Raises:
        BadProof: a part is malformed, missing, or does not belong to the others.
        BadSignature: the log's or the record key's signature does not verify.
    """
    # 1. The log signed the checkpoint. Source: c2sp.org/tlog-checkpoint.
    checkpoint = open_checkpoint(receipt.checkpoint, trusted.log_vkey)
    # 2. It is the tree the receipt speaks of.
    if checkpoint.size != receipt.tree_size:
        msg = f"expected the checkpoint of {receipt.tree_size} leaves, found {checkpoint.size}"
        raise BadProof(msg)
    # 3. The leaf is in it. Source: RFC 9162 §2.1.3.2.
    verify_inclusion(
        leaf_hash(receipt.leaf), receipt.index, receipt.tree_size, receipt.hashes, checkpoint.root
    )
    # 4. The leaf is an entry. Source: design §5, rule 3.
    signed = _SIGNED_LEAF.match(receipt.leaf) is not None
    entry, payload, predicate_type = (
        _open_signed(receipt, trusted, checkpoint) if signed else _open_unsigned(receipt)
    )
    # 8. The payload is the one the entry names.
    if payload is not None and digest_of(payload).hex != entry["payload_sha256"]:
        raise BadProof("expected the payload that payload_sha256 names, found another")
    return Verified(
        entry,
        receipt.index,
        receipt.tree_size,
        checkpoint,
        payload=None if payload is None else read_payload(payload),
        predicate_type=predicate_type,
    )


def _open_unsigned(receipt: Receipt) -> _Opened:
    if receipt.bundle is not None:
        raise BadProof("expected no bundle beside an unsigned entry, found one")
    return read_unsigned_leaf(receipt.leaf), receipt.payload, None


def _open_signed(receipt: Receipt, trusted: TrustedKeys, checkpoint: Checkpoint) -> _Opened:
    """Return envelope, payload and predicate type of a signed entry (steps 5 to 8)."""
    key = trusted.record_key_der
    if key is None:
        raise BadProof("this entry is signed: the registry's record key is needed to check it")
    if receipt.bundle is None:
        raise BadProof("this entry is signed, but its statement was erased: nothing left to check")
    # 5. The record key signed the statement. Source: DSSE v1.0.2, Verification.
    found = verify_bundle(receipt.bundle, key)
    # 6. That statement and signature are what was logged. Source: Rekor v2 client guide.
    if bundle_leaf(*read_bundle(receipt.bundle), key) != receipt.leaf:
        raise BadProof("expected the leaf that this bundle makes, found another")
    expected = [unlogged_bundle(receipt.bundle, key), _logged_bundle(receipt, trusted, checkpoint)]
    if not any(_same(receipt.bundle, each) for each in expected):
        raise BadProof("expected a bundle with this statement, signature and place, found more")
    # 7. The statement is what its entry makes. Source: design §5, rule 3.
    entry, payload = read_record_statement(found)
    # 8. A payload beside the bundle is the one in it.
    if receipt.payload not in (None, payload):
        raise BadProof("expected the payload that the statement holds, found another")
    return entry, payload, str(found["predicateType"])


def _logged_bundle(
    receipt: Receipt, trusted: TrustedKeys, checkpoint: Checkpoint
) -> dict[str, Any]:
    """Return the receipt's bundle as it must be with its inclusion proof."""
    assert receipt.bundle is not None
    assert trusted.record_key_der is not None
    return with_inclusion(
        unlogged_bundle(receipt.bundle, trusted.record_key_der),
        index=receipt.index,
        hashes=receipt.hashes,
        root=checkpoint.root,
        tree_size=receipt.tree_size,
        checkpoint=receipt.checkpoint,
        log=LogKey.parse(trusted.log_vkey),
        public_der=trusted.record_key_der,
    )


def _same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    try:
        return canonical(dict(left)) == canonical(dict(right))
    except BadJson:
        return False


def _object(source: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    try:
        value = loads_strict(source, max_bytes=MAX_RECEIPT_BYTES)
    except BadJson as error:
        raise BadProof(f"the receipt cannot be read: {error.message}") from None
    if not isinstance(value, dict):
        raise BadProof(f"expected a receipt as a JSON object, found {type(value).__name__}")
    return value


def _bytes(value: object, max_bytes: int) -> bytes:
    data = from_base64(value)
    if len(data) > max_bytes:
        raise BadProof(f"expected at most {max_bytes} bytes, found {len(data)}")
    return data


def _leaf(value: object) -> bytes:
    return _bytes(value, MAX_ENTRY_BYTES)


def _payload(value: object) -> bytes | None:
    return None if value is None else _bytes(value, MAX_RECEIPT_BYTES)


def _bundle(value: object) -> dict[str, Any] | None:
    if not (value is None or isinstance(value, dict)):
        raise BadProof(f"expected an object or null, found {type(value).__name__}")
    return value


def _number(value: object) -> int:
    if not (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SIZE):
        raise BadProof(f"expected a whole number from 0, found {type(value).__name__}")
    return value


def _hashes(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_HASHES:
        raise BadProof(f"expected a list of at most {MAX_HASHES} hashes")
    return tuple(_bytes(each, 32) for each in value)


def _note(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE_BYTES:
        raise BadProof(f"expected a note of at most {MAX_NOTE_BYTES} characters")
    return value


_READERS: dict[str, Any] = {
    "leaf": _leaf,
    "payload": _payload,
    "bundle": _bundle,
    "index": _number,
    "tree_size": _number,
    "hashes": _hashes,
    "checkpoint": _note,
}
