"""Rows of versions and of what is said of them. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, LiteralString

from muniment.core.digest import digest_of
from muniment.core.errors import Conflict, Contended, NotFound, VersionConflict
from muniment.core.names import Alias, AssetRef, SemVer, VersionRef
from muniment.server import ledger
from muniment.server.catalog.records import Annotation, Asset, NewVersion, Version
from muniment.server.catalog.rules.standing import check_standing
from muniment.server.catalog.rules.terms import terms
from muniment.server.catalog.rules.versions import (
    json_text,
    precedence_key,
    registered,
    timestamp,
    version_state_json,
)
from muniment.server.catalog.store.assets import no_asset
from muniment.server.catalog.store.sources import (
    ALIASES_NOW,
    ALIASES_THEN,
    POINTED_NOW,
    VERSION_COLUMNS_NOW,
    VERSION_COLUMNS_THEN,
    VERSION_NOW,
    VERSION_THEN,
    said_values,
    standing_of,
    to_version,
)
from muniment.server.catalog.store.standing import renamed_to
from muniment.server.ports.db import Row, Tx

_BY_NAME: Final[LiteralString] = " AND a.namespace = $2 AND a.name = $3"
_POINTED_THEN: Final[LiteralString] = """
    AND v.id = (SELECT e.version_id FROM alias_event e
                WHERE e.asset_id = a.id AND e.name = $4 AND e.at <= $1::timestamptz
                ORDER BY e.revision DESC LIMIT 1)"""
_POINTED_NOW: Final[LiteralString] = (
    VERSION_COLUMNS_NOW + ", p.revision AS alias_revision" + ALIASES_NOW + POINTED_NOW + _BY_NAME
)
_NOW: Final[LiteralString] = VERSION_COLUMNS_NOW + ALIASES_NOW + VERSION_NOW + _BY_NAME
_THEN: Final[LiteralString] = VERSION_COLUMNS_THEN + ALIASES_THEN + VERSION_THEN + _BY_NAME
_BY_ID: Final[LiteralString] = VERSION_COLUMNS_NOW + ALIASES_NOW + VERSION_NOW + " AND v.id = $2"
_VERSION_BY: Final[dict[tuple[type, bool], LiteralString]] = {
    (SemVer, False): _NOW + " AND v.precedence = $4",
    (SemVer, True): _THEN + " AND v.precedence = $4",
    (int, False): _NOW + " AND v.number = $4",
    (int, True): _THEN + " AND v.number = $4",
    (Alias, False): _POINTED_NOW,
    (Alias, True): _THEN + _POINTED_THEN,
}


async def find_version(
    tx: Tx,
    asset: AssetRef,
    at: SemVer | Alias | int,
    as_of: dt.datetime | None = None,
) -> Version | None:
    """Return the version of `asset` that `at` names; build metadata in a SemVer is ignored.

    `at` is a SemVer, an MLflow number, or an alias. With `as_of`, an alias resolves as it did
    then, what is said of the version is what was said then, and later versions do not exist.
    """
    row = await find_row(tx, asset, at, as_of)
    return None if row is None else to_version(row)


async def find_row(
    tx: Tx, asset: AssetRef, at: SemVer | Alias | int, as_of: dt.datetime | None = None
) -> Row | None:
    """Return what `find_version` finds as a row (`VERSION_COLUMNS`, `aliases`). One statement.

    Found by an alias as of now, it also has the alias's revision, `alias_revision`.
    """
    key = precedence_key(at) if isinstance(at, SemVer) else at
    return await tx.fetchrow(
        _VERSION_BY[type(at), as_of is not None],
        as_of,
        str(asset.namespace),
        str(asset.name),
        str(key) if isinstance(key, Alias) else key,
    )


async def get_row(
    tx: Tx, asset: AssetRef, at: SemVer | Alias | int, as_of: dt.datetime | None = None
) -> Row:
    """Return the row of the version of `asset` that `at` names, as `find_row` does.

    Raises:
        NotFound: there is none, or was none at `as_of`.
        NotServed: an alias points at it now, and it is retired or quarantined.
    """
    row = await find_row(tx, asset, at, as_of)
    if row is None:
        if await renamed_to(tx, str(asset.namespace), str(asset.name)) is not None:
            raise await no_asset(tx, asset)
        when = "" if as_of is None else f" at {timestamp(as_of)}"
        raise NotFound(f"there is no version {asset}@{at}{when}, or you may not see it")
    if isinstance(at, Alias) and as_of is None:
        check_standing(f"{asset}@{row['version']}", standing_of(row))
    return row


async def get_version(tx: Tx, ref: VersionRef, as_of: dt.datetime | None = None) -> Version:
    """Return the version `ref` names.

    Raises:
        NotFound: there is none, or was none at `as_of`.
        NotServed: an alias points at it now, and it is retired or quarantined.
    """
    return await get_version_at(tx, ref.asset, ref.at, as_of)


async def get_version_at(
    tx: Tx, asset: AssetRef, at: SemVer | Alias | int, as_of: dt.datetime | None = None
) -> Version:
    """Return the version of `asset` that `at` names, as `find_version` does.

    Raises:
        NotFound: there is none, or was none at `as_of`.
        NotServed: an alias points at it now, and it is retired or quarantined.
    """
    return to_version(await get_row(tx, asset, at, as_of))


async def version_by_id(tx: Tx, version_id: uuid.UUID) -> Version:
    """Return a version by its id.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(_BY_ID, None, version_id)
    if row is None:
        raise NotFound(f"there is no version {version_id}")
    return to_version(row)


