"""The catalog's verbs: each changes rows and appends its ledger entry in the caller's transaction."""

from __future__ import annotations

import dataclasses
from typing import Any

from muniment.core.errors import AlreadyExists, BadBody, NotFound, StaleRevision
from muniment.core.names import AssetRef, SemVer
from muniment.server import ledger
from muniment.server.catalog.records import (
    AliasEvent,
    AliasMove,
    Annotation,
    Asset,
    AssetState,
    Kind,
    Pointer,
    Version,
)
from muniment.server.catalog.rules import changes, versions
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.store import aliases, assets
from muniment.server.catalog.store import versions as version_rows
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx

_TRIES = 3


async def create_asset(tx: Tx, ref: AssetRef, kind: Kind, state: AssetState, by: By) -> Asset:
    """Create an asset, and its namespace if it is the first there.

    Raises:
        BadBody: `state` has what may not be said; `problems` has all.
        AlreadyExists: the namespace has an asset of that name. Nothing is written.
    """
    changes.check_asset_state(state)
    asset = Asset(
        id=by.new_id(),
        ref=ref,
        kind=kind,
        state=state,
        revision=1,
        next_number=1,
        created_at=by.at,
        created_by=by.actor,
        updated_at=by.at,
        entry_id=by.new_id(),
    )
    new_namespace, new_asset = await assets.insert_asset(tx, asset)
    if not new_asset:
        raise AlreadyExists(f"there is an asset {ref} already; register a version of it instead")
    if new_namespace:
        name = str(ref.namespace)
        subject = Subject("namespace", name, name)
        await ledger.append(
            tx, Entry(by.new_id(), by.at, "namespace.create", by.actor, subject, {})
        )
    subject = Subject("asset", str(asset.id), str(ref), asset.id)
    payload = versions.asset_payload(asset)
    await ledger.append(
        tx, Entry(asset.entry_id, by.at, "asset.create", by.actor, subject, payload)
    )
    return asset


async def annotate_asset(tx: Tx, ref: AssetRef, change: Change, by: By) -> Asset:
    """Change what is said of an asset; a change that changes nothing is no act.

    Raises:
        NotFound: there is no such asset.
        StaleRevision: it is not at `change.revision` any more.
        BadBody: that may not be said. Nothing is written in any of these cases.
    """
    asset = await assets.lock_asset(tx, ref)
    _check_revision(asset.revision, change)
    state = changes.changed_asset_state(asset, change)
    after = versions.asset_state_json(state)
    said = _said(
        "asset", asset.id, asset, versions.asset_state_json(asset.state), after, change, by
    )
    if said is None:
        return asset
    said = await _in_order(tx, said)
    await assets.annotate_asset(tx, said)
    await _log_said(tx, said, str(ref))
    return await assets.get_asset(tx, ref)


async def annotate_version(
    tx: Tx, asset: AssetRef, at: SemVer | int, change: Change, by: By
) -> Version:
    """Change what is said of a version; a change that changes nothing is no act.

    Raises:
        NotFound: there is no such version.
        StaleRevision: it is not at `change.revision` any more.
        BadBody: that may not be said. Nothing is written in any of these cases.
    """
    version = await version_rows.lock_version(tx, asset, at)
    _check_revision(version.revision, change)
    after = versions.version_state_json(changes.changed_version_state(version.state, change))
    before = versions.version_state_json(version.state)
    said = _said("version", version.id, version, before, after, change, by)
    if said is None:
        return version
    said = await _in_order(tx, said)
    await version_rows.annotate_version(tx, said)
    await _log_said(tx, said, version.name)
    return await version_rows.get_version_at(tx, asset, at)


def _check_revision(revision: int, change: Change) -> None:
    if change.revision is not None and change.revision != revision:
        raise StaleRevision(
            f"expected revision {change.revision}, found {revision}: "
            "somebody changed it meanwhile; read it again and repeat",
            extra={"revision": revision},
        )


def _said(  # noqa: PLR0917 -- the parts of one record
    kind: str,
    subject_id: Any,
    subject: Asset | Version,
    before: dict[str, Any],
    after: dict[str, Any],
    change: Change,
    by: By,
) -> Annotation | None:
    """Return the annotation that turns `before` into `after`; None where they are equal."""
    changed = changes.differences(before, after)
    if not changed:
        return None
    return Annotation(
        subject_kind=kind,
        subject_id=subject_id,
        asset_id=subject.asset_id if isinstance(subject, Version) else subject.id,
        revision=subject.revision + 1,
        at=by.at,
        actor=by.actor,
        reason=change.reason,
        changes=changed,
        state=after,
        entry_id=by.new_id(),
    )


