"""What an environment may go back to from a composite: one of the same system, or a version alone."""

from __future__ import annotations

import datetime as dt

from muniment.server import catalog, composites
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.lifecycle.actions import approving
from muniment.server.lifecycle.records import Environment, Ports
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx

#: Where to go back to.
Target = Composite | Version


async def targets(
    tx: Tx, asset: Asset, environment: Environment, alias: str | None, leaving: Composite
) -> list[Target]:
    """Return what an asset is or was deployed as, found so, other than as `leaving`; the latest first.

    Composites of other systems are left out: to go back to one would take out what is not theirs.
    """
    at = (asset.id, environment.name, alias, leaving.namespace, leaving.system)
    found: list[Target] = []
    for one in await store.earlier(tx, *at):
        if one.composite == leaving.cvi:
            continue
        if one.composite is not None:
            found.append(await composites.get(tx, one.composite))
        elif one.version_id is not None:
            found.append(await catalog.version_by_id(tx, one.version_id))
    return found


async def approved(  # noqa: PLR0917 -- what the answer depends on
    tx: Tx, target: Target, asset: Asset, place: Environment, at: dt.datetime, ports: Ports
) -> bool:
    """Say whether production may go back to it: whether it is approved there at a moment."""
    if isinstance(target, Composite):
        return await approving.approved_whole(tx, target, place, at, ports)
    return await approving.approved(tx, asset, target, place, at, ports)


def name_of(target: Target) -> str:
    """Return what it is called."""
    return target.cvi if isinstance(target, Composite) else target.name