async def vouched_for(tx: Tx, version: Version) -> bool:
    """Say whether a pipeline that was vouched for registered these files for this asset."""
    rows = await tx.fetch(
        "SELECT id::text AS id FROM version WHERE asset_id = $1 AND manifest_digest = $2",
        version.asset_id,
        version.manifest_digest.raw,
    )
    return await ledger.attested(tx, [row["id"] for row in rows])


async def add_version(tx: Tx, asset: Asset, new: NewVersion) -> Version:
    """Insert a version with the asset's next number, and its first annotation; return it.

    With `new.number` it has that one, which was reserved for it.

    One statement; the asset is locked by `tx`. The ledger entry is the caller's to append
    (`version_payload`). Where the entry is known before, `ADD_VERSION` does both at once.

    Raises:
        VersionConflict: the asset has a version of that precedence. Nothing is written.
        Contended: the asset is not at `asset.next_number` any more. Nothing is written.
    """
    try:
        row = await tx.fetchrow(_ADD_ALONE, *add_version_values(asset, new))
    except Conflict as conflict:
        raise version_conflict(conflict, asset.ref, new.version) from None
    if row is None:
        raise Contended(f"a version of {asset.ref} was registered meanwhile; repeat")
    return registered(new, asset.ref, asset.kind, asset.id, number_of(asset, new))


def version_conflict(conflict: Conflict, asset: AssetRef, version: SemVer) -> Conflict:
    """Return the error that says what `ADD_VERSION` met."""
    if conflict.context.get("constraint") != "version_asset_id_precedence_key":
        return conflict
    return VersionConflict(f"{asset}@{version} is registered already")


#: Inserts a version (`add_version_values`) with its first annotation, if the number it was made
#: for is still the asset's next, or was reserved: then `made` has its row. Registrations of an asset take turns here.
ADD_VERSION: Final[LiteralString] = """counted AS (
        UPDATE asset SET next_number = next_number + CASE WHEN $22::integer IS NULL THEN 1 ELSE 0 END
        WHERE id = $2 AND ($22::integer IS NOT NULL OR next_number = $21)
        RETURNING coalesce($22::integer, next_number - 1) AS number
    ), made AS (
        INSERT INTO version (id, asset_id, number, version, precedence, manifest_digest, size_bytes,
                             file_count, formats, executable, metadata, metadata_digest,
                             metrics_at_registration, registered_at, actor_kind, actor_id,
                             entry_id)
        SELECT $1, $2, number, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12::text::jsonb,
               $14, $15, $16, $17
        FROM counted RETURNING id
    ), labelled AS (
        INSERT INTO version_label (version_id, asset_id, registered_at, actor_id, metrics, terms,
                                   revision, updated_at, description, tags)
        SELECT id, $2, $14, $16, $12::text::jsonb, $13, 1, $14, $18, $19::text::jsonb FROM made
    ), said AS (
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        SELECT id, 1, 'version', $2, $14, $15, $16, '', '{}', $20::text::jsonb, $17 FROM made
    )"""
ADD_VERSION_COUNT: Final = 22  # parameters
_ADD_ALONE: Final[LiteralString] = "WITH " + ADD_VERSION + " SELECT id FROM made"  # noqa: S608 -- ours


def number_of(asset: Asset, new: NewVersion) -> int:
    """Return the number `ADD_VERSION` gives: the reserved one, or the asset's next."""
    return asset.next_number if new.number is None else new.number


def add_version_values(asset: Asset, new: NewVersion) -> tuple[Any, ...]:
    """Return the parameters of `ADD_VERSION`."""
    return (
        new.id,
        asset.id,
        str(new.version),
        precedence_key(new.version),
        new.manifest_digest.raw,
        new.size_bytes,
        new.file_count,
        list(new.formats),
        new.executable,
        new.metadata_json.decode(),
        digest_of(new.metadata_json).raw,
        json_text(dict(new.metrics_at_registration)),
        terms(new.metadata, new.formats),
        new.at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
        new.state.description,
        json_text(dict(new.state.tags)),
        json_text(version_state_json(new.state)),
        asset.next_number,
        new.number,
    )


async def reserve_number(tx: Tx, asset: Asset) -> None:
    """Take the next number of `asset`, which is locked, for a version to come. No other gets it."""
    await tx.execute("UPDATE asset SET next_number = next_number + 1 WHERE id = $1", asset.id)


async def annotate_version(tx: Tx, said: Annotation) -> None:
    """Make what `said` says of a version hold, and keep it as its next revision."""
    await tx.execute(
        """
        WITH held AS (
            UPDATE version_label
            SET revision = $2, updated_at = $4, description = $10, tags = $11::text::jsonb
            WHERE version_id = $1
        )
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        VALUES ($1, $2, 'version', $3, $4, $5, $6, $7, $8::text::jsonb, $12::text::jsonb, $9)
        """,
        *said_values(said),
        said.state["description"],
        json_text(said.state["tags"]),
        json_text(said.state),
    )


async def lock_version(tx: Tx, asset: AssetRef, at: SemVer | int) -> Version:
    """Return the version of `asset` that `at` names, what is said of it locked until `tx` ends.

    Raises:
        NotFound: there is none.
    """
    key = precedence_key(at) if isinstance(at, SemVer) else at
    row = await tx.fetchrow(
        _VERSION_BY[type(at), False] + " FOR NO KEY UPDATE OF l",
        None,
        str(asset.namespace),
        str(asset.name),
        key,
    )
    if row is None:
        raise NotFound(f"there is no version {asset}@{at}, or you may not see it")
    return to_version(row)
