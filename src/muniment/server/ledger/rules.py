"""What an entry must be, the bytes that go into the log for it, and which tree may follow which.

1. An unsigned entry's leaf is its envelope; a signed one's is a hashedrekord body (`core.entry`).
2. The leaf is at most 65 535 bytes (an entry bundle counts them with two), the payload 1 MiB.
3. An entry gets a leaf only if its MAC is of this registry's entry key, and only once.
4. A tree may be signed and shown only if it extends what the fork guard holds.

Source: design §5.3, §5.4; C2SP tlog-tiles (entry bundles).
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from muniment.core import entry as core_entry
from muniment.core import merkle
from muniment.core import statement as core_statement
from muniment.core.canon import canonical, from_base64, loads_strict
from muniment.core.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadBody, BadJson, BadProof, BadSignature, LogInconsistent, TooLarge
from muniment.core.merkle import MAX_ENTRY_BYTES, Tile
from muniment.server.http.records import Caller
from muniment.server.ledger.records import (
    Actor,
    Entry,
    Head,
    Placeable,
    Refusal,
    Signed,
    Subject,
    Waiting,
    Workload,
    Written,
    claims_of,
)
from muniment.server.ports.keys import Signer

PAYLOAD_MAX_BYTES = 1 << 20
#: The act that erases a payload; its subject is the entry.
ERASE = "entry.erase"
#: The act that says what the sequencer gave no leaf.
REFUSE = "entry.refuse"
SEQUENCER = Actor("system", "sequencer")
_MAC_CONTEXT = b"muniment/entry-mac/v1\n"
_CHECKPOINT_CONTEXT = b"muniment/checkpoint-mac/v1\n"
_CLOCK_SET_BACK = dt.timedelta(minutes=5)
_TILE_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<index>(x[0-9]{3}/){0,6}[0-9]{3})"
    r"(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_ED25519_BYTES = 32  # the end of its SubjectPublicKeyInfo


def actor_of(caller: Caller) -> Actor:
    """Return who `caller` is in the log: the principal's kind and id, and what was vouched for."""
    if caller.attested is not None:
        return Workload(str(caller.id), caller.attested.claims)
    return Actor(kind=caller.kind.value, id=str(caller.id))


def write(entry: Entry, *, salt: str, signer: Signer | None) -> Written:
    """Make the bytes of `entry`; `salt` is 32 random hexadecimal digits.

    Raises:
        BadBody: it is no entry, or asks for a signature and there is no `signer`.
        BadJson: its payload has no canonical form (RFC 8785).
        TooLarge: its leaf or payload is over the limit.
    """
    try:
        payload = core_entry.payload_bytes(entry.payload, salt)
        envelope = core_entry.check_envelope(
            core_entry.envelope(
                entry_id=entry.id,
                at=entry.at,
                act=entry.act,
                actor=_actor_json(entry.actor),
                subject={
                    "kind": entry.subject.kind,
                    "id": entry.subject.id,
                    "name": entry.subject.name,
                },
                digests=entry.digests,
                payload_sha256=digest_of(payload),
            )
        )
    except BadProof as error:
        raise BadBody(
            f"this cannot be recorded: {error.message}", problems=error.problems
        ) from None
    _check_size("payload", payload, PAYLOAD_MAX_BYTES)
    if entry.predicate_type is None:
        # Not `entry_leaf`: what is too large to be recorded is not a bad proof.
        leaf = canonical(envelope)
        _check_size("leaf", leaf, MAX_ENTRY_BYTES)
        return Written(leaf=leaf, payload=payload, bundle=None)
    if signer is None:
        raise BadBody(f"an entry with a predicate type is signed: give `{entry.act}` a signer")
    also = entry.payload.get("predicate", {})
    body = core_entry.record_statement_bytes(envelope, payload, entry.predicate_type, salt, also)
    bundle, leaf = core_statement.sign_statement_bytes(body, signer.sign, signer.public_key_der)
    return Written(leaf=leaf, payload=None, bundle=msgspec.json.encode(bundle))


