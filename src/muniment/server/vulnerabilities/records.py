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


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """One component of a subject's SBOMs: `package` is its key, None where nothing identifies it.

    `distro` is as its purl says (`debian-12`); `evidence_ids` are the SBOMs that have it.
    """

    component_id: int
    name: str
    version: str | None
    purl: str | None
    package: str | None
    distro: str = ""
    evidence_ids: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One vulnerability of one component, all records of it taken together.

    `name` is what it is best known by, of all its `names`; `advisories` are the records that said so.
    `fixed_in` are versions after this one, lowest first. `package` and `version` are the component's.
    """

    name: str
    names: tuple[str, ...]
    advisories: tuple[str, ...]
    component: str
    package: str
    version: str | None
    purl: str | None
    outcome: Outcome
    severity: Severity
    score: float | None
    vector: str | None
    summary: str
    fixed_in: tuple[str, ...]
    exploited: Exploited | None


class Status(enum.StrEnum):
    """What a statement says of a vulnerability in a product. Source: OpenVEX 0.2.0 (status labels)."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


@dataclass(frozen=True, slots=True)
class Target:
    """What a statement is about: a package by its key, and one version or any; or the whole.

    `whole` is set for the product itself; `ids` are then what it is called by, empty for what the
    statement was added to, whatever that is called.
    """

    package: str | None = None
    version: str | None = None
    whole: bool = False
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a VEX document: what of which vulnerability, in which targets, and why."""

    names: tuple[str, ...]
    status: Status
    justification: str
    detail: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A statement as it was added: with the evidence it is in, by whom, and until when it holds."""

    statement: Statement
    evidence_id: uuid.UUID
    position: int
    author: str
    added_by: Actor
    added_at: dt.datetime
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and the statement that decides about it, if one holds. `open`: it still matters."""

    finding: Finding
    given: Given | None
    expired: Given | None = None

    @property
    def open(self) -> bool:
        """Whether no statement that holds says it does not matter."""
        return self.given is None or self.given.statement.status not in (
            Status.NOT_AFFECTED, Status.FIXED,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known of the components of one subject.

    `uncovered` counts components by the kind of package that no database here is about.
    """

    sboms: tuple[uuid.UUID, ...]
    component_count: int
    unidentified_count: int
    uncovered: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How a version stands: its findings as statements leave them, by databases of `dated_at` or later.

    `uncovered` are kinds of packages in it (`pypi`) that a database could be about, and none here is.
    """

    judged: tuple[Judged, ...]
    dated_at: dt.datetime
    uncovered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vex:
    """Until when the statements of a VEX document hold; the document is the evidence."""

    id: uuid.UUID
    evidence_id: uuid.UUID
    subject_kind: str
    subject_id: str
    subject_name: str
    asset_id: uuid.UUID | None
    expires_at: dt.datetime
    added_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """All SBOMs, matched against the newest snapshots (by ecosystem); it never changes.

    `results_digest` is over every subject and what was found of it; `changed_count` subjects got new
    evidence.
    """

    id: uuid.UUID
    ruleset_id: str
    databases: Mapping[str, str]
    component_count: int
    subject_count: int
    changed_count: int
    results_digest: Digest
    started_at: dt.datetime
    ended_at: dt.datetime
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


@dataclass(frozen=True, slots=True)
class Holder:
    """A version (its id) or composite (its CVI) that contains a component, and the SBOM that says so."""

    subject_id: str
    evidence_id: uuid.UUID
    file_name: str
    component_id: int
