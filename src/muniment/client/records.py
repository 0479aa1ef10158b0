"""What the registry answers, as frozen values. Members a newer server adds are ignored.

Times are in UTC; sizes in bytes; digests `sha256:` and 64 hexadecimal digits, unless said otherwise.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One answer; `as_json` gives it back as plain JSON values."""

    def as_json(self) -> Any:
        """Plain JSON values of all fields."""
        return msgspec.to_builtins(self)


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some items and how to ask for the next ones; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Asset(Record, frozen=True, kw_only=True):
    """A named thing under governance."""

    name: str
    kind: str
    namespace: str = "default"
    id: str | None = None
    owner: str | None = None
    backup_owner: str | None = None
    escalation_contact: str | None = None
    risk_tier: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    revision: int = 1
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    former_names: list[str] = []
    tombstoned_at: dt.datetime | None = None


class Gap(Record, frozen=True, kw_only=True):
    """A field that is due and missing: why it is due, how to supply it, who says so."""

    field: str
    why: str = ""
    fix: str = ""
    source: str = ""


class Completeness(Record, frozen=True, kw_only=True):
    """How much of what is due is there, in percent of the weights, and what is not.

    `verified_percent` counts only what the registry checked itself.
    """

    present_percent: float = 0.0
    verified_percent: float = 0.0
    gaps: list[Gap] = []


class Version(Record, frozen=True, kw_only=True):
    """One immutable registration of an asset; `number` is MLflow's integer."""

    version: str
    number: int
    name: str
    namespace: str = "default"
    id: str | None = None
    kind: str | None = None
    lifecycle: str = "draft"
    quarantined: bool = False
    standing: dict[str, Any] | None = None
    manifest_digest: str
    size_bytes: int = 0
    file_count: int = 0
    formats: list[str] = []
    executable: bool = False
    description: str = ""
    metadata: dict[str, Any] = {}
    metrics_at_registration: dict[str, Any] = {}
    tags: dict[str, str] = {}
    aliases: list[str] = []
    revision: int = 1
    registered_at: dt.datetime | None = None
    registered_by: dict[str, Any] = {}
    entry_id: str | None = None

    @property
    def ref(self) -> str:
        """`[namespace/]NAME@VERSION`."""
        inside = "" if self.namespace == "default" else f"{self.namespace}/"
        return f"{inside}{self.name}@{self.version}"


class Registered(Version, frozen=True, kw_only=True):
    """A registration's answer: the version, and what the next lifecycle step would still need.

    `created` is False when the same registration had been made before, or for a dry run.
    """

    created: bool = True
    completeness: Completeness | None = None


class Alias(Record, frozen=True, kw_only=True):
    """A name that points to a version now; `version` is None where it was unset."""

    alias: str
    version: str | None = None
    number: int | None = None
    revision: int = 1
    updated_at: dt.datetime | None = None
    warnings: list[str] = []


class Change(Record, frozen=True, kw_only=True):
    """One act in a history, newest first; `changes` maps fields to before and after."""

    at: dt.datetime
    entry_id: str
    act: str = ""
    subject: str = ""
    actor: dict[str, Any] = {}
    reason: str = ""
    changes: dict[str, Any] = {}
    version: str | None = None
    previous_version: str | None = None


class Evidence(Record, frozen=True, kw_only=True):
    """A recorded claim about a version, in its tool's own file.

    `assurance` is `verified` or `asserted`; `stale` says that it tells of something else than the
    version asked for, `changes` of what. `parsed` is there when it was asked for alone.
    """

    id: str | None = None
    kind: str
    format: str
    file_name: str
    digest: str
    size_bytes: int = 0
    subject: str = ""
    assurance: str = "asserted"
    assurance_reason: str | None = None
    signer: str | None = None
    flags: list[str] = []
    bound: dict[str, str] = {}
    stale: bool = False
    changes: list[dict[str, Any]] = []
    tool: dict[str, str] = {}
    summary: dict[str, Any] = {}
    produced_at: dt.datetime | None = None
    recorded_at: dt.datetime | None = None
    recorded_by: dict[str, Any] = {}
    context_digest: str | None = None
    entry_id: str | None = None
    parsed: dict[str, Any] = {}
    said_by: dict[str, str] = {}


class AddedEvidence(Evidence, frozen=True, kw_only=True):
    """Evidence, and whether this request recorded it."""

    created: bool = False


class Covered(Record, frozen=True, kw_only=True):
    """One dimension of an evaluation: `covered`, `missing` or `not_applicable`, and why."""

    dimension: str
    state: str
    reason: str = ""
    metrics: int = 0
    evidence: list[str] = []
    flags: list[str] = []


class Coverage(Record, frozen=True, kw_only=True):
    """How far a version's evaluations cover the six dimensions; `complete` when none is missing."""

    complete: bool
    items: list[Covered]


class Principal(Record, frozen=True, kw_only=True):
    """A person, a service or a workload identity."""

    id: str
    name: str
    kind: str
    grants: list[dict[str, Any]] = []
    disabled_at: dt.datetime | None = None


class Token(Record, frozen=True, kw_only=True):
    """An API token; its text `token` is there only in the answer to its creation."""

    id: str
    label: str = ""
    token: str | None = None
    principal_id: str | None = None
    limits: list[dict[str, Any]] | None = None
    created_at: dt.datetime | None = None
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None
    came_in: dict[str, str | None] | None = None


class PutUrl(Record, frozen=True, kw_only=True):
    """Where one part can be put directly; the bytes [offset, offset + size_bytes)."""

    offset: int
    size_bytes: int
    url: str


class Held(Record, frozen=True, kw_only=True):
    """What the registry has of one blob: `held`, `missing`, or `partial` with [start, end) ranges."""

    sha256: str
    state: str
    received: list[tuple[int, int]] = []
    put_urls: list[PutUrl] | None = None


class UploadSession(Record, frozen=True, kw_only=True):
    """An open upload."""

    id: str
    state: str = "open"
    part_size_bytes: int = 64 * 1024 * 1024
    expires_at: dt.datetime | None = None


class Entry(Record, frozen=True, kw_only=True):
    """One act in the ledger; `index` is None until the sequencer has placed it."""

    id: str
    act: str
    at: dt.datetime
    actor: dict[str, Any]
    subject: dict[str, Any]
    index: int | None = None
    digests: list[str] = []
    payload: dict[str, Any] | None = None


class LogKeys(Record, frozen=True, kw_only=True):
    """The registry's public keys."""

    vkey: str
    record_key_pem: str | None = None
    trusted_root: dict[str, Any] | None = None


class LogCheckpoint(Record, frozen=True, kw_only=True):
    """The latest signed tree head; `note` is the signed note, `root` base64."""

    origin: str
    size: int
    root: str
    note: str


class Proof(Record, frozen=True, kw_only=True):
    """Hashes of an inclusion or consistency proof, base64, in RFC 6962 order."""

    hashes: list[str]


class Job(Record, frozen=True, kw_only=True):
    """Work that is due, runs, or is dead. `attempts` failed so far; `error`: how the last one did."""

    id: int
    name: str
    state: str
    payload: Any = None
    attempts: int = 0
    created_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    error: str | None = None


class Fetch(Record, frozen=True, kw_only=True):
    """A registration whose bytes are fetched first; `reason` says why it failed."""

    id: str
    name: str
    number: int
    source: str
    state: str
    namespace: str = "default"
    reason: str = ""
    asked_at: dt.datetime | None = None
    asked_by: dict[str, Any] = {}
    ended_at: dt.datetime | None = None
    version_id: str | None = None
    run_id: str = ""
    model_id: str = ""
    entry_id: str | None = None
