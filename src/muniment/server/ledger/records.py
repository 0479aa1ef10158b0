"""What the ledger takes and gives back."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from muniment.core.digest import Digest
from muniment.server.ports.db import Tx

Key = str
Fields = dict[str, Any]

_KEPT_OF_A_KIND = 20


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: a principal's kind and id, or the system itself citing a rule."""

    kind: str
    id: str


class Workload(Actor):
    """A pipeline that acted, with `claims`: what its issuer vouched for, texts by name.

    They stand in the entry and are not among the fields of an actor elsewhere: a table names who
    acted, the log says what that was.
    """

    __slots__ = ("claims",)
    claims: Mapping[str, str]

    def __init__(self, actor_id: str, claims: Mapping[str, str]) -> None:
        super().__init__("workload", actor_id)
        object.__setattr__(self, "claims", dict(claims))


def claims_of(actor: Actor) -> Mapping[str, str] | None:
    """Return what was vouched for of who acted, or None."""
    return actor.claims if isinstance(actor, Workload) else None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was acted on: its kind (`asset`, `version`, `principal`, …), its id, its name then.

    `asset_id` files the entry under an asset's history as well.
    """

    kind: str
    id: str
    name: str
    asset_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One act to be recorded.

    `act` is `noun.verb` (`version.register`). `payload` is JSON (finite numbers only: see
    `core.canon`) and holds all that a fold needs to rebuild the rows this act wrote. `digests` are
    what the act binds (a manifest, a document). With `statement` set (an in-toto statement's
    subject/predicate), the record is signed with the record key and its leaf is a hashedrekord body.
    """

    id: uuid.UUID
    at: dt.datetime
    act: str
    actor: Actor
    subject: Subject
    payload: Mapping[str, Any]
    digests: tuple[Digest, ...] = ()
    predicate_type: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as read back: `index` is None until the sequencer has placed it."""

    id: uuid.UUID
    at: dt.datetime
    act: str
    actor: Actor
    subject: Subject
    payload: Mapping[str, Any] | None  # None: erased by an act of erasure
    index: int | None
    digests: tuple[Digest, ...] = field(default=())


class Fold(Protocol):
    """How one governance table follows from the log. Each slice offers its own to `fsck`.

    Keys are the row's primary key as text; fields are JSON values under column names, times as
    RFC 3339 with microseconds and `Z`, bytes as hex.
    """

    @property
    def table(self) -> str:
        """The table's name."""
        ...

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Change `rows` as `entry` changed the table. Pure; entries come in leaf order.

        `rows` behaves as a dict; a row taken from it is not kept until the next entry.
        """
        ...

    def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Every row the table holds now."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """An entry's bytes: its leaf, and beside it either the payload or the signed bundle.

    `payload` is canonical JSON with a member `salt` (32 hexadecimal digits), so that an erased
    payload cannot be guessed from its digest. `bundle` is a Sigstore bundle v0.3 in JSON, without
    inclusion proof.
    """

    leaf: bytes
    payload: bytes | None
    bundle: bytes | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a row of the queue stands for.

    `leaf`, `mac` and `asset_id` are the entry's, None if there is no such entry; `leaf_index` is
    the place it already has.
    """

    entry_id: uuid.UUID
    leaf: bytes | None
    mac: bytes | None
    asset_id: uuid.UUID | None
    leaf_index: int | None


@dataclass(frozen=True, slots=True)
class Placeable:
    """An entry that may have a leaf: its id and leaf bytes."""

    entry_id: uuid.UUID
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the queue named and gets no leaf: `forged`, `absent` (no such entry) or `repeated`."""

    entry_id: uuid.UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed checkpoint: tree size, root (32 raw bytes), the C2SP note; when it was shown."""

    size: int
    root: bytes
    note: str
    signed_at: dt.datetime
    published_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """A tree: how many leaves it has, and its root (32 raw bytes)."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that leaf `index` is in the tree of `size` leaves: hashes bottom-up, 32 raw bytes."""

    index: int
    size: int
    hashes: list[bytes]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Proof that the tree of `new` leaves extends that of `old`: 32 raw bytes each."""

    old: int
    new: int
    hashes: list[bytes]


@dataclass(frozen=True, slots=True)
class NeededBlob:
    """A blob that a table says must be held, and for what (`fraud-detector@1.0.0: model.pkl`)."""

    digest: Digest
    size_bytes: int
    what_for: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be: what it is, where, and what to do about it."""

    kind: str
    where: str
    expected: str
    found: str
    remedy: str


@dataclass(slots=True)
class Report:
    """What `fsck` found and how much it looked at. At most 20 findings of each kind are kept.

    `notes` is what is in order and could be better.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    findings_by_kind: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def add(self, finding: Finding) -> None:
        """Count `finding`, and keep it if it is among the first of its kind."""
        seen = self.findings_by_kind.get(finding.kind, 0) + 1
        self.findings_by_kind[finding.kind] = seen
        if seen <= _KEPT_OF_A_KIND:
            self.findings.append(finding)

    def count(self, what: str, by: int = 1) -> int:
        """Count something looked at; return how many so far."""
        self.counts[what] = self.counts.get(what, 0) + by
        return self.counts[what]
