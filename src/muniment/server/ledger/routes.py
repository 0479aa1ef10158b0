"""The log over HTTP: C2SP tiles and checkpoint byte for byte, and the same in JSON with entries.

Where the settings open the log (`log_public`), what a monitor or witness needs is open to anybody:
checkpoints, tiles, proofs and keys. Entries and receipts, which hold payloads, never are.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.canon import to_base64
from muniment.core.errors import BadProof, BlobStoreDown, LogBusy, NotFound
from muniment.core.receipt import Receipt
from muniment.core.statement import public_key_pem, trusted_root
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ledger import reads, rules
from muniment.server.ledger.records import Actor, Recorded, claims_of
from muniment.server.ledger.sequencer import OBJECT_PREFIX
from muniment.server.ports.db import Tx
from muniment.server.settings import Settings

_WAIT_MAX_MS: Final = 10_000

Index = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class CheckpointBody(msgspec.Struct, frozen=True):
    """The newest signed tree head: `root` in base64, `note` the C2SP checkpoint that says so."""

    origin: str
    size: int
    root: str
    note: str
    published_at: dt.datetime | None


class ProofBody(msgspec.Struct, frozen=True):
    """Hashes of a proof, base64, bottom-up."""

    hashes: list[str]


class InclusionBody(ProofBody, frozen=True):
    """Proof that leaf `index` is in the tree of `size` leaves."""

    index: int
    size: int


class ConsistencyBody(ProofBody, frozen=True):
    """Proof that the tree of `new` leaves extends that of `old`."""

    old: int
    new: int


class KeysBody(msgspec.Struct, frozen=True):
    """The public keys to verify with; pin them from a channel you trust.

    `vkey` is the log's C2SP verifier key; `trusted_root` the same for Sigstore's tools.
    """

    origin: str
    vkey: str
    record_key_pem: str
    trusted_root: dict[str, Any]


class ActorBody(msgspec.Struct, frozen=True):
    """Who acted; `claims` is what the issuer of a pipeline's identity vouched for."""

    kind: str
    id: str
    claims: dict[str, str] | None = None


def actor_body(actor: Actor) -> ActorBody:
    """Return who acted as it is sent."""
    claims = claims_of(actor)
    return ActorBody(actor.kind, actor.id, None if claims is None else dict(claims))


class SubjectBody(msgspec.Struct, frozen=True):
    """What was acted on, and its name then."""

    kind: str
    id: str
    name: str
    asset_id: uuid.UUID | None


class EntryBody(msgspec.Struct, frozen=True):
    """One act. `index` is null until it has its leaf; `payload` is null once it was erased."""

    id: uuid.UUID
    at: dt.datetime
    act: str
    actor: ActorBody
    subject: SubjectBody
    digests: list[str]
    payload: dict[str, Any] | None
    index: int | None

    @classmethod
    def of(cls, entry: Recorded) -> EntryBody:
        """Return `entry` as it is sent."""
        return cls(
            id=entry.id,
            at=entry.at,
            act=entry.act,
            actor=actor_body(entry.actor),
            subject=SubjectBody(
                entry.subject.kind, entry.subject.id, entry.subject.name, entry.subject.asset_id
            ),
            digests=[str(digest) for digest in entry.digests],
            payload=None if entry.payload is None else dict(entry.payload),
            index=entry.index,
        )


class ReceiptBody(msgspec.Struct, frozen=True):
    """All it takes to check one entry offline: `muniment verify`."""

    schema: str
    leaf: str
    payload: str | None
    bundle: dict[str, Any] | None
    index: int
    tree_size: int
    hashes: list[str]
    checkpoint: str

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptBody:
        """Return `receipt` as it is sent."""
        return cls(**receipt.to_json())


class EntriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries in leaf order, those with an index above `after`."""

    after: Annotated[int, msgspec.Meta(ge=-1, le=2**53 - 1)] = -1
    limit: Limit = 50
    cursor: Cursor | None = None
    as_of: dt.datetime | None = None


class ReceiptQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the log to include the entry."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=_WAIT_MAX_MS)] = 0


class InclusionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which leaf, in which tree (default: the newest published)."""

    index: Index
    size: Index | None = None


class ConsistencyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which tree to which (default: the newest published)."""

    old: Index
    new: Index | None = None


class _After(msgspec.Struct, frozen=True):
    after: int


def is_open(settings: Settings) -> bool:
    """Say whether anybody may follow the log."""
    return settings.log_public


async def checkpoint_note(_call: Call, tx: Tx) -> Reply:
    """Send the newest checkpoint as C2SP writes it."""
    newest = await reads.checkpoint(tx)
    return Reply(newest.note.encode(), headers={"Cache-Control": "no-cache"})


async def tile(call: Call, tx: Tx) -> Reply:
    """Send a tile or an entry bundle of the published tree, exactly as it was stored."""
    path = f"tile/{call.path['rest']}"
    wanted = rules.parse_tile_path(path)
    newest = await reads.checkpoint(tx)
    if wanted is None or not rules.has_tile(newest.size, wanted):
        raise NotFound(f"the published log of {newest.size} leaves has no {path[:100]}")
    data = await call.deps.blobs.get_object(OBJECT_PREFIX + path)
    if data is None:
        raise NotFound(f"{path} is not kept any more: read the full tile")
    shared = "public" if is_open(call.deps.settings) else "private"
    return Reply(data, headers={"Cache-Control": f"{shared}, max-age=31536000, immutable"})


async def checkpoint(call: Call, tx: Tx) -> Reply:
    """Send the newest checkpoint in JSON."""
    newest = await reads.checkpoint(tx)
    body = CheckpointBody(
        origin=call.deps.settings.origin,
        size=newest.size,
        root=to_base64(newest.root),
        note=newest.note,
        published_at=newest.published_at,
    )
    return Reply(body, headers={"ETag": f'"{newest.size}"'})


async def entries(call: Call, tx: Tx) -> Reply:
    """Send placed entries in leaf order."""
    query: EntriesQuery = call.query
    after = read_cursor(query.cursor, _After).after if query.cursor else query.after
    found = await reads.tail(tx, after, query.limit + 1, as_of=query.as_of)
    more = len(found) > query.limit
    position = {"after": found[query.limit - 1].index} if more else None
    items, next_cursor = cut([EntryBody.of(entry) for entry in found], query.limit, position)
    return Reply(Page(items, next_cursor))


async def entry(call: Call, tx: Tx) -> Reply:
    """Send one entry."""
    return Reply(EntryBody.of(await reads.entry(tx, _entry_id(call))))


async def receipt(call: Call) -> Reply:
    """Send an entry's receipt, waiting for it if asked to."""
    wait = dt.timedelta(milliseconds=call.query.wait_ms)
    found = await reads.await_receipt(call.deps.db, _entry_id(call), wait)
    return Reply(ReceiptBody.of(found))


