"""A registry begins with a policy; what is in force follows from dates; verdicts stand with acts."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import asyncpg
import pytest

from muniment.core.errors import BadBody, BadPolicy, NotFound, Unavailable
from muniment.server import policy
from muniment.server.identity import By
from muniment.server.ledger.records import Actor
from muniment.server.policy.actions import adding
from muniment.server.policy.records import Decision
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.settings import Settings
from muniment.server.wiring import open_engines
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import (
    DOCUMENT,
    act,
    agent,
    begin,
    bundle,
    rule,
    shared_engines,
    small_files,
    starter,
)

ADMIN = Actor("person", "ada")


async def test_a_new_registry_begins_with_the_starter_bundle_once(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        first = await policy.ensure_first(tx, shared_engines(), None, clock=clock)
        assert first is not None
        assert (first.digest, first.proposed.by.kind) == (starter().digest, "system")
    clock.advance(dt.timedelta(days=1))
    async with db.transaction() as tx:
        nowhere = Path("nowhere")
        assert await policy.ensure_first(tx, shared_engines(), nowhere, clock=clock) is None
        assert (await policy.active(tx, clock.now())).digest == starter().digest
        acts = await tx.fetch("SELECT act FROM ledger_entry ORDER BY id")
    assert [row["act"] for row in acts] == ["policy.add", "policy.activate"]
    await agrees(db)


async def test_another_may_be_said_and_is_looked_at_first(
    db: PostgresDatabase, clock: FixedClock, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "1.rego").write_bytes(rule("foo {{{"))
    async with db.transaction() as tx:
        with pytest.raises(BadPolicy, match="MUNIMENT_FIRST_POLICY") as caught:
            await policy.ensure_first(tx, shared_engines(), tmp_path, clock=clock)
        fields = [one["field"] for one in caught.value.problems]
        assert fields == ["fixtures/", "fixtures/", "rules/"]
        with pytest.raises(BadPolicy, match="nowhere"):
            await policy.ensure_first(tx, shared_engines(), tmp_path / "nowhere", clock=clock)
        with pytest.raises(Unavailable, match="no policy is in force"):
            await policy.active(tx, clock.now())
        with pytest.raises(NotFound, match="muniment policy bundles"):
            await policy.get_bundle(tx, "0" * 64)
        for path, data in small_files().items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(data)
        first = await policy.ensure_first(tx, shared_engines(), tmp_path, clock=clock)
        assert first is not None
        assert first.digest == policy.read_bundle(small_files()).digest


async def test_a_verdict_stands_with_its_act_and_follows_from_the_log(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    made = await begin(db, clock, bundle())
    by = Catalog(clock)
    async with db.transaction() as tx:
        await by.asset(tx)
        version = await by.version(tx, "fraud", "1.0.0")
        judged = await act(tx, made, DOCUMENT, version, by.by(), carried_out=False)
        await act(tx, made, {**DOCUMENT, "at": 1}, version, by.by(), environment=None)
        row = await tx.fetchrow("SELECT * FROM policy_verdict WHERE id = $1", judged.id)
    assert row is not None
    assert (row["decision"], row["failed"], row["carried_out"]) == ("deny", ["SEC-001"], False)
    assert row["input_digest"] == judged.evaluation.verdict.input_digest
    assert judged.evaluation.verdict.decision is Decision.DENY
    await agrees(db)


async def test_what_is_no_input_document_is_not_asked(clock: FixedClock) -> None:
    with pytest.raises(BadBody, match="the input document has 1 problems"):
        await policy.judge(shared_engines(), bundle(), {**DOCUMENT, "step": "dance"})
    del clock


@pytest.mark.parametrize("table", ["policy_bundle", "policy_activation", "policy_verdict"])
async def test_rows_never_change(
    owner_db: PostgresDatabase, db: PostgresDatabase, clock: FixedClock, table: str
) -> None:
    made = await begin(db, clock, bundle())
    by = Catalog(clock)
    async with db.transaction() as tx:
        await by.asset(tx)
        await act(tx, made, DOCUMENT, await by.version(tx, "fraud", "1.0.0"), by.by())
    changes = {
        "policy_bundle": "UPDATE policy_bundle SET packed = ''",
        "policy_activation": "UPDATE policy_activation SET effective_at = now()",
        "policy_verdict": "UPDATE policy_verdict SET decision = 'allow'",
    }
    for sql in (changes[table], f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with owner_db.transaction() as tx:
                await tx.execute(sql)


async def test_a_bundle_that_is_there_is_no_act(db: PostgresDatabase, clock: FixedClock) -> None:
    made = await begin(db, clock, bundle())
    async with db.transaction() as tx:
        there, new = await adding.add(tx, made, By(ADMIN, clock.now(), clock.new_id))
        assert (there.actor.kind, new) == ("system", False)
        _, new = await adding.add(tx, starter(), By(ADMIN, clock.now(), clock.new_id))
        assert new
    await agrees(db)


async def test_an_agent_is_asked_of_acts_and_drafts_are_tried_here() -> None:
    served, draft = bundle(), policy.read_bundle(small_files())
    with agent(served) as url:
        engines = open_engines(Settings(data_dir=Path("unused"), opa_url=url))
        try:
            said = await policy.judge(engines, served, DOCUMENT)
            here = await policy.judge(engines.trial, served, DOCUMENT)
            other = await policy.judge(engines, draft, DOCUMENT)
            tried = await adding.check(engines.trial, dict(draft.files))
        finally:
            await asyncio.to_thread(engines.close)
    assert (said.engine, here.engine) == ("opa", "regopy")
    assert policy.verdict_bytes(said.verdict) == policy.verdict_bytes(here.verdict)
    assert other.verdict.results[0].fault == "engine_other_bundle"
    assert tried.digest == draft.digest
