"""Rows of environments and deployments."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.errors import BadBody
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.ledger.records import Actor
from muniment.server.lifecycle.records import (
    Deployment,
    DeployMode,
    Earlier,
    EndedAs,
    Environment,
    Stage,
)
from muniment.server.ports.db import Row, Tx


async def environments(tx: Tx) -> list[Environment]:
    """Return the environments, in the order versions take."""
    rows = await tx.fetch("SELECT name, stage, position FROM environment ORDER BY position")
    return [Environment(row["name"], Stage(row["stage"]), row["position"]) for row in rows]


async def get_environment(tx: Tx, name: str) -> Environment:
    """Return the environment of that name.

    Raises:
        BadBody: there is none; the message names those there are.
    """
    found = await environments(tx)
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in found)
    message = f"expected one of {known}, found {name[:80]!a}"
    problem = {"field": "environment", "message": message, "fix": "choose one of them"}
    raise BadBody(f"`environment`: {message}", problems=[problem])


async def environment_at(tx: Tx, stage: Stage) -> Environment:
    """Return the first environment that counts as `stage`: the one MLflow's stage stands for."""
    return next(one for one in await environments(tx) if one.stage is stage)


_DEPLOYMENT: Final[LiteralString] = """
    SELECT d.id, d.asset_id, d.version_id, v.version, v.number, d.environment, d.alias, d.mode,
           d.since, d.actor_kind, d.actor_id, d.reason, d.entry_id, d.decision_id, d.composite, d.ended_at,
           d.ended_as, d.ended_actor_kind, d.ended_actor_id, d.ended_entry_id, a.namespace, a.name
    FROM deployment d JOIN version v ON v.id = d.version_id JOIN asset a ON a.id = d.asset_id"""
_LATEST_FIRST: Final[LiteralString] = " ORDER BY d.since DESC, d.id DESC"


async def live_of_asset(tx: Tx, asset_id: uuid.UUID) -> list[Deployment]:
    """Return the live deployments of an asset's versions, the latest first."""
    rows = await tx.fetch(
        _DEPLOYMENT + " WHERE d.asset_id = $1 AND d.ended_at IS NULL" + _LATEST_FIRST, asset_id
    )
    return [to_deployment(row) for row in rows]


async def live_of_version(
    tx: Tx, version_id: uuid.UUID, as_of: dt.datetime | None = None
) -> list[Deployment]:
    """Return the deployments of a version that are live, or were at `as_of`; the latest first."""
    rows = await tx.fetch(
        _DEPLOYMENT
        + """
        WHERE d.version_id = $1
          AND CASE WHEN $2::timestamptz IS NULL THEN d.ended_at IS NULL
                   ELSE d.since <= $2 AND (d.ended_at IS NULL OR d.ended_at > $2) END
        """
        + _LATEST_FIRST,
        version_id,
        as_of,
    )
    return [to_deployment(row) for row in rows]


async def live_beside(tx: Tx, version_id: uuid.UUID) -> list[Deployment]:
    """Return the live deployments of the other versions of a version's asset, the latest first."""
    asset_id = await tx.fetchval("SELECT asset_id FROM version WHERE id = $1", version_id)
    return [one for one in await live_of_asset(tx, asset_id) if one.version_id != version_id]


