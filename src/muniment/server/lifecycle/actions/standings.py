"""Deprecate, reinstate, retire, quarantine, release: what may be done with one version."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable, Sequence

from muniment.core.errors import BadBody, LifecycleConflict
from muniment.core.names import Alias, VersionRef
from muniment.server import catalog, ledger
from muniment.server.catalog.records import (
    AliasMove,
    HigherAct,
    Lifecycle,
    Standing,
    StandingChange,
    Version,
)
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.lifecycle.records import Deployment, Payload
from muniment.server.lifecycle.rules import moves
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx

Move = Callable[[Version, Sequence[Deployment]], Standing]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """Why a version's use ends, what replaces it, and when; `sunset` None is 90 days from now."""

    reason: str = ""
    replacement: VersionRef | None = None
    sunset: dt.date | None = None


async def deprecate(
    tx: Tx, ref: VersionRef, wanted: Deprecation, by: By, *, dry_run: bool = False
) -> Version:
    """Announce the end of a version's use; existing use goes on. With `dry_run` nothing is written.

    Raises:
        NotFound: there is no such version, or no such replacement.
        LifecycleConflict: it is retired, or the replacement is; or it would replace itself.
        BadBody: neither reason nor replacement is given, or the sunset is past. Nothing is written.
    """
    replacement = None if wanted.replacement is None else await _replacement(tx, ref, wanted)

    def move(version: Version, _live: Sequence[Deployment]) -> Standing:
        if replacement is not None and replacement.id == version.id:
            raise LifecycleConflict(f"{version.name} cannot replace itself")
        return moves.deprecate(
            version,
            reason=wanted.reason,
            replacement=None if replacement is None else replacement.name,
            sunset=wanted.sunset,
            today=by.at.date(),
        )

    return await change(tx, ref, "version.deprecate", move, by, wanted.reason, dry_run=dry_run)


async def _replacement(tx: Tx, ref: VersionRef, wanted: Deprecation) -> Version:
    assert wanted.replacement is not None
    found = await catalog.get_version(tx, wanted.replacement)
    if found.lifecycle is Lifecycle.RETIRED:
        raise LifecycleConflict(f"{found.name} is retired: it cannot replace {ref}")
    return found


async def reinstate(tx: Tx, ref: VersionRef, reason: str, by: By) -> Version:
    """Take a deprecation back.

    Raises:
        NotFound: there is no such version.
        LifecycleConflict: it is retired.
        BadBody: no reason is given. Nothing is written.
    """

    def move(version: Version, _live: Sequence[Deployment]) -> Standing:
        return moves.reinstate(version, reason=reason)

    return await change(tx, ref, "version.reinstate", move, by, reason)


async def retire(tx: Tx, ref: VersionRef, reason: str, by: By, *, dry_run: bool = False) -> Version:
    """End a version's use for good; record, number, name and bytes stay.

    With `dry_run` nothing is written.

    Raises:
        NotFound: there is no such version.
        LifecycleConflict: it is deployed or approved.
        BadBody: no reason is given, here or by its deprecation. Nothing is written.
    """

    def move(version: Version, live: Sequence[Deployment]) -> Standing:
        return moves.retire(version, reason=reason, live={one.environment for one in live})

    return await change(tx, ref, "version.retire", move, by, reason, dry_run=dry_run)


async def quarantine(tx: Tx, ref: VersionRef, reason: str, by: By) -> Version:
    """Stop a version from being handed out, at once.

    Raises:
        NotFound: there is no such version.
        LifecycleConflict: it is retired.
        BadBody: no reason is given. Nothing is written.
    """

    def move(version: Version, _live: Sequence[Deployment]) -> Standing:
        return moves.quarantine(version, reason=reason)

    return await change(tx, ref, "version.quarantine", move, by, reason)


async def release(tx: Tx, ref: VersionRef, reason: str, by: By) -> Version:
    """End a version's quarantine.

    Raises:
        NotFound: there is no such version.
        BadBody: no reason is given. Nothing is written.
    """

    def move(version: Version, _live: Sequence[Deployment]) -> Standing:
        return moves.release(version, reason=reason)

    return await change(tx, ref, "version.release", move, by, reason)


