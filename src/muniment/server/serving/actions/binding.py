"""Bind a consumer: new use of an asset begins, if the rules allow.

In a namespace that enforces, what the rules do not allow is refused, and the refusal recorded; in one
that observes or warns it is bound, and recorded with what would have been refused. Rules that hold
always refuse in every mode. The policy in force is asked at `bind`, with the facts of the version that
would be used.

Binding the same use again is no act; binding it to another version ends the binding there was.
Bindings of one asset take turns by the asset's lock, and with its deprecations.

Source: requirements §1.1 (R-127 to R-129), §1.11 (USE-001).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from dataclasses import dataclass

from muniment.core.errors import LifecycleConflict
from muniment.core.names import VersionRef
from muniment.server import catalog, ledger, lifecycle, policy
from muniment.server.catalog.records import Asset, GovernedNamespace, HigherAct, Mode, Version
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.serving import store
from muniment.server.serving.reads.judging import Asking, Judgement
from muniment.server.serving.records import Binding, Bound, Ended, EndedAs, Refusal, Wanted
from muniment.server.serving.rules import folding, standings


@dataclass(frozen=True, slots=True)
class _Question:
    """A binding that is wanted, with the version it would use and what the rules say."""

    wanted: Wanted
    asset: Asset
    version: Version
    namespace: GovernedNamespace
    judged: Judgement

    @property
    def mode(self) -> Mode:
        return self.namespace.state.mode


async def bind(
    tx: Tx, wanted: Wanted, by: By, engines: EnginePool, *, dry_run: bool = False
) -> Bound | Refusal:
    """Bind a consumer, or refuse to; what stands so already is no act.

    With `dry_run` nothing is locked or written, and the answer is what it would be.

    Raises:
        NotFound: there is no such asset or version.
        LifecycleConflict: the asset has no version, so there is nothing to use.
        BadBody: there is no such environment, or the reason is no text. Nothing is written in any of
            these cases.
    """
    lifecycle.check_reason(wanted.reason)
    if wanted.use.environment is not None:
        await lifecycle.get_environment(tx, wanted.use.environment)
    asset = await (catalog.get_asset if dry_run else catalog.lock_asset)(tx, wanted.asset)
    version = await _version(tx, asset, wanted)
    namespace = await catalog.get_namespace(tx, asset.ref.namespace)
    pinned = None if wanted.version is None else version.id
    there = await store.current(tx, asset.id, wanted.use, lock=not dry_run)
    if there is not None and there.version_id == pinned:
        return Bound(there, version, namespace.state.mode, new=False)
    judged = await Asking(tx, engines, by.at).judge(version, asset, wanted.use)
    question = _Question(wanted, asset, version, namespace, judged)
    if lifecycle.refused(judged.verdict, question.mode):
        entry_id = None if dry_run else await _refuse(tx, question, by)
        return Refusal(version, wanted.use, judged.verdict, question.mode, entry_id)
    if dry_run:
        return _bound(question, _binding(question, by, by.at), there)
    return await _carry_out(tx, question, there, by)


async def _version(tx: Tx, asset: Asset, wanted: Wanted) -> Version:
    """Return the version that would be used."""
    if wanted.version is not None:
        return await catalog.get_version(tx, VersionRef(asset.ref, wanted.version))
    version_id = await store.version_used(tx, asset.id, wanted.use.environment)
    if version_id is None:
        raise LifecycleConflict(
            f"{asset.ref} has no version: there is nothing to use yet"
            f" (`muniment register {asset.ref} --version 0.1.0 --artifact PATH`)"
        )
    return await catalog.version_by_id(tx, version_id)


def _binding(question: _Question, by: By, at: dt.datetime) -> Binding:
    wanted, version = question.wanted, question.version
    pinned = wanted.version is not None
    return Binding(
        id=by.new_id(),
        asset_id=question.asset.id,
        asset=question.asset.ref,
        version_id=version.id if pinned else None,
        version=str(version.version) if pinned else None,
        judged_version_id=version.id,
        use=wanted.use,
        reason=wanted.reason,
        bound_at=at,
        actor=by.actor,
        entry_id=by.new_id(),
    )


def _bound(question: _Question, binding: Binding, replaced: Binding | None) -> Bound:
    verdict, mode = question.judged.verdict, question.mode
    warnings = tuple(lifecycle.words(verdict)) if mode is Mode.WARN else ()
    return Bound(binding, question.version, mode, True, verdict, warnings, replaced)


async def _carry_out(tx: Tx, question: _Question, there: Binding | None, by: By) -> Bound:
    at = by.at if there is None else catalog.moment_after(there.bound_at, by.at)
    binding = _binding(question, by, at)
    payload = {
        "binding": folding.binding_json(binding),
        "version_id": str(question.version.id),
    }
    if there is not None:
        reason = f"bound anew: {binding.id}"
        payload["binding_ended"] = folding.ended_json(there, EndedAs.REPLACED, reason)
        ended = Ended(
            at=at,
            ended_as=EndedAs.REPLACED,
            reason=reason,
            actor=by.actor,
            entry_id=binding.entry_id,
        )
        await store.end(tx, there.id, ended)
    await store.insert(tx, binding)
    done = _act(question, folding.BIND, binding.entry_id, at, by)
    subject = Subject("consumer", str(binding.id), binding.use.system, question.asset.id)
    payload |= await lifecycle.keep_answer(tx, _answer(question, by), done, carried_out=True)
    await ledger.append(tx, Entry(done.entry_id, at, done.act, by.actor, subject, payload))
    return _bound(question, binding, there)


async def _refuse(tx: Tx, question: _Question, by: By) -> uuid.UUID:
    """Record that somebody asked and was refused; return the entry's id."""
    entry_id = by.new_id()
    done = _act(question, folding.REFUSE, entry_id, by.at, by)
    failed = [one.id for one in question.judged.verdict.failed]
    done = dataclasses.replace(done, changes={**done.changes, "failed": (None, failed)})
    version, use = question.version, question.wanted.use
    payload = {
        "wanted": {
            **dataclasses.asdict(use),
            "version": None if question.wanted.version is None else str(version.version),
        },
        "version_id": str(version.id),
        **await lifecycle.keep_answer(tx, _answer(question, by), done, carried_out=False),
    }
    subject = Subject("version", str(version.id), version.name, question.asset.id)
    await ledger.append(tx, Entry(entry_id, by.at, done.act, by.actor, subject, payload))
    return entry_id


def _act(question: _Question, act: str, entry_id: uuid.UUID, at: dt.datetime, by: By) -> HigherAct:
    use = question.wanted.use
    changes = {name: (None, value) for name, value in dataclasses.asdict(use).items() if value}
    return HigherAct(
        entry_id=entry_id,
        asset_id=question.asset.id,
        version_ids=(question.version.id,),
        at=at,
        act=act,
        subject=str(question.version.version),
        actor=by.actor,
        reason=question.wanted.reason,
        changes=changes,
    )


def _answer(question: _Question, by: By) -> lifecycle.Answer:
    judged = question.judged
    return lifecycle.Answer(
        namespace=question.namespace,
        version=question.version,
        environment=question.wanted.use.environment,
        step="bind",
        facts=standings.facts_json(judged.facts),
        verdict=judged.verdict,
        judged=policy.judged(by.new_id(), judged.evaluation, judged.document),
    )
