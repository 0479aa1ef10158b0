"""What a scan says: findings, a report for each file, a verdict; and the limits it keeps to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """What a file is, as its bytes say; `executable` when loading it may run code in it."""

    name: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Formats:
    """What the files of an artifact are: names sorted, and whether any may run code."""

    names: tuple[str, ...]
    executable: bool


class Severity(enum.StrEnum):
    """How bad a finding is. `info` is a note: it does not change a verdict."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class VerdictClass(enum.StrEnum):
    """What a scan came to, for a file and for all files of a version together.

    `clean`: a format that runs nothing when loaded, valid to its last byte.
    `executable_allow_listed`: a format that runs code when loaded, read whole, and all that it
    names is allow-listed. `unscannable`: something could not be read to its end, or is of a format
    nobody here knows: that is never clean. `findings`: something is wrong.
    """

    CLEAN = "clean"
    EXECUTABLE_ALLOW_LISTED = "executable_allow_listed"
    UNSCANNABLE = "unscannable"
    FINDINGS = "findings"


#: From the best to the worst: the worst of its files is an artifact's.
VERDICT_ORDER = tuple(VerdictClass)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a file: the path of a member inside (`a.zip!/b.pkl`), and a byte offset in that."""

    member: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        at = "" if self.offset is None else f"at byte {self.offset}"
        return " ".join(part for part in (self.member, at) if part)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    `rule` is its stable id. `what` was found, `why` it matters, and `remedy`, what to do.
    """

    rule: str
    severity: Severity
    place: Place
    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What another tool says of the same file: `dangerous`, `suspicious`, `innocuous` or `failed`."""

    tool: str
    tool_version: str
    says: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a scan of one file came to. `findings` in the order they were met, at most `LIMIT`."""

    format: str
    executable: bool
    verdict: VerdictClass
    findings: tuple[Finding, ...] = ()
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may make a scan do; beyond that it is unscannable.

    Bytes are counted after decompression. A container inside a container is one deeper.
    """

    depth: int = 6
    members: int = 65_536
    findings: int = 100
    inflated_bytes: int = 64 << 30
    ratio: int = 200
    ratio_from_bytes: int = 64 << 20
    parsed_bytes: int = 16 << 20
    pickles: int = 100_000


DEFAULT_LIMITS = Limits()


def verdict_of(findings: tuple[Finding, ...], *, executable: bool) -> VerdictClass:
    """Return what `findings` of a file come to."""
    told = [one for one in findings if one.severity is not Severity.INFO]
    if any(not one.rule.startswith("unscannable.") for one in told):
        return VerdictClass.FINDINGS
    if told:
        return VerdictClass.UNSCANNABLE
    return VerdictClass.EXECUTABLE_ALLOW_LISTED if executable else VerdictClass.CLEAN


def worst(verdicts: list[VerdictClass]) -> VerdictClass:
    """Return the worst of `verdicts`; of none: clean."""
    return max(verdicts, key=VERDICT_ORDER.index, default=VerdictClass.CLEAN)