def _actor_json(actor: Actor) -> dict[str, Any]:
    claims = claims_of(actor)
    return {"kind": actor.kind, "id": actor.id} | ({"claims": dict(claims)} if claims else {})


def actor_from(kind: str, actor_id: str, claims: bytes | str | None) -> Actor:
    """Return an actor as it was kept; `claims` is JSON."""
    if claims is None:
        return Actor(kind, actor_id)
    return Workload(actor_id, msgspec.json.decode(claims, type=dict[str, str]))


def mac_input(entry_id: uuid.UUID, asset_id: uuid.UUID | None, leaf: bytes) -> bytes:
    """Return what an entry's MAC is of: its row's id, the asset it is filed under, its leaf.

    The leaf commits to everything else. The id keeps a genuine leaf from standing in a second row.
    """
    filed = b"\1" + asset_id.bytes if asset_id else bytes(17)
    return _MAC_CONTEXT + entry_id.bytes + filed + leaf


def checkpoint_mac_input(signed: Signed) -> bytes:
    """Return what the MAC of a kept checkpoint is of: size, time of signing, and the note."""
    head = f"{signed.size}\n{core_entry.time_text(signed.signed_at)}\n"
    return _CHECKPOINT_CONTEXT + head.encode() + signed.note.encode()


def check_times(row: Mapping[str, Any], mac: Callable[[bytes], bytes]) -> str | None:
    """Say what is wrong with when a kept checkpoint was signed and shown, or None.

    `row` has `size`, `root`, `note`, `signed_at`, `published_at`, `mac`. Clocks may be set back a
    little between signing and showing.
    """
    signed = Signed(row["size"], row["root"], row["note"], row["signed_at"])
    if not hmac.compare_digest(mac(checkpoint_mac_input(signed)), row["mac"] or b""):
        return f"signed at {row['signed_at']}, which the entry key does not say"
    published_at = row["published_at"]
    if published_at is not None and published_at < signed.signed_at - _CLOCK_SET_BACK:
        return f"shown at {published_at}, before it was signed ({signed.signed_at})"
    return None


def is_genuine(row: Mapping[str, Any], mac: Callable[[bytes], bytes]) -> bool:
    """Say whether an entry (`id`, `asset_id`, `leaf`, `mac`) has the MAC that `mac` makes."""
    return hmac.compare_digest(mac(mac_input(row["id"], row["asset_id"], row["leaf"])), row["mac"])


def sort_out(
    taken: Iterable[Waiting], mac: Callable[[bytes], bytes]
) -> tuple[list[Placeable], list[Refusal]]:
    """Part what was taken off the queue into entries to place, in order, and what gets no leaf.

    Refused is what has no entry, has its leaf already (or gets it from this batch), or does not
    carry the MAC that only a server of this registry can make.
    """
    placeable: dict[uuid.UUID, Placeable] = {}
    refused: list[Refusal] = []
    for each in taken:
        if each.leaf is None or each.mac is None:
            refused.append(Refusal(each.entry_id, "absent"))
        elif each.leaf_index is not None or each.entry_id in placeable:
            refused.append(Refusal(each.entry_id, "repeated"))
        elif not hmac.compare_digest(
            mac(mac_input(each.entry_id, each.asset_id, each.leaf)), each.mac
        ):
            refused.append(Refusal(each.entry_id, "forged"))
        else:
            placeable[each.entry_id] = Placeable(each.entry_id, each.leaf)
    return list(placeable.values()), refused


def refusal(
    refused: Refusal, claims: Mapping[str, str], *, act_id: uuid.UUID, at: dt.datetime
) -> Entry:
    """Return the act that says so in the log; `claims` is what the refused row says it is."""
    return Entry(
        id=act_id,
        at=at,
        act=REFUSE,
        actor=SEQUENCER,
        subject=Subject("entry", str(refused.entry_id), ""),
        payload={"reason": refused.reason, "claims": dict(claims)},
    )


