"""Which versions of this registry a manifest pins, and in which order they are told; pure.

1. A member is a version that a record names (`ref`: `muniment:NAMESPACE/NAME@VERSION`) and that has the
   digest the record has. Whichever says something else is another thing: it is no member.
2. First comes the lead: of the models, else the adapters, else the prompts, the first by the name it was
   pinned under. It stands for the composite where there is room for one version.
3. The others follow by the id of their asset, then by their own. Names may change, ids do not.

Source: requirements §1.5.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.server.composites.records import Member

_REF: Final = re.compile(r"muniment:([^/@\x00]+)/([^@\x00]+)@([^@\x00]+)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
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
        ref, digest = record.get("ref"), (record.get("digest") or {}).get("sha256")
        match = _REF.fullmatch(ref) if isinstance(ref, str) else None
        if match is not None and isinstance(digest, str) and _SHA256.fullmatch(digest):
            found[Named(match[1], match[2], match[3], digest)] = None
    return list(found)


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
