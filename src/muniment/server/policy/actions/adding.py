"""Take bundles into the registry; have a new registry begin with one."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from pathlib import Path

from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.core.errors import BadPolicy
from muniment.server import ledger
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.policy.actions.evaluating import missing_fixtures, run_fixtures, unreadable
from muniment.server.policy.records import Activation, Bundle, Decided, Problem, StoredBundle
from muniment.server.policy.rules import archives, bundles, folding
from muniment.server.policy.store import activations
from muniment.server.policy.store import bundles as store
from muniment.server.policy.store.files import STARTER, read_files
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import SIZE, EnginePool

_BEGINNING = Actor("system", "bootstrap")
_FIRST = "the policy this registry began with"
_PIECE = 20


async def check(engines: EnginePool, files: dict[str, bytes]) -> Bundle:
    """Return the bundle that `files` are, if nothing at all is wrong with it.

    Raises:
        BadPolicy: with everything that is: form, fixtures that are missing, Rego; and if nothing of
            that is, fixtures of which a rule says something else than it is to.
    """
    bundle, problems = await asyncio.to_thread(bundles.look, files)
    if bundle is not None:
        problems = [Problem("fixtures/", text, "add one") for text in missing_fixtures(bundle)]
        wrong = await engines.run(functools.partial(unreadable, bundle=bundle))
        problems += [Problem("rules/", wrong, "mend the Rego")] if wrong else []
        problems = problems or await _failing(engines, bundle)
    if bundle is None or problems:
        raise bundles.bad(problems)
    return bundle


async def _failing(engines: EnginePool, bundle: Bundle) -> list[Problem]:
    """Return which fixtures are not as expected; a few at a time, for others ask engines too."""
    pieces = [
        functools.partial(
            run_fixtures,
            bundle=dataclasses.replace(bundle, fixtures=bundle.fixtures[start : start + _PIECE]),
        )
        for start in range(0, len(bundle.fixtures), _PIECE)
    ]
    problems: list[Problem] = []
    for start in range(0, len(pieces), SIZE):
        tried = [
            one for each in await engines.run_all(pieces[start : start + SIZE]) for one in each
        ]
        problems += [
            Problem(
                f"{one.fixture.place} ({one.fixture.name})",
                one.wrong,
                "mend the rule or the fixture",
            )
            for one in tried
            if one.wrong
        ]
        if any(one.endless for one in tried):
            break  # each more of them holds an engine for seconds
    return problems


async def add(tx: Tx, bundle: Bundle, by: By) -> tuple[StoredBundle, bool]:
    """Keep a bundle; return it, and whether it is new. One that is there already is no act."""
    packed = archives.pack(bundle)
    new = StoredBundle(bundle.digest, len(bundle.rules), by.at, by.actor, by.new_id())
    if not await store.insert(tx, new, packed):
        there = await store.find(tx, bundle.digest)
        assert there is not None  # bundles are never removed
        return there, False
    entry = Entry(
        id=new.entry_id,
        at=by.at,
        act=folding.ADD,
        actor=by.actor,
        subject=Subject("policy bundle", bundle.digest, bundle.digest[:12]),
        payload={
            "digest": bundle.digest,
            "packed_sha256": digest_of(packed).hex,
            "rule_count": new.rule_count,
        },
        digests=(Digest.parse(bundle.digest),),
    )
    await ledger.append(tx, entry)
    return new, True


async def ensure_first(
    tx: Tx, engines: EnginePool, place: Path | None, *, clock: Clock
) -> Activation | None:
    """Have a registry without a policy begin with the bundle at `place`, or the starter bundle.

    What is in force already stays: then None comes back, and `place` is not looked at.

    Raises:
        BadPolicy: there is no bundle at `place`, or something is wrong with it. Nothing is written.
    """
    await activations.lock(tx)
    if await activations.any_there(tx):
        return None
    bundle = await _first_bundle(engines, place)
    return await bring_first(tx, bundle, By(_BEGINNING, clock.now(), clock.new_id))


async def bring_first(tx: Tx, bundle: Bundle, by: By) -> Activation:
    """Bring the first bundle of a registry into force; nobody has to approve it."""
    await add(tx, bundle, by)
    decided = Decided(by.at, by.actor, _FIRST, by.new_id())
    first = Activation(
        id=by.new_id(),
        digest=bundle.digest,
        proposed=decided,
        effective_from=None,
        simulation=None,
        approved=decided,
        effective_at=by.at,
    )
    await activations.insert(tx, first)
    await ledger.append(tx, _first_entry(first))
    return first


async def _first_bundle(engines: EnginePool, place: Path | None) -> Bundle:
    if place is None:
        return await asyncio.to_thread(lambda: bundles.read_bundle(read_files(STARTER)))
    try:
        return await check(engines, await asyncio.to_thread(read_files, place))
    except BadPolicy as error:
        message = f"MUNIMENT_FIRST_POLICY ({place}): {error.message}"
        raise BadPolicy(message, problems=error.problems) from None


def _first_entry(first: Activation) -> Entry:
    assert first.effective_at is not None
    return Entry(
        id=first.proposed.entry_id,
        at=first.proposed.at,
        act=folding.ACTIVATE,
        actor=first.proposed.by,
        subject=Subject("policy activation", str(first.id), first.digest[:12]),
        payload={
            **folding.proposal_payload(first),
            "approval_reason": first.proposed.reason,
            "effective_at": time_text(first.effective_at),
        },
        digests=(Digest.parse(first.digest),),
    )