def check_entry_key(first: Mapping[str, Any] | None, mac: Callable[[bytes], bytes]) -> None:
    """Refuse to go on with an entry key that is not this log's; `first` is its first entry.

    Raises:
        LogInconsistent: the first entry was authenticated with another key.
    """
    if first is not None and not is_genuine(first, mac):
        raise LogInconsistent(
            "the entry key did not write the first entry of this log: all servers of a database "
            "need the same `keys/entry.key`; restore it from the backup (or, if that entry was "
            "changed, `muniment fsck` will name it)"
        )


def log_key(origin: str, signer: Signer) -> LogKey:
    """Return the public half of the log's Ed25519 key under the log's name."""
    return LogKey(origin, signer.public_key_der[-_ED25519_BYTES:])


def sign_head(head: Head, key: LogKey, signer: Signer) -> str:
    """Return the C2SP checkpoint of `head`, signed by `signer`, whose public half is `key`."""
    checkpoint = Checkpoint(key.name, head.size, head.root)
    return sign_checkpoint(checkpoint, key.name, signer.sign, key.public)


def open_guard(note: bytes, key: LogKey) -> Head:
    """Return the tree that the fork guard's note is for.

    Raises:
        LogInconsistent: it is no checkpoint of this log signed by `key`.
    """
    try:
        checkpoint = open_checkpoint(note.decode(), key)
    except (BadProof, BadSignature, UnicodeDecodeError) as error:
        raise LogInconsistent(
            f"the fork guard in the blob store should hold a checkpoint signed by {key.vkey}, "
            f"found another ({error}): do the blob store, the log key and the origin belong to "
            "this database?"
        ) from error
    return Head(checkpoint.size, checkpoint.root)


def check_stored(head: Head, last: Signed | None, leaf_count: int) -> None:
    """Refuse to go on where the database's own tables contradict each other.

    `head` follows from the tiles, `last` is the last signed checkpoint.

    Raises:
        LogInconsistent: naming what differs. Nothing is written.
    """
    if leaf_count != head.size:
        raise LogInconsistent(
            f"the last checkpoint is for {head.size} leaves, found {leaf_count} in ledger_leaf; "
            "run `muniment fsck`, then restore the database"
        )
    if last is not None and last.root != head.root:
        raise LogInconsistent(
            f"the checkpoint of {last.size} leaves has the root {last.root.hex()}, the tiles have "
            f"{head.root.hex()}; run `muniment fsck`, then restore the database"
        )


def check_head(head: Head, guard: Head | None, *, shown: int | None, root_at_guard: bytes) -> None:
    """Refuse to go on with a tree that does not extend what was signed before.

    `head` is the database's tree, `guard` what the fork guard holds, `shown` the size of the last
    published checkpoint, `root_at_guard` the database's root at the guard's size (any bytes where
    it is smaller).

    Raises:
        LogInconsistent: naming both sizes and roots. Nothing is written.
    Source: design §5.4.
    """
    if guard is None:
        if shown is not None:
            raise LogInconsistent(
                f"the database shows a log of {shown} leaves, but the fork guard in the blob store "
                "is gone: is this the blob store that belongs to the database? Restore its "
                "`guard/checkpoint` before the log goes on"
            )
        return
    ours = f"the database's log has {head.size} leaves (root {head.root.hex()})"
    theirs = f"{guard.size} (root {guard.root.hex()}) were signed before"
    if guard.size > head.size:
        raise LogInconsistent(
            f"{ours}, but {theirs}: was the database restored from a backup? Restore one that has "
            "all of them; what was signed once must not be signed otherwise",
            extra={"database_size": head.size, "guard_size": guard.size},
        )
    if root_at_guard != guard.root:
        raise LogInconsistent(
            f"{ours}, but {theirs}, and its first {guard.size} leaves have the root "
            f"{root_at_guard.hex()}: this is another log. Run `muniment fsck`, and restore the "
            "database that belongs to this blob store",
            extra={"database_size": head.size, "guard_size": guard.size},
        )


