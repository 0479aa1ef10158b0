"""Composites as what is deployed: every version in one, and what the one before it had and it has not.

Two composites may share versions, and one asset may be found in many. So the rows of all assets that a
promotion may change are locked in the order of their ids, and only then looked at.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence

from muniment.core.errors import LifecycleConflict, NotAllowed, StaleRevision
from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server import approvals, catalog, composites
from muniment.server.composites.records import Composite, Member
from muniment.server.lifecycle.actions import placing
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.question import Part, Question
from muniment.server.lifecycle.records import (
    Deployment,
    Environment,
    Promotion,
    Whole,
    Whose,
)
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx


async def whole_of(tx: Tx, composite: Composite) -> Whole:
    """Return a composite with the versions it pins.

    Raises:
        BadComposite: it pins none, or too many, or something in it is a version of this registry that
            it does not pin.
    """
    members = await composites.all_members(tx, composite)
    approvals.check_members(composite.cvi, len(members))
    return Whole(composite, tuple(members))


def check_each(
    assets: Iterable[AssetRef],
    may: Callable[[AssetRef], bool],
    verb: str,
    which: str,
    sees: Callable[[AssetRef], bool] = lambda _ref: True,
) -> None:
    """Go on only if who asks may do that to every asset; `which` says why these.

    Raises:
        NotAllowed: to some it may not; `problems` names those of them that it `sees`, others are counted.
    """
    found = [ref for ref in dict.fromkeys(assets) if not may(ref)]
    if found:
        barred = [str(ref) for ref in found if sees(ref)]
        more = len(found) - len(barred)
        hidden = [f"{more} you may not see"] if more else []
        fix = "ask an administrator for the role, or for the pipeline to be trusted, there"
        raise NotAllowed(
            f"your roles do not let you {verb} {', '.join([*barred, *hidden])}, which {which}",
            problems=[
                {"field": one, "message": f"you may not {verb} it", "fix": fix} for one in barred
            ],
        )


async def ask(
    tx: Tx, wanted: Promotion, environment: Environment, whose: Whose, *, locked: bool
) -> Question:
    """Return the question whether a composite may be deployed there, judged; lock its assets.

    Only the registry's own rules are asked here.

    Raises:
        NotAllowed, LifecycleConflict, StaleRevision, BadBody: as `promoting.promote_whole`.
    """
    whole = wanted.whole
    assert whole is not None
    refs = [one.ref.asset for one in whole.members]
    check_each(
        refs, lambda ref: whose.executor(ref).may, "promote", f"{whole.composite.cvi} has in it"
    )

    held = await _locked(tx, whole, environment) if locked else None
    question = await parts_of(tx, whole, environment, whose)
    question = placing.placed(question, wanted)
    check_apart(question)
    question = await replacing(tx, question, whose)
    check_held(question, held)
    left = [part.asset.ref for part in question.gone]
    which = f"are found with what {question.name} takes the place of, and would go"
    check_each(left, lambda ref: whose.executor(ref).may, "promote", which)
    return question


async def parts_of(tx: Tx, whole: Whole, environment: Environment, whose: Whose) -> Question:
    """Return the question about every version in a composite."""
    parts = []
    for one in whole.members:
        asset = await catalog.get_asset(tx, one.ref.asset)
        executor = whose.executor(one.ref.asset)
        cvi = whole.composite.cvi
        parts.append(
            await questions.part_of(tx, asset, one.ref, environment, executor, composite=cvi)
        )
    found = rules.together([part.facts for part in parts])
    return Question(tuple(parts), environment, found, whole.composite)


async def _locked(tx: Tx, whole: Whole, environment: Environment) -> frozenset[uuid.UUID]:
    """Lock all that promoting a composite may change: its assets, and those of composites it may replace."""
    mine = whole.composite
    ids = [one.asset_id for one in whole.members]
    live = await store.live_around(tx, ids, environment.name, mine.namespace, mine.system)
    return await lock(tx, whole.members, live)


async def lock(
    tx: Tx, members: Iterable[Member], live: Iterable[Deployment]
) -> frozenset[uuid.UUID]:
    """Lock the assets of members and of deployments, in the order of their ids, which are returned.

    And those of other composites that get what leaves, so that these do not leave meanwhile.
    """
    refs = {one.asset_id: one.ref.asset for one in members}
    ending = [one for one in live if one.asset_id not in refs]
    for one in ending:
        for each in (one, *await store.heirs(tx, one)):
            if each.asset is not None:
                refs[each.asset_id] = each.asset
    for asset_id in sorted(refs):
        await catalog.lock_asset(tx, refs[asset_id])
    return frozenset(refs)


def check_held(question: Question, held: frozenset[uuid.UUID] | None) -> None:
    """Go on only if what a question is about is locked (`held`); None: nothing will be written.

    Raises:
        StaleRevision: some of it is not: what it takes the place of changed before the locks were had.
    """
    about = {part.asset.id for part in (*question.parts, *question.left)}
    about |= {part.heir.asset_id for part in question.left if part.heir is not None}
    if held is not None and not about <= held:
        raise StaleRevision("what would be taken out changed meanwhile; repeat")


def check_apart(question: Question) -> None:
    """Go on only if every version can be found: through one alias of an asset one is.

    Raises:
        LifecycleConflict: two would be found through one alias.
    """
    taken: dict[tuple[uuid.UUID, Alias], Part] = {}
    for part in question.parts:
        if part.alias is None:
            continue
        other = taken.setdefault((part.asset.id, part.alias), part)
        if other is not part:
            raise LifecycleConflict(
                f"{question.name} has {other.version.name} and {part.version.name}:"
                f" {question.environment.name} finds one version of {part.asset.ref} through the alias"
                f" {part.alias}; make one a version of another asset, or pin one alone"
            )


async def replacing(tx: Tx, question: Question, whose: Whose) -> Question:
    """Return the question with all that would leave with what a composite takes the place of."""
    question, before = await _before(tx, question)
    return await with_left(tx, question, before, whose)


async def _before(tx: Tx, question: Question) -> tuple[Question, list[Deployment]]:
    """Return what is found with what ends: all that is live of composites of the same system.

    Of other systems' composites the question says then which have one of their versions replaced.
    """
    mine = question.composite
    assert mine is not None
    ends = {
        (one.composite, one.alias)
        for part in question.parts
        for one in part.ends
        if one.composite not in {None, mine.cvi} and one.alias is not None
    }
    found, elsewhere = [], set()
    for cvi, alias in sorted(ends):
        other = await composites.get(tx, str(cvi))
        if (other.namespace, other.system) == (mine.namespace, mine.system):
            live = await store.live_of_composite(tx, other.cvi, question.environment.name)
            found += await found_with(tx, live, alias)
        else:
            elsewhere.add(other.cvi)
    parts = [_sharing(part, elsewhere) for part in question.parts] if elsewhere else question.parts
    return question.with_parts(parts), found


def _sharing(part: Part, elsewhere: Collection[str]) -> Part:
    """Return a part that knows which of these composites have another version of it replaced."""
    mine = part.version.id
    found = {one.composite for one in part.ends if one.version_id != mine} & set(elsewhere)
    shared = tuple(sorted(one for one in found if one is not None))
    return dataclasses.replace(part, facts=dataclasses.replace(part.facts, shared_with=shared))


async def found_with(tx: Tx, live: Iterable[Deployment], alias: str | None) -> list[Deployment]:
    """Return those of a composite's live deployments that are found with what an alias leads to.

    Namespaces say themselves which aliases production resolves: what is of one that does not resolve this
    one is found without it.
    """
    found = []
    for one in live:
        same = one.alias == alias
        if not same and one.alias is None and alias is not None and one.asset is not None:
            namespace = await catalog.get_namespace(tx, one.asset.namespace)
            same = not catalog.resolves(namespace.state, Alias(alias))
        if same:
            found.append(one)
    return found


async def with_left(
    tx: Tx, question: Question, ending: Sequence[Deployment], whose: Whose
) -> Question:
    """Return the question with those of `ending` whose assets it does not deploy, to be taken out.

    Of the assets that it does deploy they end as well.
    """
    parts = []
    known = {one.id for part in question.parts for one in part.ends}
    for part in question.parts:
        more = [one for one in ending if one.asset_id == part.asset.id and one.id not in known]
        known |= {one.id for one in more}
        parts.append(dataclasses.replace(part, ends=(*part.ends, *more)))
    staying = {part.asset.id for part in parts}
    gone = [one for one in ending if one.asset_id not in staying]
    left = await leaving(tx, gone, question.environment, whose, known)
    return dataclasses.replace(question, parts=tuple(parts), left=left)


async def leaving(
    tx: Tx,
    ending: Sequence[Deployment],
    environment: Environment,
    whose: Whose,
    also: Collection[uuid.UUID] = (),
) -> tuple[Part, ...]:
    """Return the versions that leave an environment with these deployments, by the ids of their assets.

    What another composite has that stays there is a part of its own, with its heir. `also` are deployments
    that end besides.
    """
    ids = {one.id for one in ending} | set(also)
    groups: dict[tuple[uuid.UUID, uuid.UUID | None], list[Deployment]] = {}
    heirs: dict[uuid.UUID, Deployment] = {}
    for one in sorted(ending, key=lambda one: (one.asset_id, one.version_id, one.id)):
        heir = next((each for each in await store.heirs(tx, one) if each.id not in ids), None)
        if heir is not None:
            heirs[one.id] = heir
        groups.setdefault((one.version_id, None if heir is None else one.id), []).append(one)
    parts = []
    for (version_id, handed), ends in groups.items():
        version = await catalog.version_by_id(tx, version_id)
        asset = await catalog.get_asset(tx, version.asset)
        ref, executor = VersionRef(version.asset, version.version), whose.executor(version.asset)
        part = await questions.part_of(tx, asset, ref, environment, executor, leaving=True)
        heir = None if handed is None else heirs[handed]
        parts.append(dataclasses.replace(part, ends=tuple(ends), heir=heir))
    return tuple(parts)
