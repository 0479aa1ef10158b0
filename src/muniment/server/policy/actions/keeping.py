"""Ask a bundle about an act, and keep what it said beside the act."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import uuid
from collections.abc import Mapping
from typing import Any

from muniment.server.policy.actions.evaluating import evaluate
from muniment.server.policy.records import Bundle, Evaluation, Judged, StoredVerdict
from muniment.server.policy.rules import inputs
from muniment.server.policy.store import verdicts as store
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool


async def judge(engines: EnginePool, bundle: Bundle, document: Mapping[str, Any]) -> Evaluation:
    """Return what a bundle says of an input document; others are served meanwhile.

    An engine that cannot be asked is not an error: its rules have failed.

    Raises:
        BadBody: the document is not of the form of one. Nothing was asked.
    """
    await asyncio.to_thread(inputs.check_input, document)
    return await engines.run(functools.partial(evaluate, bundle=bundle, document=document))


def judged(judged_id: uuid.UUID, evaluation: Evaluation, document: Mapping[str, Any]) -> Judged:
    """Return an evaluation as it is kept, under an id of its own."""
    return Judged(judged_id, evaluation, inputs.canonical_input(document)[0])


async def keep(  # noqa: PLR0913 -- what it is about
    tx: Tx,
    judged: Judged,
    *,
    entry_id: uuid.UUID,
    at: dt.datetime,
    asset_id: uuid.UUID,
    version_id: uuid.UUID | None,
    environment: str | None,
    carried_out: bool,
    composite: str | None = None,
) -> None:
    """Write a verdict beside the act it is of.

    `entry_id` and `at` are those of the act's entry, whose payload has `judged_payload` with the
    same arguments under `judged`: from that `fsck` knows the row. One act has one verdict.
    """
    evaluation, verdict = judged.evaluation, judged.evaluation.verdict
    kept = StoredVerdict(
        id=judged.id,
        entry_id=entry_id,
        at=at,
        asset_id=asset_id,
        version_id=version_id,
        step=json.loads(judged.document_bytes)["step"],
        environment=environment,
        policy_digest=verdict.policy_digest,
        input_digest=verdict.input_digest,
        decision=verdict.decision,
        failed=tuple(one.id for one in verdict.failed),
        carried_out=carried_out,
        engine=evaluation.engine,
        engine_version=evaluation.engine_version,
        duration_us=evaluation.duration_us,
        composite=composite,
    )
    await store.insert(tx, kept)