async def live_places(tx: Tx, version_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Return the environments in which versions are live, by their ids."""
    rows = await tx.fetch(
        """
        SELECT version_id, array_agg(DISTINCT environment ORDER BY environment) AS places
        FROM deployment WHERE version_id = ANY($1::uuid[]) AND ended_at IS NULL
        GROUP BY version_id
        """,
        list(version_ids),
    )
    return {row["version_id"]: list(row["places"]) for row in rows}


async def last_drill(tx: Tx, asset_id: uuid.UUID, *, whole: bool = False) -> dt.datetime | None:
    """Return when an environment last went back from a version of an asset; None: never.

    With `whole` only going back from a composite counts.
    """
    found: dt.datetime | None = await tx.fetchval(
        """
        SELECT max(ended_at) FROM deployment
        WHERE asset_id = $1 AND ended_as = 'rolled_back' AND (NOT $2 OR composite IS NOT NULL)
        """,
        asset_id,
        whole,
    )
    return found


async def live_of_composite(tx: Tx, cvi: str, environment: str) -> list[Deployment]:
    """Return the live deployments in an environment that are parts of a composite, the latest first."""
    rows = await tx.fetch(
        _DEPLOYMENT
        + " WHERE d.composite = $1 AND d.environment = $2 AND d.ended_at IS NULL"
        + _LATEST_FIRST,
        cvi,
        environment,
    )
    return [to_deployment(row) for row in rows]


async def live_around(
    tx: Tx, asset_ids: Sequence[uuid.UUID], environment: str, namespace: str, system: str
) -> list[Deployment]:
    """Return what is live in an environment of a system's composites that have some of these assets there."""
    rows = await tx.fetch(
        _DEPLOYMENT
        + """
        JOIN composite c ON c.cvi = d.composite AND c.namespace = $3 AND c.system = $4
        WHERE d.environment = $2 AND d.ended_at IS NULL AND EXISTS (
            SELECT FROM deployment o
            WHERE o.asset_id = ANY($1) AND o.environment = $2 AND o.ended_at IS NULL
              AND o.composite = d.composite)
        """
        + _LATEST_FIRST,
        list(asset_ids),
        environment,
        namespace,
        system,
    )
    return [to_deployment(row) for row in rows]


async def heirs(tx: Tx, leaving: Deployment) -> list[Deployment]:
    """Return what is live, found so, of other composites that were deployed there with the same version."""
    rows = await tx.fetch(
        _DEPLOYMENT
        + """
        WHERE d.environment = $3 AND d.ended_at IS NULL AND d.composite <> $4
          AND (d.alias IS NULL OR $5::text IS NULL OR d.alias = $5) AND EXISTS (
            SELECT FROM deployment o
            WHERE o.asset_id = $1 AND o.version_id = $2 AND o.environment = $3
              AND o.composite = d.composite)
        """
        + _LATEST_FIRST,
        leaving.asset_id,
        leaving.version_id,
        leaving.environment,
        leaving.composite,
        leaving.alias,
    )
    return [to_deployment(row) for row in rows]


async def live_with(tx: Tx, asset_id: uuid.UUID, environment: str) -> list[Deployment]:
    """Return what is live in an environment of composites that an asset was ever deployed with there.

    A composite is deployed whole, so these are all that are there and have a version of the asset.
    """
    rows = await tx.fetch(
        _DEPLOYMENT
        + """
        WHERE d.environment = $2 AND d.ended_at IS NULL AND EXISTS (
            SELECT FROM deployment o
            WHERE o.asset_id = $1 AND o.environment = $2 AND o.composite = d.composite)
        """
        + _LATEST_FIRST,
        asset_id,
        environment,
    )
    return [to_deployment(row) for row in rows]


async def earlier(  # noqa: PLR0917 -- an endpoint, and a system
    tx: Tx,
    asset_id: uuid.UUID,
    environment: str,
    alias: str | None,
    namespace: str,
    system: str,
    limit: int = 10,
) -> list[Earlier]:
    """Return what an asset is or was deployed as in an environment, found so, the latest first.

    Of composites only those of that system.
    """
    rows = await tx.fetch(
        """
        SELECT d.composite, CASE WHEN d.composite IS NULL THEN d.version_id END AS version_id
        FROM deployment d LEFT JOIN composite c ON c.cvi = d.composite
        WHERE d.asset_id = $1 AND d.environment = $2 AND d.alias IS NOT DISTINCT FROM $3
          AND (d.composite IS NULL OR (c.namespace = $4 AND c.system = $5))
        GROUP BY 1, 2
        ORDER BY max(coalesce(d.ended_at, 'infinity')) DESC, max(d.since) DESC LIMIT $6
        """,
        asset_id,
        environment,
        alias,
        namespace,
        system,
        limit,
    )
    return [Earlier(row["composite"], row["version_id"]) for row in rows]


async def was_alone(tx: Tx, version_id: uuid.UUID, environment: str, alias: str | None) -> bool:
    """Say whether a version was ever deployed alone in an environment, found so."""
    found = await tx.fetchval(
        """
        SELECT true FROM deployment
        WHERE version_id = $1 AND environment = $2 AND alias IS NOT DISTINCT FROM $3
          AND composite IS NULL LIMIT 1
        """,
        version_id,
        environment,
        alias,
    )
    return found is not None


async def before(tx: Tx, asset_id: uuid.UUID, environment: str, limit: int = 10) -> list[uuid.UUID]:
    """Return the versions of an asset that were deployed in an environment and are not, the latest first."""
    rows = await tx.fetch(
        """
        SELECT version_id FROM deployment
        WHERE asset_id = $1 AND environment = $2
        GROUP BY version_id HAVING count(*) FILTER (WHERE ended_at IS NULL) = 0
        ORDER BY max(ended_at) DESC, max(since) DESC LIMIT $3
        """,
        asset_id,
        environment,
        limit,
    )
    return [row["version_id"] for row in rows]


async def found_as(
    tx: Tx, asset_id: uuid.UUID, environment: str, alias: str | None, composite: str | None = None
) -> set[uuid.UUID]:
    """Return the versions of an asset that are or were in an environment, found so; as part of a composite if one is said."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT version_id FROM deployment
        WHERE asset_id = $1 AND environment = $2 AND alias IS NOT DISTINCT FROM $3
          AND ($4::text IS NULL OR composite = $4)
        """,
        asset_id,
        environment,
        alias,
        composite,
    )
    return {row["version_id"] for row in rows}


