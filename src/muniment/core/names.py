"""What things are called, parsed once at the edge.

Every type here reads its text with `parse` and writes it with `str`; reading what was written
gives an equal value. Making one by hand checks the same rules.

    [namespace/]NAME            AssetRef: fraud-detector, risk/fraud-detector
    [namespace/]NAME@1.2.0      VersionRef by semantic version
    [namespace/]NAME@champion   VersionRef by alias
    [namespace/]NAME@7          VersionRef by MLflow number

The default namespace is not written. What follows `@` is a number if it is all digits, a
semantic version if it begins with a digit, an alias otherwise; no text is two of these.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import total_ordering

from muniment.core.errors import BadName, BadReference, BadRequest, BadVersion

NAMESPACE_DEFAULT = "default"
MAX_NAME_CHARS = 256
MAX_VERSION_CHARS = 128
MAX_NUMBER = 2**31 - 1

_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,254}")
_RESERVED_ALIAS = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
#: Names that break no rule, and nearly all there are.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_NOT_IN_NAMES = frozenset("/:@%\\?#")
_SEMVER = re.compile(
    r"(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    r"(?:-(?P<prerelease>{pre}(?:\.{pre})*))?(?:\+(?P<build>{any}(?:\.{any})*))?".format(
        pre=r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)", any=r"[0-9A-Za-z-]+"
    )
)


@dataclass(frozen=True, slots=True, order=True)
class Namespace:
    """Who shares assets, roles and rules: 1 to 63 of `a-z 0-9 . _ -`, a letter or digit first."""

    text: str

    def __post_init__(self) -> None:
        """Refuse any other text."""
        if not (isinstance(self.text, str) and _NAMESPACE.fullmatch(self.text)):
            msg = (
                "expected a namespace of 1 to 63 characters a-z 0-9 . _ - beginning with a letter "
                f"or digit, found {_shown(self.text)}"
            )
            raise BadName(msg)

    @classmethod
    def parse(cls, text: str) -> Namespace:
        """Read a namespace.

        Raises:
            BadName: it is none.
        """
        return cls(text)

    def __str__(self) -> str:
        """Its text."""
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class AssetName:
    r"""What an asset is called in its namespace: 1 to 256 printable characters in Unicode NFC.

    None of `/ : @ % \ ? #`, no space first or last, neither `.` nor `..`. Spaces inside are
    allowed because names that come from MLflow have them.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse any other text."""
        problem = _name_problem(self.text)
        if problem:
            raise BadName(f"expected a name {problem}, found {_shown(self.text)}")

    @classmethod
    def parse(cls, text: str) -> AssetName:
        """Read an asset's name.

        Raises:
            BadName: it is none; the message says which rule it breaks.
        """
        return cls(text)

    def __str__(self) -> str:
        """Its text."""
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class AssetRef:
    """Which asset: its namespace and its name there."""

    namespace: Namespace
    name: AssetName

    @classmethod
    def parse(cls, text: str) -> AssetRef:
        """Read `[namespace/]NAME`.

        Raises:
            BadName: the namespace or the name is none.
        """
        namespace, slash, name = _text(text, BadName).rpartition("/")
        if not slash:
            namespace = NAMESPACE_DEFAULT
        return cls(Namespace(namespace), AssetName(name))

    def __str__(self) -> str:
        """`namespace/NAME`, or `NAME` alone in the default namespace."""
        if self.namespace.text == NAMESPACE_DEFAULT:
            return self.name.text
        return f"{self.namespace}/{self.name}"


@total_ordering
@dataclass(frozen=True, slots=True)
class SemVer:
    """A semantic version, ordered by precedence; at most 128 characters.

    Versions that differ in build metadata alone have equal `precedence`, are not equal, and sort
    by that metadata so that an order of many is always the same.

    Source: SemVer 2.0.0 §2, §9, §10, §11.
    """

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    def __post_init__(self) -> None:
        """Refuse parts that do not make a semantic version."""
        text = str(self)
        if len(text) > MAX_VERSION_CHARS or not _SEMVER.fullmatch(text):
            raise BadVersion(_expected_version(text))

    @classmethod
    def parse(cls, text: str) -> SemVer:
        """Read `MAJOR.MINOR.PATCH[-prerelease][+build]`; no leading `v`, no missing part.

        Raises:
            BadVersion: it is none, or longer than 128 characters.
        """
        short = isinstance(text, str) and len(text) <= MAX_VERSION_CHARS
        found = _SEMVER.fullmatch(text) if short else None
        if not found:
            raise BadVersion(_expected_version(text))
        made = object.__new__(cls)  # not `cls(...)`, which would write it out and match it again
        major, minor, patch, prerelease, build = found.groups("")
        for name, part in (("major", int(major)), ("minor", int(minor)), ("patch", int(patch))):
            object.__setattr__(made, name, part)
        object.__setattr__(made, "prerelease", prerelease)
        object.__setattr__(made, "build", build)
        return made

    @property
    def precedence(self) -> tuple[object, ...]:
        """Sort key of SemVer precedence: greater is later, build metadata plays no part."""
        identifiers = self.prerelease.split(".") if self.prerelease else []
        keys = tuple((0, int(i), "") if i.isdigit() else (1, 0, i) for i in identifiers)
        return (self.major, self.minor, self.patch, not identifiers, keys)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, SemVer):
            return NotImplemented
        return (*self.precedence, self.build) < (*other.precedence, other.build)

    def __str__(self) -> str:
        """`MAJOR.MINOR.PATCH[-prerelease][+build]`."""
        prerelease = f"-{self.prerelease}" if self.prerelease else ""
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{prerelease}{build}"


@dataclass(frozen=True, slots=True, order=True)
class Alias:
    """A name that points at one version of an asset at a time: `champion`.

    A letter or `_`, then up to 254 of letters, digits and `. _ -`. Never `latest` and never `v`
    with digits, in any case: MLflow gives those a meaning of their own.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse any other text."""
        if not (isinstance(self.text, str) and _ALIAS.fullmatch(self.text)):
            msg = (
                "expected an alias of 1 to 255 characters A-Z a-z 0-9 . _ - beginning with a "
                f"letter or _, found {_shown(self.text)}"
            )
            raise BadName(msg)
        if _RESERVED_ALIAS.fullmatch(self.text):
            raise BadName(f"the alias {self.text} is reserved: choose another")

    @classmethod
    def parse(cls, text: str) -> Alias:
        """Read an alias.

        Raises:
            BadName: it is none, or reserved.
        """
        return cls(text)

    def __str__(self) -> str:
        """Its text."""
        return self.text


@dataclass(frozen=True, slots=True)
class VersionRef:
    """Which version of which asset: by semantic version, by alias, or by MLflow number (≥ 1)."""

    asset: AssetRef
    at: SemVer | Alias | int

    def __post_init__(self) -> None:
        """Refuse a number that no version can have."""
        if isinstance(self.at, int) and not 1 <= self.at <= MAX_NUMBER:
            raise BadReference(f"expected a version number from 1 to {MAX_NUMBER}, found {self.at}")

    @classmethod
    def parse(cls, text: str) -> VersionRef:
        """Read `[namespace/]NAME@1.2.0`, `NAME@alias` or `NAME@7`.

        Raises:
            BadReference: it is none; `problems` says which parts are wrong.
        """
        asset_text, _, at_text = _text(text, BadReference).partition("@")
        problems = []
        for field, parse, part in (("asset", AssetRef.parse, asset_text), ("at", _at, at_text)):
            try:
                parse(part)
            except BadRequest as error:
                problems.append({"field": field, "message": error.message})
        if problems:
            wrong = "; ".join(problem["message"] for problem in problems)
            msg = f"expected NAME@1.2.0, NAME@alias or NAME@7, found {_shown(text)}: {wrong}"
            raise BadReference(msg, problems=problems)
        return cls(AssetRef.parse(asset_text), _at(at_text))

    def __str__(self) -> str:
        """`[namespace/]NAME@` and what it points with."""
        return f"{self.asset}@{self.at}"


def parse_version(text: str) -> SemVer | int:
    """Read what names one version for good: a semantic version, or an MLflow number.

    Raises:
        BadVersion: it is neither.
    """
    found = _at(_text(text, BadVersion))
    if isinstance(found, Alias):
        raise BadVersion(f"expected MAJOR.MINOR.PATCH or a number, found {_shown(text)}")
    return found


def _at(text: str) -> SemVer | Alias | int:
    if _NUMBER.fullmatch(text) and int(text) <= MAX_NUMBER:
        return int(text)
    return SemVer.parse(text) if text[:1].isdigit() else Alias(text)


def _name_problem(text: object) -> str | None:
    """The rule of asset names that `text` breaks."""
    if not isinstance(text, str):
        return "as text"
    if _PLAIN_NAME.fullmatch(text):
        return None
    forbidden = sorted(_NOT_IN_NAMES.intersection(text))
    rules = (
        (1 <= len(text) <= MAX_NAME_CHARS, f"of 1 to {MAX_NAME_CHARS} characters"),
        (not forbidden, f"without {' '.join(forbidden)}"),
        (text.isprintable(), "of printable characters"),
        (text == text.strip(" "), "without spaces at its ends"),
        (text not in {".", ".."}, "other than . and .."),
        (unicodedata.is_normalized("NFC", text), "in Unicode form NFC"),
    )
    return next((rule for holds, rule in rules if not holds), None)


def _expected_version(found: object) -> str:
    return (
        f"expected MAJOR.MINOR.PATCH of at most {MAX_VERSION_CHARS} characters (SemVer 2.0.0), "
        f"found {_shown(found)}"
    )


def _text(text: object, error: type[BadRequest]) -> str:
    if not isinstance(text, str):
        raise error(f"expected text, found {type(text).__name__}")
    return text


def _shown(found: object) -> str:
    """`found` short enough for a message, and safe on a terminal."""
    return ascii(found[:80]) if isinstance(found, str) else type(found).__name__