async def _in_order(tx: Tx, said: Annotation) -> Annotation:
    """Return `said`, later than what was said of the subject before; the subject is locked."""
    last = await assets.last_said_at(tx, said.subject_id)
    return dataclasses.replace(said, at=changes.moment_after(last, said.at))


async def _log_said(tx: Tx, said: Annotation, name: str) -> None:
    subject = Subject(said.subject_kind, str(said.subject_id), name, said.asset_id)
    act = f"{said.subject_kind}.annotate"
    payload = versions.annotation_payload(said)
    await ledger.append(tx, Entry(said.entry_id, said.at, act, said.actor, subject, payload))


async def set_alias(tx: Tx, move: AliasMove, by: By) -> Pointer:
    """Point an alias at a version, or (`move.to` None) nowhere; where it stands already is no act.

    Two statements and the ledger's; no lock but on the alias itself.

    Raises:
        NotFound: there is no such asset or version.
        StaleRevision: the alias does not stand where `move` expects it; `extra` has where it does.
        BadBody: the reason is not text that can be kept. Nothing is written in any of these cases.
    """
    problems = list(changes.text_problems("reason", move.reason))
    if problems:
        raise BadBody(f"`reason`: {problems[0]['message']}", problems=problems)
    for _ in range(_TRIES):
        now = await aliases.standing(tx, move.asset, move.alias, move.to)
        _check_standing(now, move)
        assert now.asset_id is not None
        if now.current_id == now.wanted_id:
            return _pointer(now, move, now.revision, now.updated_at or by.at)
        event = AliasEvent(
            asset_id=now.asset_id,
            alias=move.alias,
            revision=now.revision + 1,
            version_id=now.wanted_id,
            previous_version_id=now.current_id,
            at=changes.moment_after(now.updated_at, by.at),
            actor=by.actor,
            reason=move.reason,
            entry_id=by.new_id(),
        )
        if await aliases.move_alias(tx, event):
            await _log_move(tx, event, move)
            return _pointer(now, move, event.revision, event.at)
    raise StaleRevision(f"the alias {move.alias} of {move.asset} is being moved; repeat")


def _check_standing(now: aliases.Standing, move: AliasMove) -> None:
    if now.asset_id is None:
        raise NotFound(f"there is no asset {move.asset}, or you may not see it")
    if move.to is not None and now.wanted_id is None:
        raise NotFound(f"there is no version {move.asset}@{move.to} to point {move.alias} at")
    stale = move.expected_revision not in {None, now.revision}
    if move.expects and not stale:
        stale = not _is_at(now, move.expected)
    if stale:
        stands = "nowhere" if now.current is None else f"at {now.current}"
        raise StaleRevision(
            f"the alias {move.alias} of {move.asset} points {stands} (revision {now.revision}), "
            "not where you expected it; look again and repeat",
            extra={
                "version": None if now.current is None else str(now.current),
                "revision": now.revision,
            },
        )


def _is_at(now: aliases.Standing, expected: SemVer | int | None) -> bool:
    if now.current is None or expected is None:
        return now.current is None and expected is None
    if isinstance(expected, int):
        return now.current_number == expected
    return now.current.precedence == expected.precedence


def _pointer(now: aliases.Standing, move: AliasMove, revision: int, at: Any) -> Pointer:
    assert now.asset_id is not None
    return Pointer(
        asset_id=now.asset_id,
        alias=move.alias,
        version_id=now.wanted_id,
        version=now.wanted,
        number=now.wanted_number,
        revision=revision,
        updated_at=at,
    )


async def _log_move(tx: Tx, event: AliasEvent, move: AliasMove) -> None:
    subject = Subject(
        "alias", f"{event.asset_id}/{event.alias}", f"{move.asset}@{event.alias}", event.asset_id
    )
    payload = versions.alias_payload(event)
    await ledger.append(
        tx, Entry(event.entry_id, event.at, "alias.set", event.actor, subject, payload)
    )