def _check_size(name: str, data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise TooLarge(
            f"the {name} of an entry has at most {limit} bytes, found {len(data)}; "
            "store large content as a blob and record its digest"
        )


def read_json(data: bytes | None) -> Any:
    """Return JSON that we wrote ourselves, or None for None."""
    return None if data is None else msgspec.json.decode(data)


def payload_of(payload: bytes | None, bundle: bytes | None) -> dict[str, Any] | None:
    """Return an entry's payload without its salt, from beside the leaf or from inside the bundle.

    None if it was erased. Nothing is verified: that is for `fsck` and `core.receipt`.
    """
    if bundle is not None:
        envelope = msgspec.json.decode(bundle)["dsseEnvelope"]
        body = msgspec.json.decode(from_base64(envelope["payload"]))
        found: dict[str, Any] = body["predicate"]["payload"]
    elif payload is not None:
        found = msgspec.json.decode(payload)
    else:
        return None
    return {name: value for name, value in found.items() if name != "salt"}


def entry_differences(row: Mapping[str, Any], record_key_der: bytes) -> list[tuple[str, str, str]]:
    """Compare an entry's columns with what its leaf commits to.

    `row` has the columns of `ledger_entry`. Each difference is (column, the log says, the table
    says). An erased payload is no difference here.
    """
    try:
        envelope, payload = _committed(row, record_key_der)
    except (BadProof, BadSignature, BadJson) as error:
        column = "leaf" if row["bundle"] is None else "bundle"
        return [(column, "what this ledger writes", error.message)]
    actor, subject = envelope["actor"], envelope["subject"]
    said = {
        "id": envelope["id"],
        "at": envelope["time"],
        "act": envelope["act"],
        "actor_kind": actor["kind"],
        "actor_id": actor["id"],
        "actor_claims": actor.get("claims"),
        "subject_kind": subject["kind"],
        "subject_id": subject["id"],
        "subject_name": subject["name"],
        "digests": envelope["digests"],
        "payload": envelope["payload_sha256"],
    }
    stored = {name: row[name] for name in said} | {
        "id": str(row["id"]),
        "at": core_entry.time_text(row["at"]),
        "actor_claims": None if row["actor_claims"] is None else loads_strict(row["actor_claims"]),
        "digests": [str(Digest(raw)) for raw in row["digests"]],
        "payload": envelope["payload_sha256"] if payload is None else digest_of(payload).hex,
    }
    return [
        (name, str(value), str(stored[name]))
        for name, value in said.items()
        if value != stored[name]
    ]


def _committed(
    row: Mapping[str, Any], record_key_der: bytes
) -> tuple[dict[str, Any], bytes | None]:
    """Return the envelope and the payload's bytes that an entry's leaf commits to."""
    if row["bundle"] is None:
        return core_entry.read_unsigned_leaf(row["leaf"]), row["payload"]
    bundle = loads_strict(row["bundle"])
    signed = core_statement.verify_bundle(bundle, record_key_der)
    body, signature = core_statement.read_bundle(bundle)
    if core_statement.bundle_leaf(body, signature, record_key_der) != row["leaf"]:
        raise BadProof("the bundle is not the one whose hashedrekord is the leaf")
    return core_entry.read_record_statement(signed)


def parse_tile_path(path: str) -> Tile | None:
    """Read `tile/<level>/<index>[.p/<width>]` as C2SP writes it, or return None.

    For an entry bundle (level `entries`) the tile of leaf hashes over it comes back.
    """
    found = _TILE_PATH.fullmatch(path)
    if found is None:
        return None
    index = int(found["index"].replace("/", "").replace("x", ""))
    width = int(found["width"] or merkle.TILE_WIDTH)
    if found["level"] == "entries":
        tile, same = Tile(0, index, width), merkle.entries_path(index, width)
    else:
        tile = Tile(int(found["level"]), index, width)
        same = tile.path
    return tile if same == path else None


def has_tile(size: int, tile: Tile) -> bool:
    """Say whether a tree of `size` leaves has `tile` at that width or wider."""
    hashes = size >> (merkle.TILE_HEIGHT * tile.level)
    return tile.index * merkle.TILE_WIDTH + tile.width <= hashes
