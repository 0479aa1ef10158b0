"""What matching vulnerabilities is made of: advisories, databases of them, findings."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.digest import Digest
from muniment.server.ledger.records import Actor

#: What the catalogue of known exploited vulnerabilities is imported as, beside ecosystems.
KEV = "KEV"


class Severity(enum.StrEnum):
    """How bad; `unknown`: nobody said. It is an outcome of its own, never `none`."""

    CRITICAL = "critical"
    HIGH = "high"
    UNKNOWN = "unknown"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


class Outcome(enum.StrEnum):
    """Whether an advisory is about a version of a package.

    `undecided`: nothing here can order its versions, or it says too little. That is not clean.
    """

    AFFECTED = "affected"
    UNDECIDED = "undecided"
    NOT_AFFECTED = "not_affected"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a range: `introduced`, `fixed`, `last_affected` or `limit`, at a version."""

    kind: str
    version: str


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions; `type` is `SEMVER`, `ECOSYSTEM`, `GIT` or whatever comes after them."""

    type: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What an advisory says of one package: its key (`pkg:pypi/pillow`), and which versions.

    `ecosystem` is without its release (`Debian`), `release` that alone (`12`), empty for any.
    """

    ecosystem: str
    release: str
    package: str
    versions: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One record of a database. `names` are its id and every alias, sorted.

    `vector` is the CVSS vector that `score` is of, where there is one.
    """

    id: str
    names: tuple[str, ...]
    summary: str
    modified: dt.datetime
    withdrawn: bool
    severity: Severity
    score: float | None
    vector: str | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """An advisory with the digest of the file it was read from."""

    advisory: Advisory
    digest: Digest


@dataclass(frozen=True, slots=True)
class Exploited:
    """A vulnerability known to be exploited. Dates are as the catalogue writes them: `2024-05-01`."""

    name: str
    added_on: str
    due_on: str
    ransomware: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A snapshot of a vulnerability database; it never changes.

    `number` counts the snapshots of its ecosystem from 1. `digest` is over the ids and digests of all
    its records, `rows` over what was read from them; `dated_at` is of when it is. `source_digest` is
    of the file it came in, held as a blob.
    """

    id: uuid.UUID
    ecosystem: str
    number: int
    digest: Digest
    rows: Digest
    dated_at: dt.datetime
    record_count: int
    withdrawn_count: int
    source_digest: Digest
    source_bytes: int
    source_name: str
    recorded_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


class ImportState(enum.StrEnum):
    """How far an import is."""

    DUE = "due"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A file on its way into a database. `database_id` once it is done; the same again is done too.

    `problems` say why it failed, each with file and place.
    """

    id: uuid.UUID
    ecosystem: str
    source_digest: Digest
    source_bytes: int
    source_name: str
    dated_at: dt.datetime | None
    older: bool
    state: ImportState
    read_count: int
    total_count: int | None
    database_id: uuid.UUID | None
    problems: tuple[Mapping[str, Any], ...]
    asked_at: dt.datetime
    actor: Actor
