"""What is fetched from elsewhere, and who is told of what happens here."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from muniment.core.digest import Digest
from muniment.core.names import AssetRef
from muniment.server.ledger.records import Actor, Recorded


class FetchState(enum.StrEnum):
    """How far a fetch is; it ends once."""

    PENDING = "pending"
    REGISTERED = "registered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class About:
    """What was said of a version whose bytes are not here yet."""

    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetch:
    """A registration whose bytes are fetched first. It holds its number for ever.

    `asset` is the asset's name now. `reason` says why it failed.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    asset: AssetRef
    number: int
    source: str
    about: About
    asked_at: dt.datetime
    asked_by: Actor
    entry_id: uuid.UUID
    state: FetchState = FetchState.PENDING
    reason: str = ""
    ended_at: dt.datetime | None = None
    version_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file elsewhere: its path below the place, its size if that is told, and a mark of its bytes.

    The same path, size and mark mean the same bytes, as far as the other side says.
    """

    path: str
    size_bytes: int | None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a fetch that is here."""

    path: str
    mark: str
    size_bytes: int
    digest: Digest

    def is_of(self, remote: RemoteFile) -> bool:
        """Say whether these are the bytes the other side has, as far as it says."""
        same_size = remote.size_bytes is None or remote.size_bytes == self.size_bytes
        return self.path == remote.path and self.mark == remote.mark and same_size


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A run or logged model that another server tracks: where its files lie, and its parameters."""

    artifact_uri: str
    params: Mapping[str, str]
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing says lies in a directory; `size_bytes` is None for a directory."""

    name: str
    is_directory: bool
    size_bytes: int | None


Json = dict[str, Any]


class WebhookStatus(enum.StrEnum):
    """Whether a webhook is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class WebhookState:
    """What may be changed of a webhook.

    `events` are names or patterns of its dialect; `acts` the acts of the ledger they may follow from.
    `namespace` None: whatever is done anywhere.
    """

    name: str
    url: str
    events: tuple[str, ...]
    acts: tuple[str, ...]
    description: str = ""
    status: WebhookStatus = WebhookStatus.ACTIVE
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Somebody who is told of what is done here. `secret_id` None: what it is sent is not signed."""

    id: uuid.UUID
    dialect: str
    state: WebhookState
    secret_id: uuid.UUID | None
    revision: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime
    updated_by: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWish:
    """What somebody wants a webhook to be; None leaves as it is (or at its default).

    `namespace` "" is everywhere. `revision` is the one the caller has read.
    """

    name: str | None = None
    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    status: WebhookStatus | None = None
    namespace: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An entry with what webhooks say of it beside: its asset as it is called now, and versions by id."""

    entry: Recorded
    asset: AssetRef | None = None
    kind: str | None = None
    versions: Mapping[str, ToldVersion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToldVersion:
    """Which version an id is of: its number and its SemVer."""

    number: int
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something a webhook may be told of, under its dialect's name, with what is said of it."""

    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a delivery is beside its event: its id, when it was done, when it is sent, who signs."""

    id: uuid.UUID
    done_at: dt.datetime
    sent_at: dt.datetime
    secrets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    headers: Mapping[str, str]
    body: bytes


class Dialect(Protocol):
    """In whose words and format a webhook is told. Pure."""

    @property
    def name(self) -> str:
        """What it is called in a webhook."""
        ...

    def problems(self, state: WebhookState) -> Sequence[Mapping[str, str]]:
        """Everything about a name and events that this dialect does not have."""
        ...

    def acts(self, events: Sequence[str]) -> tuple[str, ...]:
        """The acts that events may follow from: `noun.verb`, `noun.*`, `*`."""
        ...

    def events_of(self, told: Told) -> Sequence[Event]:
        """All that an entry tells, always in the same order."""
        ...

    def wants(self, events: Sequence[str], name: str) -> bool:
        """Whether who asked for `events` is told of one of that name."""
        ...

    def example(self, events: Sequence[str]) -> Event:
        """An event to try a webhook with."""
        ...

    def message(self, event: Event, envelope: Envelope) -> Message:
        """What is sent of an event."""
        ...


class DeliveryState(enum.StrEnum):
    """How far a delivery is."""

    DUE = "due"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. Its id is the same in every attempt.

    `tries` counts the attempts since it was last asked for. `error` is the last attempt's.
    """

    id: uuid.UUID
    webhook_id: uuid.UUID
    entry_id: uuid.UUID | None
    part: int
    event: str
    state: DeliveryState
    attempts: int
    tries: int
    created_at: dt.datetime
    due_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How sending went. `status` None: there was no answer; `refused`: it was not even called.

    `answer` is the beginning of what was answered; `wait` what the receiver asks to wait.
    """

    status: int | None
    duration_ms: int
    error: str = ""
    answer: str = ""
    refused: bool = False
    wait: dt.timedelta | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery, as it is kept."""

    number: int
    at: dt.datetime
    duration_ms: int
    status: int | None
    error: str
    answer: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What follows from an outcome: the delivery's state, and when to try again if it is due."""

    state: DeliveryState
    after: dt.timedelta | None = None
    error: str = ""
