"""Which versions of this registry a manifest pins, and in which order they are told; pure.

1. A member is a version that a record names (`ref`: `muniment:NAMESPACE/NAME@VERSION`) and that has the
   digest the record has. Whichever says something else is another thing: it is no member.
2. First comes the lead: of the models, else the adapters, else the prompts, the first by the name it was
   pinned under. It stands for the composite where there is room for one version.
3. A record that looks as if it named a version, or has the digest of one, and is no member would not be
   judged with them: a composite with such a record is neither asked for nor deployed.
4. The others follow by the id of their asset, then by their own. Names may change, ids do not.

Source: requirements §1.5.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import BadComposite
from muniment.server.composites.records import Member
from muniment.server.composites.rules.pinning import problem

_REF: Final = re.compile(r"muniment:([^/@\x00]+)/([^@\x00]+)@([^@\x00]+)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: However the algorithm is called, and the value written.
_HEX: Final = re.compile(r"(?:sha-?256:)?([0-9a-f]{64})")
_SCHEME: Final = "muniment:"
#: What asset kinds lead before which.
_LEADS: Final = ("model", "adapter", "prompt")


@dataclass(frozen=True, slots=True)
class Named:
    """What a record says it is: a version by its asset and SemVer, and the digest of its manifest."""

    namespace: str
    name: str
    version: str
    sha256: str


def named(manifest: Mapping[str, Any]) -> list[Named]:
    """Return the versions that records of a manifest name, in the order of the records, each once."""
    found: dict[Named, None] = {}
    for record in manifest["components"]:
        one = _named(record)
        if one is not None:
            found[one] = None
    return list(found)


def _named(record: Mapping[str, Any]) -> Named | None:
    ref, digest = record.get("ref"), (record.get("digest") or {}).get("sha256")
    match = _REF.fullmatch(ref) if isinstance(ref, str) else None
    if match is None or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        return None
    return Named(match[1], match[2], match[3], digest)


def digests_in(manifest: Mapping[str, Any]) -> set[str]:
    """Return whatever may be a SHA-256 of a component, in small hexadecimal digits."""
    return {one for record in manifest["components"] for one in _digests(record)}


def _digests(record: Mapping[str, Any]) -> Iterator[str]:
    for value in (record.get("digest") or {}).values():
        match = _HEX.fullmatch(str(value).strip().lower())
        if match is not None:
            yield match[1]


def check_pinned(
    cvi: str, manifest: Mapping[str, Any], pinned: Collection[Named], here: Collection[str]
) -> None:
    """Go on only if every record that is a version of this registry is a member of the composite.

    `pinned` are what records name and is here; `here` are digests of versions that are here.

    Raises:
        BadComposite: some are not; `problems` names each.
    """
    others = set(here) - {one.sha256 for one in pinned}
    wrong = [
        problem(place, f"{_name(record)} {message}", _FIX)
        for place, record in enumerate(manifest["components"])
        if (message := _hidden(record, pinned, others))
    ]
    if wrong:
        raise BadComposite(
            f"{cvi} has in it what would not be judged with its versions: {wrong[0]['field']}:"
            f" {wrong[0]['message']}; {_FIX}",
            problems=wrong,
        )


_FIX: Final = "pin it (`muniment composite create … --pin NAME@1.2.0`), and ask for that composite"


def _hidden(record: Mapping[str, Any], pinned: Collection[Named], others: Collection[str]) -> str:
    ref = record.get("ref")
    like_one = isinstance(ref, str) and ref.strip().lower().startswith(_SCHEME)
    if like_one and _named(record) not in pinned:
        return f"says it is {str(ref)[:200]!a}, and no version here has that name and that digest"
    if any(one in others for one in _digests(record)):
        return "has the digest of a version of this registry, and does not pin it"
    return ""


def _name(record: Mapping[str, Any]) -> str:
    return f"the {record['kind']} {record['name'][:100]!a}"


def ordered(found: Iterable[tuple[Member, str]]) -> list[Member]:
    """Return members, each once and the lead first; each comes with the name it was pinned under."""
    by_id: dict[uuid.UUID, tuple[int, str, str, Member]] = {}
    for member, name in found:
        key = (_LEADS.index(member.kind), name, str(member.version_id), member)
        known = by_id.get(member.version_id)
        by_id[member.version_id] = key if known is None else min(known, key, key=_by_name)
    if not by_id:
        return []
    lead = min(by_id.values(), key=_by_name)[3]
    others = [each[3] for each in by_id.values() if each[3] is not lead]
    return [lead, *sorted(others, key=lambda one: (one.asset_id, one.version_id))]


def _by_name(one: tuple[int, str, str, Member]) -> tuple[int, str, str]:
    return one[:3]
