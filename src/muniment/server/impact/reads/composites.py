"""From versions and digests to the composites that contain them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.server import composites
from muniment.server.composites.records import Composite
from muniment.server.http.records import Scope
from muniment.server.impact.records import Step
from muniment.server.ports.db import Tx

#: The most composites of one answer, and the most paths from each.
COMPOSITES_MAX: Final = 200
_PATHS_MAX: Final = 20

Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Containing:
    """A composite that leads to what was asked about, and by what paths."""

    cvi: str
    system: str
    namespace: str
    paths: tuple[Path, ...]


async def composites_with(tx: Tx, hexed: str) -> dict[str, list[Path]]:
    """Return the paths from composites that have a component of a digest, by identifier."""
    digests = frozenset({f"sha256:{hexed}"})
    wanted = composites.Wanted(None, digests=sorted(digests), limit=COMPOSITES_MAX)
    return {
        one.cvi: [(_step(record),) for record in composites.having(one.manifest, digests)]
        for one in await composites.page(tx, wanted)
    }


def _step(record: Mapping[str, object]) -> Step:
    return Step(str(record["kind"]), str(record["name"]), str(record.get("ref", "")))


async def containing(
    tx: Tx,
    versions: Mapping[uuid.UUID, Sequence[Path]],
    own: Mapping[str, Sequence[Path]],
    scopes: Sequence[Scope] | None,
) -> tuple[list[Containing], bool]:
    """Return the composites within `scopes` that lead to something, and whether there are more.

    They do by themselves (`own`, by identifier), or by a version they contain: `versions` has the
    paths from those, and only such as the caller may read.
    """
    by_digest: dict[str, list[Path]] = {}
    rows = await tx.fetch(
        "SELECT v.id, encode(v.manifest_digest, 'hex') AS sha256 FROM version v"
        " WHERE v.id = ANY($1::uuid[]) ORDER BY v.id",
        list(versions),
    )
    for row in rows:
        by_digest.setdefault(f"sha256:{row['sha256']}", []).extend(versions[row["id"]])
    wanted = composites.Wanted(scopes, digests=list(by_digest), limit=COMPOSITES_MAX)
    found = {one.cvi: one for one in await composites.page(tx, wanted)}
    for cvi in own:
        one = found.get(cvi) or await composites.get(tx, cvi)
        if _within(one, scopes):
            found[cvi] = one
    shown = [
        Containing(one.cvi, one.system, one.namespace, _paths(one, by_digest, own))
        for one in found.values()
    ]
    return shown[:COMPOSITES_MAX], len(shown) > COMPOSITES_MAX


def _within(one: Composite, scopes: Sequence[Scope] | None) -> bool:
    return scopes is None or any(scope.covers(Scope(one.namespace)) for scope in scopes)


def _paths(
    one: Composite, by_digest: Mapping[str, Sequence[Path]], own: Mapping[str, Sequence[Path]]
) -> tuple[Path, ...]:
    found = list(own.get(one.cvi, ()))
    for record in composites.having(one.manifest, frozenset(by_digest)):
        sha256 = f"sha256:{record['digest']['sha256']}"
        found += [(_step(record), *path) for path in by_digest.get(sha256, ())]
    return tuple(dict.fromkeys(found))[:_PATHS_MAX]