async def deployments(
    tx: Tx,
    of: uuid.UUID | str,
    *,
    environment: str | None,
    live: bool,
    as_of: dt.datetime | None,
    before: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
) -> list[Deployment]:
    """Return deployments of an asset's versions, or of a composite (its CVI), the latest first, from the position on.

    `as_of` leaves out later ones, and `live` those that had ended by then.
    """
    at, last = before or (None, None)
    rows = await tx.fetch(
        _DEPLOYMENT
        + (" WHERE d.composite = $1" if isinstance(of, str) else " WHERE d.asset_id = $1")
        + """
          AND ($2::text IS NULL OR d.environment = $2)
          AND d.since <= coalesce($4::timestamptz, 'infinity')
          AND (NOT $3 OR d.ended_at IS NULL OR d.ended_at > $4)
          AND ($5::timestamptz IS NULL OR (d.since, d.id) < ($5, $6::uuid))
        """
        + _LATEST_FIRST
        + " LIMIT $7",
        of,
        environment,
        live,
        as_of,
        at,
        last,
        limit,
    )
    return [to_deployment(row) for row in rows]


async def insert_deployment(tx: Tx, new: Deployment) -> None:
    """Insert a live deployment."""
    await tx.execute(
        """
        INSERT INTO deployment (id, asset_id, version_id, environment, alias, mode, since,
                                actor_kind, actor_id, reason, entry_id, decision_id, composite)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        new.id,
        new.asset_id,
        new.version_id,
        new.environment,
        new.alias,
        new.mode.value,
        new.since,
        new.actor.kind,
        new.actor.id,
        new.reason,
        new.entry_id,
        new.decision_id,
        new.composite,
    )


async def end_deployments(  # noqa: PLR0917 -- which, and the parts of their end
    tx: Tx,
    ids: Sequence[uuid.UUID],
    ended_as: EndedAs,
    at: dt.datetime,
    actor: Actor,
    entry_id: uuid.UUID,
) -> None:
    """End live deployments; the asset is locked."""
    if not ids:
        return
    await tx.execute(
        """
        UPDATE deployment SET ended_at = $2, ended_as = $3, ended_actor_kind = $4,
                              ended_actor_id = $5, ended_entry_id = $6
        WHERE id = ANY($1)
        """,
        list(ids),
        at,
        ended_as.value,
        actor.kind,
        actor.id,
        entry_id,
    )


def to_deployment(row: Row) -> Deployment:
    """Return the deployment in `row`."""
    ended = row["ended_at"] is not None
    return Deployment(
        id=row["id"],
        asset_id=row["asset_id"],
        version_id=row["version_id"],
        version=row["version"],
        number=row["number"],
        environment=row["environment"],
        alias=row["alias"],
        mode=DeployMode(row["mode"]),
        since=row["since"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        reason=row["reason"],
        entry_id=row["entry_id"],
        decision_id=row["decision_id"],
        composite=row["composite"],
        asset=AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
        ended_at=row["ended_at"],
        ended_as=EndedAs(row["ended_as"]) if ended else None,
        ended_by=Actor(row["ended_actor_kind"], row["ended_actor_id"]) if ended else None,
        ended_entry_id=row["ended_entry_id"],
    )
