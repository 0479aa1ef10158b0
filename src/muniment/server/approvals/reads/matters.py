"""What a request is about, as it is now: a version alone, or a composite with its members."""

from __future__ import annotations

from muniment.core.names import VersionRef, parse_version
from muniment.server import catalog, composites, ledger
from muniment.server.approvals.records import Request
from muniment.server.approvals.rules.composing import check_uses
from muniment.server.approvals.rules.matters import Matter, check_members
from muniment.server.catalog.records import Asset, Mode, Version
from muniment.server.composites.records import Composite
from muniment.server.ports.db import Tx


def of_version(version: Version, asset: Asset) -> Matter:
    """Return a version alone."""
    return Matter(((version, asset),))


async def of_composite(tx: Tx, composite: Composite, *, lock: bool = False) -> Matter:
    """Return a composite with its members; with `lock`, their assets are locked until `tx` ends.

    Raises:
        BadComposite: it has no members, or too many; with `lock` also: something in it is a version
            of this registry and no member.
    """
    members = await (composites.all_members if lock else composites.members)(tx, composite)
    check_members(composite.cvi, len(members))
    # By id, so that those who lock several wait for each other in one order.
    refs = {one.asset_id: one.ref.asset for one in members}
    read = catalog.lock_asset if lock else catalog.get_asset
    assets = {asset_id: await read(tx, refs[asset_id]) for asset_id in sorted(refs)}
    versions = [await catalog.version_by_id(tx, one.version_id) for one in members]
    if lock:
        uses = (one.metadata.get("prohibited_use_cases", ()) for one in versions)
        check_uses(composite.cvi, uses)
    return Matter(tuple((one, assets[one.asset_id]) for one in versions), composite)


async def of_request(tx: Tx, request: Request) -> Matter:
    """Return what a request is about."""
    ref = VersionRef(request.asset, parse_version(request.version))
    return await of_row(tx, request.composite, ref)


async def of_row(tx: Tx, composite: str | None, ref: VersionRef) -> Matter:
    """Return a composite by its CVI; None: a version alone."""
    if composite is not None:
        return await of_composite(tx, await composites.get(tx, composite))
    asset = await catalog.get_asset(tx, ref.asset)
    return of_version(await catalog.get_version(tx, ref), asset)


async def authors(tx: Tx, matter: Matter) -> list[str]:
    """Return the ids of who registered what is asked for: every member, then the composite."""
    found = [await ledger.registrants(tx, str(version.id)) for version, _ in matter.members]
    found.append(await composite_authors(tx, matter))
    return list(dict.fromkeys(each for one in found for each in one))


async def composite_authors(tx: Tx, matter: Matter) -> list[str]:
    """Return the ids of who registered the composite; of a version alone, nobody's."""
    if matter.composite is None:
        return []
    return await ledger.registrants(tx, matter.composite.cvi, "composite")


async def mode(tx: Tx, matter: Matter) -> Mode:
    """Return how the rules are held to for all of it: enforced only where every member's namespace does."""
    names = {asset.ref.namespace for _, asset in matter.members}
    modes = [(await catalog.get_namespace(tx, name)).state.mode for name in sorted(names, key=str)]
    return next((one for one in modes if one is not Mode.ENFORCE), Mode.ENFORCE)
