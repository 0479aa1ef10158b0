"""Records of the OSV schema and the catalogue of known exploited vulnerabilities, read strictly.

What is not understood is said with its place; what later versions of the schema add is passed over.
Source: OSV schema 1.7.5; CISA KEV JSON schema.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from muniment.server.evidence import clean, package_key, problem, read_purl
from muniment.server.vulnerabilities.records import (
    KEV,
    Advisory,
    Entry,
    Event,
    Exploited,
    Range,
)
from muniment.server.vulnerabilities.rules.severities import rate

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{1,127}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,500}")
_EVENTS: Final = ("introduced", "fixed", "last_affected", "limit")
_MAX_ALIASES: Final = 200
_MAX_VERSION: Final = 200

#: The purl type, and its namespace where it is fixed, of each ecosystem we can tell packages of.
ECOSYSTEMS: Final[Mapping[str, tuple[str, str]]] = {
    "PyPI": ("pypi", ""), "npm": ("npm", ""), "Go": ("golang", ""), "crates.io": ("cargo", ""),
    "Maven": ("maven", ""), "NuGet": ("nuget", ""), "RubyGems": ("gem", ""),
    "Packagist": ("composer", ""), "Hex": ("hex", ""), "Pub": ("pub", ""),
    "SwiftURL": ("swift", ""), "GitHub Actions": ("githubactions", ""), "CRAN": ("cran", ""),
    "Bioconductor": ("bioconductor", ""), "Hackage": ("hackage", ""), "ConanCenter": ("conan", ""),
    "Julia": ("julia", ""),
    "Debian": ("deb", "debian"), "Ubuntu": ("deb", "ubuntu"), "Alpine": ("apk", "alpine"),
    "Wolfi": ("apk", "wolfi"), "Chainguard": ("apk", "chainguard"), "Red Hat": ("rpm", "redhat"),
    "Rocky Linux": ("rpm", "rocky-linux"), "AlmaLinux": ("rpm", "almalinux"),
    "SUSE": ("rpm", "suse"), "openSUSE": ("rpm", "opensuse"),
}  # fmt: skip


def known_source(ecosystem: str) -> bool:
    """Say whether something may be imported as `ecosystem`: one of OSV's, with or without release."""
    return ecosystem == KEV or ecosystem.partition(":")[0] in ECOSYSTEMS


def covered_prefix(ecosystem: str) -> str:
    """Return what the keys of an ecosystem's packages begin with: `pkg:pypi/`, `pkg:deb/debian/`."""
    kind, namespace = ECOSYSTEMS[ecosystem.partition(":")[0]]
    return f"pkg:{kind}/{namespace}/" if namespace else f"pkg:{kind}/"


def key_of(ecosystem: str, name: str) -> str:
    """Return the key of a package as an advisory names it."""
    kind, namespace = ECOSYSTEMS[ecosystem]
    if namespace:
        return package_key(kind, namespace, name)
    if kind == "maven":
        group, _, artifact = name.rpartition(":")
        return package_key(kind, group, artifact)
    if kind == "swift":
        name = name.removeprefix("https://").removesuffix(".git")
    group, _, last = name.rpartition("/")
    return package_key(kind, group, last)