async def tombstone(tx: Tx, ref: VersionRef, reason: str, by: By) -> Version:
    """Retire a version and hide it from MLflow's API, which deleted it; its aliases are unset.

    Raises:
        NotFound: there is no such version.
        LifecycleConflict: it is deployed or approved, or production resolves an alias of it.
    """
    namespace = await catalog.get_namespace(tx, ref.asset.namespace)

    def move(version: Version, live: Sequence[Deployment]) -> Standing:
        for alias in version.aliases:
            check_free(version, alias, resolves=catalog.resolves(namespace.state, Alias(alias)))
        return moves.tombstone(version, reason=reason, live={one.environment for one in live})

    return await change(tx, ref, "version.tombstone", move, by, reason, unset_aliases=True)


def check_free(version: Version, alias: str, *, resolves: bool) -> None:
    """Go on only if production does not find `version` through `alias`.

    Raises:
        LifecycleConflict: it does.
    """
    if resolves:
        raise LifecycleConflict(
            f"production finds {version.name} through the alias {alias}: point that elsewhere first"
        )


async def change(  # noqa: PLR0917 -- the parts of one act
    tx: Tx,
    ref: VersionRef,
    act: str,
    move: Move,
    by: By,
    reason: str,
    *,
    unset_aliases: bool = False,
    dry_run: bool = False,
) -> Version:
    """Put a version where `move` leads, with one entry; where it stands already is no act.

    With `dry_run` nothing is locked or written, and the answer is what it would be.
    """
    problems = list(catalog.text_problems("reason", reason))
    if problems:
        raise BadBody(f"`reason`: {problems[0]['message']}", problems=problems)
    asset = await (catalog.get_asset if dry_run else catalog.lock_asset)(tx, ref.asset)
    version = await catalog.get_version(tx, ref)
    now = version.standing
    wanted = move(version, await store.live_of_version(tx, version.id))
    if moves.same(now, wanted):
        return version
    if dry_run:
        return moves.would_be(version, wanted)
    entry_id = by.new_id()
    at = catalog.moment_after(now.at, by.at)
    payload: Payload = {}
    if unset_aliases and version.aliases:
        at, payload["alias_moves"] = await unset(
            tx, version, version.aliases, dataclasses.replace(by, at=at), entry_id, act, reason
        )
    standing = dataclasses.replace(wanted, revision=now.revision + 1, at=at)
    await catalog.put_standing(tx, StandingChange(version.id, asset.id, standing, entry_id))
    done = HigherAct(
        entry_id=entry_id,
        asset_id=asset.id,
        version_ids=(version.id,),
        at=at,
        act=act,
        subject=str(version.version),
        actor=by.actor,
        reason=reason,
        changes=_changes(now, standing),
    )
    await catalog.note_act(tx, done)
    payload |= {
        "standing": catalog.standing_json(standing),
        "revision": standing.revision,
        "event": catalog.higher_payload(done),
    }
    subject = Subject("version", str(version.id), version.name, asset.id)
    await ledger.append(tx, Entry(entry_id, at, act, by.actor, subject, payload))
    return await catalog.get_version(tx, VersionRef(ref.asset, version.version))


async def unset(  # noqa: PLR0917 -- the parts of one act
    tx: Tx,
    version: Version,
    names: Sequence[str],
    by: By,
    entry_id: uuid.UUID,
    act: str,
    reason: str,
) -> tuple[dt.datetime, list[Payload]]:
    """Point aliases of `version` nowhere as part of an act; return its time and the moves' payloads.

    All moves have one time, later than the last move of any of them.
    """
    looks = [await catalog.alias_standing(tx, version.asset, Alias(name), None) for name in names]
    at = by.at
    for look in looks:
        at = catalog.moment_after(look.updated_at, at)
    moved: list[Payload] = []
    for name in names:
        wanted = AliasMove(version.asset, Alias(name), None, reason=reason)
        _, event = await catalog.move_alias(
            tx, wanted, dataclasses.replace(by, at=at), entry_id, act
        )
        if event is not None:
            moved.append(catalog.alias_payload(event))
    return at, moved


def _changes(before: Standing, after: Standing) -> dict[str, tuple[object, object]]:
    was, now = catalog.standing_json(before), catalog.standing_json(after)
    was, now = {**was, **was.pop("about")}, {**now, **now.pop("about")}
    return {
        name: (was[name], now[name])
        for name in was
        if was[name] != now[name] and name not in {"reason", "quarantine_reason"}
    }
