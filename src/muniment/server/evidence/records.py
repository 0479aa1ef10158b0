"""What evidence is made of: files, what parsers read from them, what they are bound to."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.core.digest import Digest
from muniment.core.envelope import Envelope
from muniment.core.signers import Signer
from muniment.server.artifacts.records import Format
from muniment.server.ledger.records import Actor


class EvidenceKind(enum.StrEnum):
    """What a piece of evidence is a claim about."""

    SBOM = "sbom"
    EVALUATION = "evaluation"
    PROVENANCE = "provenance"
    SIGNATURE = "signature"
    SCAN = "scan"
    GATE = "gate"
    VULNERABILITIES = "vulnerabilities"
    VEX = "vex"
    OTHER = "other"


class Assurance(enum.StrEnum):
    """Whether somebody the registry knows vouches for the run, or only who sent the file does."""

    ASSERTED = "asserted"
    VERIFIED = "verified"


class Dimension(enum.StrEnum):
    """What an evaluation looks at. The first six make a whole package. Source: R-074."""

    QUALITY = "quality"
    TOXICITY = "toxicity"
    JAILBREAK = "jailbreak"
    BIAS = "bias"
    LATENCY = "latency"
    COST = "cost"
    ROBUSTNESS = "robustness"
    SECURITY = "security"


class Flag(enum.StrEnum):
    """What a reader of evidence must know before believing its numbers. Source: R-082."""

    ABORTED = "aborted"  # the run did not end
    FAILED = "failed"  # the run ended with an error
    PARTIAL = "partial"  # fewer samples than the task has
    EDITED = "edited"  # numbers were changed, or contradict each other
    INVALIDATED = "invalidated"  # its own tool says not to use it
    NOT_A_NUMBER = "not_a_number"  # NaN or an infinity stands where a number should
    SAMPLE_ERRORS = "sample_errors"  # samples that failed are left out of the score
    CACHED = "cached"  # results are not from this run
    FLAKY = "flaky"  # results differ between runs of it
    AGGREGATED = "aggregated"  # put together from several runs
    DIRTY = "dirty"  # code that was not committed
    MUTABLE_MODEL = "mutable_model"  # a name that may mean another model tomorrow
    DEFAULT_THRESHOLDS = "default_thresholds"  # thresholds nobody chose
    MISSING_N = "missing_n"
    MISSING_DATASET = "missing_dataset"
    MISSING_MODEL = "missing_model"
    MISSING_TOOL_VERSION = "missing_tool_version"
    MISSING_TIME = "missing_time"
    MISSING_UNCERTAINTY = "missing_uncertainty"
    MISSING_DIRECTION = "missing_direction"
    MISSING_JUDGE = "missing_judge"
    FUTURE = "future"  # its run ended after it was recorded, by its own word
    SECRETS = "secrets"  # something in the file looks like a key or a password
    UNSIGNED = "unsigned"  # an attestation without a signature
    UNKNOWN_SIGNER = "unknown_signer"  # signed, by nobody the registry knows
    UNCOVERED = "uncovered"  # a signature or provenance that leaves files of the version out


#: Of a run with one of these the numbers prove nothing.
VOID = frozenset({Flag.ABORTED, Flag.FAILED, Flag.INVALIDATED, Flag.EDITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of an evaluation.

    `metric` is the name (`accuracy`), `task` what it was measured on, `unit` empty for a bare
    number. `higher_is_better` None: nobody says. `ci` is (lower, upper).
    """

    metric: str
    value: float
    task: str = ""
    dimension: Dimension | None = None
    higher_is_better: bool | None = None
    unit: str = ""
    n: int | None = None
    stderr: float | None = None
    ci: tuple[float, float] | None = None
    ci_method: str = ""
    slice: str | None = None
    min_group_n: int | None = None
    filter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of an SBOM. `hashes` maps algorithms (`sha-256`) to hex digits."""

    name: str
    version: str | None = None
    purl: str | None = None
    type: str = ""
    licenses: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is said of the run that a file tells of; None where nothing is said.

    `dataset_digest` and `model_digest` are `ALGORITHM:VALUE`. Times are aware.
    """

    tool_name: str | None = None
    tool_version: str | None = None
    model: str | None = None
    model_digest: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None
    n: int | None = None
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    judge: str | None = None
    config_digest: str | None = None
    commit: str | None = None
    ci: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a parser read from a file.

    `details` is JSON particular to the format. `not_applicable` maps dimensions to reasons.
    `subjects` are the SHA-256 digests that the file itself says it is about. Of an in-toto
    statement, `statement` is what it says and `envelope` how it is signed; neither is stored.
    """

    kind: EvidenceKind
    format: str
    format_version: str
    run: Run = field(default_factory=Run)
    metrics: tuple[Metric, ...] = ()
    components: tuple[Component, ...] = ()
    flags: frozenset[Flag] = frozenset()
    subjects: tuple[Digest, ...] = ()
    not_applicable: Mapping[Dimension, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    statement: Mapping[str, Any] | None = None
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a file cannot be taken: each problem has `field` (file and place), `message`, `fix`."""

    problems: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class About:
    """What evidence is about: a version (its id) or a composite (its CVI), and what that consists of.

    `components` maps each behavioural component (`model`, `prompt.template`, …) to its digest;
    `digests` are all the SHA-256 digests the subject is known by, its files' included; `files` maps
    the paths of those to theirs, where it is a version whose manifest was read.
    """

    kind: str
    id: str
    name: str
    asset_id: uuid.UUID | None
    components: Mapping[str, str]
    digests: frozenset[Digest] = frozenset()
    files: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attested:
    """A context: what is said about the run from outside the file, and whether by whom we know.

    `digest` is of the context's own file. `dimension` is what the run looked at, where said.
    """

    run: Run
    assurance: Assurance
    signer: str | None
    digest: Digest
    flags: frozenset[Flag] = frozenset()
    dimension: Dimension | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Whether somebody known vouches for a signed statement, `signer`, and why or why not."""

    assurance: Assurance
    signer: str | None
    reason: str
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True, slots=True)
class KnownSigner:
    """A signer as it is kept: since when it is believed, and until when."""

    id: uuid.UUID
    signer: Signer
    added_at: dt.datetime
    removed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that the registry itself made and has held: what its bytes say it is."""

    digest: Digest
    size_bytes: int
    format: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """Evidence to be recorded: its file is held already, and was parsed.

    `check` is of signed statements; of those there is no context. `kept` is set where nobody sent
    the file in an upload: recording notes then that it is held, so that the scrub reads it.
    """

    about: About
    file_name: str
    digest: Digest
    size_bytes: int
    parsed: Parsed
    context: Attested | None = None
    check: Check | None = None
    kept: Kept | None = None
    assurance: Assurance = Assurance.ASSERTED
    signer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One recorded piece of evidence; it never changes.

    `parsed` is the JSON of what was read (`rules.parsed_json`); an SBOM's components are apart.
    `bound` maps each component it depends on to the digest it had. `flags` are sorted.
    `produced_at` is when the run ended, as the context or the file says.
    """

    id: uuid.UUID
    subject_kind: str
    subject_id: str
    subject_name: str
    asset_id: uuid.UUID | None
    kind: EvidenceKind
    format: str
    format_version: str
    digest: Digest
    size_bytes: int
    file_name: str
    parsed: Mapping[str, Any]
    parsed_digest: Digest
    assurance: Assurance
    signer: str | None
    context_digest: Digest | None
    bound: Mapping[str, str]
    flags: tuple[str, ...]
    tool_name: str | None
    tool_version: str | None
    produced_at: dt.datetime | None
    recorded_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Change:
    """A component that is not what evidence was bound to; None: not there."""

    component: str
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether evidence still tells of what it is asked about, at a moment.

    `changes` are the components that differ; `expired_at` is when it became too old, if it did.
    """

    changes: tuple[Change, ...] = ()
    expired_at: dt.datetime | None = None

    @property
    def stale(self) -> bool:
        """Whether it tells of something else, or of too long ago."""
        return bool(self.changes) or self.expired_at is not None