class Unusable(Exception):
    """Why a record cannot be taken: problems with their places."""

    def __init__(self, problems: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def read_advisory(value: Any, file: str, ecosystem: str) -> Advisory:
    """Read one OSV record, and of what it affects what is of `ecosystem`.

    Raises:
        Unusable: it is not one; every problem is named.
    """
    problems = list(_problems(value, file))
    if problems:
        raise Unusable(problems)
    withdrawn = value.get("withdrawn") is not None
    rated = rate(_vectors(value), _word(value))
    base, _, release = ecosystem.partition(":")
    return Advisory(
        id=value["id"],
        names=tuple(sorted({value["id"], *(value.get("aliases") or ())})),
        summary=clean(value.get("summary") or value.get("details") or "", 300),
        modified=_time(value["modified"]),
        withdrawn=withdrawn,
        severity=rated.severity,
        score=rated.score,
        vector=rated.vector,
        entries=() if withdrawn else tuple(_entries(value, base, release)),
    )


def _problems(value: Any, file: str) -> Iterator[dict[str, Any]]:
    """Say all that keeps a value from being a record."""
    if not isinstance(value, dict):
        yield problem(file, "expected an OSV record (a JSON object), found something else", _OSV)
        return
    found = value.get("id")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        yield problem(f"{file} $.id", f"expected an OSV id, found {clean(found, 80)!r}", _OSV)
    if _time(value.get("modified")) is None:
        shown = clean(value.get("modified"), 80)
        yield problem(f"{file} $.modified", f"expected an RFC 3339 time, found {shown!r}")
    aliases = value.get("aliases") or []
    if not isinstance(aliases, list) or len(aliases) > _MAX_ALIASES:
        yield problem(f"{file} $.aliases", f"expected a list of at most {_MAX_ALIASES} ids")
    elif not all(isinstance(one, str) and _ID.fullmatch(one) for one in aliases):
        yield problem(f"{file} $.aliases", "expected ids of other records")
    affected = value.get("affected") or []
    if not isinstance(affected, list):
        yield problem(f"{file} $.affected", "expected a list")
        return
    for at, one in enumerate(affected):
        yield from _affected_problems(one, f"{file} $.affected[{at}]")


_OSV: Final = "give an ecosystem's `all.zip` of osv.dev, or a directory of its records"


def _affected_problems(value: Any, place: str) -> Iterator[dict[str, Any]]:
    if not isinstance(value, dict):
        yield problem(place, "expected an object")
        return
    package = value.get("package")
    if package is not None and not (
        isinstance(package, dict)
        and all(_is_name(package.get(one)) for one in ("ecosystem", "name"))
    ):
        yield problem(f"{place}.package", "expected the names `ecosystem` and `name`")
    versions = value.get("versions") or []
    if not isinstance(versions, list) or not all(isinstance(one, str) for one in versions):
        yield problem(f"{place}.versions", "expected a list of versions")
    ranges = value.get("ranges") or []
    if not isinstance(ranges, list):
        yield problem(f"{place}.ranges", "expected a list")
        return
    for at, one in enumerate(ranges):
        if not (isinstance(one, dict) and isinstance(one.get("type"), str) and _are_events(one)):
            yield problem(f"{place}.ranges[{at}]", "expected `type` and `events` with versions")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _are_events(range_: Mapping[str, Any]) -> bool:
    events = range_.get("events")
    return isinstance(events, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(kind, ""), str) for kind in _EVENTS)
        for one in events
    )


def _entries(value: Mapping[str, Any], base: str, release: str) -> Iterator[Entry]:
    for one in value.get("affected") or ():
        package = one.get("package") or {}
        named, _, of_release = package.get("ecosystem", "").partition(":")
        if named != base or (release and release != of_release):
            continue
        purl = package.get("purl")
        told = read_purl(purl) if isinstance(purl, str) and _is_name(purl) else None
        yield Entry(
            ecosystem=base,
            release=of_release,
            package=key_of(base, package["name"]) if told is None else told.key,
            versions=tuple(
                dict.fromkeys(text[:_MAX_VERSION] for text in one.get("versions") or ())
            ),
            ranges=tuple(_range(each) for each in one.get("ranges") or ()),
        )


def _range(value: Mapping[str, Any]) -> Range:
    events = tuple(
        Event(kind, one[kind][:_MAX_VERSION])
        for one in value["events"]
        for kind in _EVENTS
        if kind in one
    )
    return Range(value["type"], events)


def _vectors(value: Mapping[str, Any]) -> list[str]:
    """Return every CVSS vector of a record, of its packages too."""
    lists = [value.get("severity"), *(one.get("severity") for one in value.get("affected") or ())]
    return [
        one["score"]
        for each in lists
        if isinstance(each, list)
        for one in each
        if isinstance(one, dict)
        and isinstance(one.get("score"), str)
        and str(one.get("type", "")).startswith("CVSS_")
    ]


def _word(value: Mapping[str, Any]) -> str | None:
    own = value.get("database_specific")
    word = own.get("severity") if isinstance(own, dict) else None
    return word if isinstance(word, str) else None


def _time(text: Any) -> Any:
    """Return an aware time, None if `text` is none."""
    try:
        found = dt.datetime.fromisoformat(text)
        return None if found.tzinfo is None else found.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None


# --- known exploited vulnerabilities -------------------------------------------------------------


def read_exploited(value: Any, file: str) -> tuple[dt.datetime, list[Exploited]]:
    """Read the catalogue of known exploited vulnerabilities; return its date and what it lists.

    Raises:
        Unusable: it is not one; every problem is named.
    """
    listed = value.get("vulnerabilities") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        message = "expected CISA's catalogue: an object with `dateReleased` and `vulnerabilities`"
        raise Unusable([problem(file, message, "give `known_exploited_vulnerabilities.json`")])
    problems = []
    released = _time(value.get("dateReleased"))
    if released is None:
        problems.append(problem(f"{file} $.dateReleased", "expected an RFC 3339 time"))
    found = {}
    for at, one in enumerate(listed):
        name = one.get("cveID") if isinstance(one, dict) else None
        if not isinstance(name, str) or not _ID.fullmatch(name):
            problems.append(problem(f"{file} $.vulnerabilities[{at}].cveID", "expected a CVE id"))
            continue
        found[name] = Exploited(
            name,
            clean(one.get("dateAdded"), 40),
            clean(one.get("dueDate"), 40),
            clean(one.get("knownRansomwareCampaignUse"), 40) == "Known",
        )
    if problems:
        raise Unusable(problems[:100])
    return released, [found[name] for name in sorted(found)]
