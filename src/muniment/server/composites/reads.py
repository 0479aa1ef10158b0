"""Composites by identifier, by what they contain, and how their table follows from the log."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.core.errors import NotAllowed, NotFound
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server.composites import store
from muniment.server.composites.records import Composite, Here, Member
from muniment.server.composites.rules import access, folding, membership
from muniment.server.http.records import Scope, Verb
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Row, Tx


async def get(tx: Tx, cvi: str) -> Composite:
    """Return the composite of an identifier.

    Raises:
        NotFound: there is none.
    """
    found = await store.find(tx, cvi)
    if found is None:
        raise NotFound(f"there is no composite {cvi[:80]}")
    return found


async def allowed(tx: Tx, composite: Composite, verb: Verb, may: access.May) -> bool:
    """Say whether somebody may do `verb` with a composite; `may` says so of a scope."""
    if may(verb, Scope(composite.namespace)):
        return True
    assets = [one.ref.asset for one in await members(tx, composite)]
    scopes = [Scope(str(one.namespace), str(one.name)) for one in assets]
    return access.allows(verb, composite.namespace, scopes, may)


async def get_for(tx: Tx, cvi: str, verb: Verb, may: access.May) -> Composite:
    """Return the composite of an identifier, if somebody may do `verb` with it.

    Raises:
        NotFound: there is none, or they may not read it, which is the same to them.
        NotAllowed: they may read it.
    """
    found = await get(tx, cvi)
    if await allowed(tx, found, verb, may):
        return found
    if verb is not Verb.READ and await allowed(tx, found, Verb.READ, may):
        raise NotAllowed(
            f"your roles do not let you {verb.value} in {found.namespace}, nor for every version that"
            " the composite pins; ask an administrator"
        )
    raise NotFound(f"there is no composite {cvi[:80]}, or you may not see all of it")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which composites: within `scopes` (None: any), of a system, with a digest; `before` an id."""

    scopes: Sequence[Scope] | None
    namespace: str | None = None
    system: str | None = None
    digests: Sequence[str] | None = None
    before: uuid.UUID | None = None
    limit: int = 50


async def page(tx: Tx, wanted: Wanted) -> list[Composite]:
    """Return composites, the newest first; `wanted.limit` and one more."""
    seen = None
    if wanted.scopes is not None:
        seen = [str(one.namespace) for one in wanted.scopes if one.asset is None]
    rows = await tx.fetch(
        store.COMPOSITE
        + """
        WHERE ($1::text[] IS NULL OR c.namespace = ANY($1))
          AND ($2::text IS NULL OR c.namespace = $2) AND ($3::text IS NULL OR c.system = $3)
          AND ($4::text[] IS NULL OR c.digests && $4) AND ($5::uuid IS NULL OR c.id < $5)
        ORDER BY c.id DESC LIMIT $6
        """,
        seen,
        wanted.namespace,
        wanted.system,
        None if wanted.digests is None else list(wanted.digests),
        wanted.before,
        wanted.limit + 1,
    )
    return [store.to_composite(row) for row in rows]


async def versions_in(tx: Tx, composites: Iterable[Composite]) -> list[Here]:
    """Return the versions of this registry that have the digest of some component."""
    wanted = {
        record["digest"]["sha256"]
        for one in composites
        for record in one.components
        if "sha256" in (record.get("digest") or {})
    }
    raw = [bytes.fromhex(text) for text in sorted(wanted) if _is_sha256(text)]
    rows = await tx.fetch(
        """
        SELECT v.id, a.namespace, a.name, v.version, encode(v.manifest_digest, 'hex') AS sha256
        FROM version v JOIN asset a ON a.id = v.asset_id WHERE v.manifest_digest = ANY($1::bytea[])
        ORDER BY v.id
        """,
        raw,
    ) if raw else ()  # fmt: skip
    return [
        Here(
            row["id"],
            AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
            row["version"],
            row["sha256"],
        )
        for row in rows
    ]


async def members(tx: Tx, composite: Composite) -> list[Member]:
    """Return the versions of this registry that a composite pins: the lead first, then by asset's id.

    A record counts whose `ref` names a version here, by a name its asset has or had, and whose digest
    is that version's. Empty: it pins none.
    """
    return _ordered(await _pinned(tx, composite))


async def all_members(tx: Tx, composite: Composite) -> list[Member]:
    """Return the `members` of a composite, if nothing else in it is a version of this registry.

    Raises:
        BadComposite: something is: it would not be judged with them.
    """
    rows = await _pinned(tx, composite)
    pinned = {
        membership.Named(row["w_namespace"], row["w_name"], row["version"], row["sha256"])
        for row in rows
    }
    digests = membership.digests_in(composite.manifest)
    here = await tx.fetch(
        """
        SELECT DISTINCT encode(manifest_digest, 'hex') AS sha256
        FROM version WHERE manifest_digest = ANY($1::bytea[])
        """,
        [bytes.fromhex(one) for one in sorted(digests)],
    ) if digests else ()  # fmt: skip
    membership.check_pinned(
        composite.cvi, composite.manifest, pinned, {row["sha256"] for row in here}
    )
    return _ordered(rows)


async def _pinned(tx: Tx, composite: Composite) -> Sequence[Row]:
    wanted = membership.named(composite.manifest)
    return await tx.fetch(
        """
        SELECT v.id, v.asset_id, a.namespace, a.name, a.kind, v.version, v.manifest_digest,
               w.namespace AS w_namespace, w.name AS w_name, encode(w.digest, 'hex') AS sha256
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
             w (namespace, name, version, digest)
        JOIN asset_naming n ON n.namespace = w.namespace AND n.name = w.name
        JOIN asset a ON a.id = n.asset_id
        JOIN version v ON v.asset_id = a.id AND v.version = w.version AND v.manifest_digest = w.digest
        """,
        [one.namespace for one in wanted],
        [one.name for one in wanted],
        [one.version for one in wanted],
        [bytes.fromhex(one.sha256) for one in wanted],
    ) if wanted else ()  # fmt: skip


def _ordered(rows: Sequence[Row]) -> list[Member]:
    return membership.ordered(
        (_member(row), f"{row['w_namespace']}/{row['w_name']}") for row in rows
    )


def _member(row: Row) -> Member:
    asset = AssetRef(Namespace(row["namespace"]), AssetName(row["name"]))
    return Member(
        row["id"],
        row["asset_id"],
        VersionRef(asset, parse_version(row["version"])),
        row["kind"],
        Digest(row["manifest_digest"]),
    )


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004 -- hex digits


class CompositeFold:
    """`composite`."""

    table = "composite"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `composite.register`."""
        folding.fold_composite(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row."""
        async for row in tx.cursor(store.COMPOSITE + " ORDER BY c.id"):
            one = store.to_composite(row)
            own = {
                "system": one.system,
                "digests": list(row["digests"]),
                "registered_at": time_text(one.registered_at),
                "actor_kind": one.actor.kind,
                "actor_id": one.actor.id,
                "entry_id": str(one.entry_id),
            }
            yield one.cvi, {**folding.payload(one), **own}


#: How this slice's table follows from the log.
FOLDS: Final[tuple[Fold, ...]] = (CompositeFold(),)