async def inclusion(call: Call, tx: Tx) -> Reply:
    """Send the proof that a leaf is in a tree."""
    proof = await reads.inclusion(tx, call.query.index, call.query.size)
    hashes = [to_base64(each) for each in proof.hashes]
    return Reply(InclusionBody(hashes=hashes, index=proof.index, size=proof.size))


async def consistency(call: Call, tx: Tx) -> Reply:
    """Send the proof that one tree extends another."""
    proof = await reads.consistency(tx, call.query.old, call.query.new)
    hashes = [to_base64(each) for each in proof.hashes]
    return Reply(ConsistencyBody(hashes=hashes, old=proof.old, new=proof.new))


async def keys(call: Call, tx: Tx) -> Reply:
    """Send the public keys."""
    deps = call.deps
    log_key = rules.log_key(deps.settings.origin, deps.keys.log)
    since = await reads.log_since(tx) or call.now
    body = KeysBody(
        origin=deps.settings.origin,
        vkey=log_key.vkey,
        record_key_pem=public_key_pem(deps.keys.record.public_key_der),
        trusted_root=trusted_root(log_key, since),
    )
    return Reply(body)


def _entry_id(call: Call) -> uuid.UUID:
    try:
        return uuid.UUID(call.path["entry_id"])
    except ValueError:
        raise NotFound(f"no entry {call.path['entry_id'][:80]} in the log") from None


def _read(path: str, handler: Any, summary: str, returns: object, **more: Any) -> Operation:
    """Return a GET operation on the whole log."""
    return Operation(
        method="GET",
        path=path,
        id=more.pop("id"),
        summary=summary,
        handler=handler,
        needs=more.pop("needs", Verb.READ_LOG),
        scope=ScopeFrom.EVERYTHING,
        returns=returns,
        tag="log",
        **more,
    )


_API = "/api/v1/log"

OPERATIONS: list[Operation] = [
    _read(
        "/log/checkpoint",
        checkpoint_note,
        "Newest checkpoint, as a C2SP signed note",
        None,
        id="get_log_checkpoint_note",
        media_type="text/plain; charset=utf-8",
        errors=(LogBusy,),
        open_when=is_open,
    ),
    _read(
        "/log/tile/{rest:path}",
        tile,
        "Tile or entry bundle (C2SP tlog-tiles)",
        None,
        id="get_log_tile",
        media_type="application/octet-stream",
        errors=(NotFound, LogBusy, BlobStoreDown),
        open_when=is_open,
    ),
    _read(
        f"{_API}/checkpoint",
        checkpoint,
        "Newest checkpoint",
        CheckpointBody,
        id="get_checkpoint",
        also=(304,),
        errors=(LogBusy,),
        open_when=is_open,
    ),
    _read(
        f"{_API}/entries",
        entries,
        "Entries in the order of the log",
        Page[EntryBody],
        id="list_entries",
        query=EntriesQuery,
    ),
    _read(
        f"{_API}/entries/{{entry_id}}",
        entry,
        "One entry",
        EntryBody,
        id="get_entry",
        errors=(NotFound,),
    ),
    _read(
        f"{_API}/entries/{{entry_id}}/receipt",
        receipt,
        "Receipt of one entry: what proves it offline",
        ReceiptBody,
        id="get_entry_receipt",
        query=ReceiptQuery,
        tx=TxMode.NONE,
        errors=(NotFound, LogBusy),
    ),
    _read(
        f"{_API}/inclusion",
        inclusion,
        "Proof that a leaf is in the log",
        InclusionBody,
        id="get_inclusion_proof",
        query=InclusionQuery,
        errors=(BadProof, LogBusy),
        open_when=is_open,
    ),
    _read(
        f"{_API}/consistency",
        consistency,
        "Proof that the log was only appended to",
        ConsistencyBody,
        id="get_consistency_proof",
        query=ConsistencyQuery,
        errors=(BadProof, LogBusy),
        open_when=is_open,
    ),
    _read(
        f"{_API}/keys",
        keys,
        "Public keys to verify with",
        KeysBody,
        id="get_log_keys",
        needs=Verb.NOTHING,  # whoever holds a receipt must be able to check it
        open_when=is_open,
    ),
]
