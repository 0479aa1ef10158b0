"""The catalog's verbs: each changes rows and appends its ledger entry in the caller's transaction."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from muniment.core.errors import AlreadyExists, BadBody, NameReserved, NotFound, StaleRevision
from muniment.core.names import AssetName, AssetRef, Namespace, SemVer
from muniment.server import ledger
from muniment.server.catalog.records import (
    AliasEvent,
    AliasMove,
    Annotation,
    Asset,
    AssetState,
    GovernedNamespace,
    Kind,
    Mode,
    NamespaceChange,
    NamespaceEvent,
    NamespaceState,
    Pointer,
    Version,
)
from muniment.server.catalog.rules import changes, governing, versions
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.rules.standing import not_served
from muniment.server.catalog.store import aliases, assets, namespaces
from muniment.server.catalog.store import standing as standings
from muniment.server.catalog.store import versions as version_rows
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx

_TRIES = 3


async def create_namespace(tx: Tx, name: Namespace, mode: Mode, by: By) -> GovernedNamespace:
    """Create a namespace.

    Raises:
        AlreadyExists: there is one of that name. Nothing is written.
    """
    state = governing.state_of(mode)
    if not await namespaces.insert_namespace(tx, name, state, by):
        raise AlreadyExists(
            f"there is a namespace {name} already; change how it is governed with"
            f" `muniment namespace mode {name} {mode} --reason …`"
        )
    await _log_namespace(tx, name, state, by)
    return await namespaces.get_namespace(tx, name)


async def _log_namespace(tx: Tx, name: Namespace, state: NamespaceState, by: By) -> None:
    subject = Subject("namespace", str(name), str(name))
    payload = governing.namespace_json(state)
    await ledger.append(
        tx, Entry(by.new_id(), by.at, "namespace.create", by.actor, subject, payload)
    )


async def govern_namespace(
    tx: Tx, name: Namespace, change: NamespaceChange, by: By
) -> GovernedNamespace:
    """Change how a namespace is governed; a change that changes nothing is no act.

    Raises:
        NotFound: there is no such namespace.
        StaleRevision: it is not at `change.revision` any more.
        BadBody: it does not say why, or names what is no alias. Nothing is written.
    """
    now = await namespaces.lock_namespace(tx, name)
    _check_revision(now.revision, change.revision)
    state = governing.changed_state(now, change)
    changed = governing.state_changes(now.state, state)
    if not changed:
        return now
    event = NamespaceEvent(
        name=name,
        state=state,
        revision=now.revision + 1,
        changes=changed,
        reason=change.reason,
        at=changes.moment_after(now.updated_at, by.at),
        actor=by.actor,
        entry_id=by.new_id(),
    )
    await namespaces.govern_namespace(tx, event)
    subject = Subject("namespace", str(name), str(name))
    payload = governing.namespace_payload(event)
    await ledger.append(
        tx, Entry(event.entry_id, event.at, "namespace.govern", by.actor, subject, payload)
    )
    return await namespaces.get_namespace(tx, name)


async def create_asset(  # noqa: PLR0917 -- what it is, and how its namespace would be governed
    tx: Tx,
    ref: AssetRef,
    kind: Kind,
    state: AssetState,
    by: By,
    mode: Mode = governing.MODE_DEFAULT,
) -> Asset:
    """Create an asset, and its namespace, with enforcement `mode`, if it is the first there.

    Raises:
        BadBody: `state` has what may not be said; `problems` has all.
        AlreadyExists: the namespace has an asset of that name.
        NameReserved: it had one. Nothing is written in any of these cases.
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
    namespace = governing.state_of(mode)
    new_namespace, new_asset = await assets.insert_asset(tx, asset, namespace)
    if not new_asset:
        raise await _taken(tx, ref)
    if new_namespace:
        await _log_namespace(tx, ref.namespace, namespace, by)
    subject = Subject("asset", str(asset.id), str(ref), asset.id)
    payload = versions.asset_payload(asset)
    await ledger.append(
        tx, Entry(asset.entry_id, by.at, "asset.create", by.actor, subject, payload)
    )
    return asset


async def _taken(tx: Tx, ref: AssetRef) -> AlreadyExists:
    there = await assets.find_asset(tx, ref)
    if there is None:
        now = await standings.renamed_to(tx, str(ref.namespace), str(ref.name))
        return NameReserved(
            f"{ref} is reserved: it was the name of {AssetRef(ref.namespace, AssetName(now or ''))},"
            " and names are never given again; choose another"
        )
    if there.tombstoned_at is not None:
        return NameReserved(
            f"{ref} is reserved: an asset of that name was deleted, its record and bytes are kept,"
            " and names are never given again; choose another"
        )
    return AlreadyExists(f"there is an asset {ref} already; register a version of it instead")


