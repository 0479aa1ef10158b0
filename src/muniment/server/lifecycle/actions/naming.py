"""Rename an asset, and delete one for MLflow's API: what it is called, and whether it goes on."""

from __future__ import annotations

import dataclasses

from muniment.core.errors import LifecycleConflict
from muniment.core.names import Alias, AssetName, AssetRef, VersionRef
from muniment.server import catalog, ledger
from muniment.server.catalog.records import Asset, HigherAct
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions import standings
from muniment.server.lifecycle.records import Payload
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx


async def rename(tx: Tx, ref: AssetRef, name: AssetName, reason: str, by: By) -> Asset:
    """Call an asset something else. Its id stays, and its old name is never given to another.

    Roles granted for the asset by its old name do not go with it.

    Raises:
        NotFound: there is no such asset.
        LifecycleConflict: it was deleted.
        NameReserved: an asset has, or had, that name. Nothing is written.
    """
    questions.check_reason(reason)
    asset = await catalog.lock_asset(tx, ref)
    if asset.tombstoned_at is not None:
        raise LifecycleConflict(f"{ref} was deleted: what it was called stays")
    if asset.ref.name == name:
        return asset
    entry_id, at = by.new_id(), catalog.moment_after(asset.updated_at, by.at)
    await catalog.rename_asset(tx, asset, name, at, entry_id)
    renamed = AssetRef(ref.namespace, name)
    done = HigherAct(
        entry_id=entry_id,
        asset_id=asset.id,
        version_ids=None,
        at=at,
        act="asset.rename",
        subject="",
        actor=by.actor,
        reason=reason,
        changes={"name": (str(ref.name), str(name))},
    )
    payload: Payload = {
        "namespace": str(ref.namespace),
        "name": str(name),
        "former_name": str(ref.name),
    }
    await _log(tx, asset, done, str(renamed), payload)
    return await catalog.get_asset(tx, renamed)


async def _log(tx: Tx, asset: Asset, done: HigherAct, name: str, payload: Payload) -> None:
    await catalog.note_act(tx, done)
    payload = {**payload, "event": catalog.higher_payload(done)}
    subject = Subject("asset", str(asset.id), name, asset.id)
    await ledger.append(tx, Entry(done.entry_id, done.at, done.act, done.actor, subject, payload))


async def tombstone_asset(tx: Tx, ref: AssetRef, reason: str, by: By) -> Asset:
    """Retire all of an asset and hide it from MLflow's API, which deleted it; unset its aliases.

    Record, name, numbers and bytes stay; it takes no versions any more.

    Raises:
        NotFound: there is no such asset.
        LifecycleConflict: a version of it is deployed, or production resolves an alias of it.
        BadBody: the reason is no text. Nothing is written in any of these cases.
    """
    questions.check_reason(reason)
    asset = await catalog.lock_asset(tx, ref)
    if asset.tombstoned_at is not None:
        return asset
    for one in await store.live_of_asset(tx, asset.id):
        raise LifecycleConflict(
            f"{ref}@{one.version} is deployed in {one.environment}: take it out first"
            f" (`muniment withdraw {ref}@{one.version} --env {one.environment} --reason …`)"
        )
    namespace = await catalog.get_namespace(tx, ref.namespace)
    pointers = await catalog.pointers(tx, asset.id)
    entry_id, act = by.new_id(), "asset.tombstone"
    at = catalog.moment_after(asset.updated_at, by.at)
    moves: list[Payload] = []
    for pointer in pointers:
        at = catalog.moment_after(pointer.updated_at, at)
    for pointer in pointers:
        assert pointer.version is not None
        version = await catalog.get_version(tx, VersionRef(ref, pointer.version))
        free = Alias(str(pointer.alias))
        standings.check_free(version, str(free), resolves=catalog.resolves(namespace.state, free))
        _, moved = await standings.unset(
            tx, version, (str(free),), dataclasses.replace(by, at=at), entry_id, act, reason
        )
        moves += moved
    await catalog.tombstone_asset(tx, asset.id, at)
    done = HigherAct(
        entry_id=entry_id,
        asset_id=asset.id,
        version_ids=None,
        at=at,
        act=act,
        subject="",
        actor=by.actor,
        reason=reason,
        changes={"tombstoned": (False, True)},
    )
    await _log(tx, asset, done, str(ref), {"alias_moves": moves})
    return await catalog.get_asset(tx, ref)
