"""Whether an advisory is about a version of a package.

1. It is if the version is enumerated, or lies in one of the ranges: both are looked at, because
   records list versions that their ranges miss.
2. A range is walked in the order of its events; the last one at or below the version counts. Where
   `limit`s are given, the version lies below one of them.
3. What cannot be told is undecided: a range whose order nobody here knows, or with an event that is
   no version; a component without a version; an entry that says nothing of versions. Only an entry
   that enumerates versions may, without an order, say that another one is not affected.
4. A component that says its distribution's release is held against entries of that one alone.

Source: OSV schema 1.7 (evaluation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from muniment.server.vulnerabilities.records import Entry, Event, Outcome, Range
from muniment.server.vulnerabilities.rules.ordering import Key, order_of, same

#: At the same version: what was fixed comes before what begins, which comes before what ends after.
_RANK: Final = {"fixed": 0, "introduced": 1, "last_affected": 2}
_BEGINNING: Final = "0"
_WORST_FIRST: Final = (Outcome.AFFECTED, Outcome.UNDECIDED, Outcome.NOT_AFFECTED)


def outcome(entries: Iterable[Entry], version: str | None, distro: str = "") -> Outcome:
    """Return what the entries of an advisory for a package say of a version: the worst of them."""
    found = {_of_entry(one, version) for one in entries if _of_release(one, distro)}
    return next((each for each in _WORST_FIRST if each in found), Outcome.NOT_AFFECTED)


def _of_release(entry: Entry, distro: str) -> bool:
    """Say whether an entry is about the release a component is of, or that cannot be told."""
    said = distro.rpartition("-")[2]
    if not entry.release or not said[:1].isdigit():
        return True
    release = entry.release.removeprefix("v").partition(":")[0]
    return said == release or said.startswith(f"{release}.")


def _of_entry(entry: Entry, version: str | None) -> Outcome:
    if version is None or not (entry.versions or entry.ranges):
        return Outcome.UNDECIDED
    if any(same(entry.ecosystem, version, one) for one in entry.versions):
        return Outcome.AFFECTED
    found = {_of_range(entry, one, version) for one in entry.ranges}
    return next((each for each in _WORST_FIRST if each in found), Outcome.NOT_AFFECTED)


def _of_range(entry: Entry, range_: Range, version: str) -> Outcome:
    order = order_of(entry.ecosystem, range_.type)
    if order is None:
        return Outcome.NOT_AFFECTED if entry.versions else Outcome.UNDECIDED
    at = order(version)
    events = _ordered(order, range_.events)
    if at is None or events is None:
        return Outcome.UNDECIDED
    limits = _limits(order, range_.events)
    if limits is None:
        return Outcome.UNDECIDED
    inside = not limits or any(one is _EVERYTHING or at < one for one in limits)
    return Outcome.AFFECTED if inside and _walk(events, at) else Outcome.NOT_AFFECTED


_EVERYTHING: Final = object()


def _limits(order: Key, events: Iterable[Event]) -> list[Any] | None:
    """Return the limits of a range; None if one is no version."""
    found = [
        _EVERYTHING if one.version == "*" else order(one.version)
        for one in events
        if one.kind == "limit"
    ]
    return None if any(one is None for one in found) else found


def _ordered(order: Key, events: Iterable[Event]) -> list[tuple[Any, int]] | None:
    """Return events as (key, rank) in order, key None for the beginning.

    None comes back if one is no version, or nothing is ever introduced.
    """
    first, found = [], []
    for one in events:
        if one.kind not in _RANK:
            continue
        if one.kind == "introduced" and one.version == _BEGINNING:
            first.append((None, _RANK["introduced"]))
            continue
        key = order(one.version)
        if key is None:
            return None
        found.append((key, _RANK[one.kind]))
    found.sort()
    every = [*first, *found]
    return every if any(rank == _RANK["introduced"] for _, rank in every) else None


def _walk(events: Iterable[tuple[Any, int]], at: Any) -> bool:
    affected = False
    for key, rank in events:
        if rank == _RANK["introduced"]:
            affected = affected or key is None or at >= key
        elif rank == _RANK["fixed"]:
            affected = affected and not at >= key
        else:
            affected = affected and not at > key
    return affected


def fixed_in(entries: Iterable[Entry], version: str | None) -> tuple[str, ...]:
    """Return the versions that ranges say it is fixed in, after `version`, lowest first.

    Where nobody knows the order they are as the advisory has them.
    """
    found: dict[str, Any] = {}
    for entry in entries:
        for range_ in entry.ranges:
            order = order_of(entry.ecosystem, range_.type)
            at = order(version) if order is not None and version is not None else None
            for one in range_.events:
                key = None if order is None else order(one.version)
                later = at is None or key is None or key > at
                if one.kind == "fixed" and range_.type != "GIT" and later:
                    found[one.version] = key
    known = {version: key for version, key in found.items() if key is not None}
    if len(known) < len(found):
        return tuple(sorted(found))
    return tuple(sorted(known, key=known.__getitem__))