async def annotate_asset(tx: Tx, ref: AssetRef, change: Change, by: By) -> Asset:
    """Change what is said of an asset; a change that changes nothing is no act.

    Raises:
        NotFound: there is no such asset.
        StaleRevision: it is not at `change.revision` any more.
        BadBody: that may not be said. Nothing is written in any of these cases.
    """
    asset = await assets.lock_asset(tx, ref)
    _check_revision(asset.revision, change.revision)
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
    _check_revision(version.revision, change.revision)
    after = versions.version_state_json(changes.changed_version_state(version.state, change))
    before = versions.version_state_json(version.state)
    said = _said("version", version.id, version, before, after, change, by)
    if said is None:
        return version
    said = await _in_order(tx, said)
    await version_rows.annotate_version(tx, said)
    await _log_said(tx, said, version.name)
    return await version_rows.get_version_at(tx, asset, at)


def _check_revision(revision: int, expected: int | None) -> None:
    if expected is not None and expected != revision:
        raise StaleRevision(
            f"expected revision {expected}, found {revision}: "
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


async def set_alias(
    tx: Tx, move: AliasMove, by: By, look: aliases.Standing | None = None
) -> Pointer:
    """Point an alias at a version, or (`move.to` None) nowhere; where it stands already is no act.

    Whether it may be moved is decided above: production resolves some aliases (`governing`).
    `look` is how it stood just now, if that was read. Completes `tx` with the one statement that
    moves and records, where nothing was asked of it before but such a look.

    Raises:
        NotFound, StaleRevision, NotServed, BadBody: see `move_alias`.
    """

    async def moved(event: AliasEvent) -> bool:
        done = await ledger.append_with(
            tx, _move_entry(event, move), aliases.MOVE, aliases.move_values(event)
        )
        return done is not None

    pointer, _ = await _move(tx, move, (by, by.new_id(), "alias.set"), look, moved)
    return pointer


async def move_alias(  # noqa: PLR0917 -- the parts of one act
    tx: Tx,
    move: AliasMove,
    by: By,
    entry_id: uuid.UUID,
    act: str,
    look: aliases.Standing | None = None,
) -> tuple[Pointer, AliasEvent | None]:
    """Move an alias as part of the act with that ledger entry, which the caller appends.

    Returns where it points, and the move: None where it stood there already. Two statements, no
    lock but on the alias itself.

    Raises:
        NotFound: there is no such asset or version.
        StaleRevision: the alias does not stand where `move` expects it; `extra` has where it does.
        NotServed: the version is retired or quarantined.
        BadBody: the reason is not text that can be kept. Nothing is written in any of these cases.
    """

    async def moved(event: AliasEvent) -> bool:
        return await aliases.move_alias(tx, event)

    return await _move(tx, move, (by, entry_id, act), look, moved)


async def _move(
    tx: Tx,
    move: AliasMove,
    how: tuple[By, uuid.UUID, str],
    look: aliases.Standing | None,
    moved: Callable[[AliasEvent], Awaitable[bool]],
) -> tuple[Pointer, AliasEvent | None]:
    """Look and move until nobody comes between: at most twice, for losing gives the alias's lock."""
    problems = list(changes.text_problems("reason", move.reason))
    if problems:
        raise BadBody(f"`reason`: {problems[0]['message']}", problems=problems)
    by, entry_id, act = how
    now = look or await aliases.standing(tx, move.asset, move.alias, move.to, peek=True)
    for _ in range(_TRIES):
        check_standing(now, move)
        assert now.asset_id is not None
        if now.current_id == now.wanted_id:
            return _pointer(now, move, now.revision, now.updated_at or by.at), None
        event = AliasEvent(
            asset_id=now.asset_id,
            alias=move.alias,
            revision=now.revision + 1,
            version_id=now.wanted_id,
            previous_version_id=now.current_id,
            at=changes.moment_after(now.updated_at, by.at),
            actor=by.actor,
            reason=move.reason,
            entry_id=entry_id,
            act=act,
        )
        if await moved(event):
            return _pointer(now, move, event.revision, event.at), event
        # Inside a transaction from here on: only there is the lock kept.
        now = await aliases.standing(tx, move.asset, move.alias, move.to)
    raise StaleRevision(f"the alias {move.alias} of {move.asset} is being moved; repeat")


def check_standing(now: aliases.Standing, move: AliasMove) -> None:
    """Go on only if an alias that stands as `now` may be moved.

    Raises:
        NotFound, StaleRevision, NotServed: see `move_alias`.
    """
    if now.asset_id is None:
        raise NotFound(f"there is no asset {move.asset}, or you may not see it")
    if move.to is not None and now.wanted_id is None:
        raise NotFound(f"there is no version {move.asset}@{move.to} to point {move.alias} at")
    if now.wanted_id != now.current_id and now.wanted_barred is not None:
        raise not_served(f"{move.asset}@{now.wanted}", now.wanted_barred, "")
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


def _move_entry(event: AliasEvent, move: AliasMove) -> Entry:
    subject = Subject(
        "alias", f"{event.asset_id}/{event.alias}", f"{move.asset}@{event.alias}", event.asset_id
    )
    payload = versions.alias_payload(event)
    return Entry(event.entry_id, event.at, "alias.set", event.actor, subject, payload)
