"""What an action writes: one row, signed where asked, refused where it cannot be recorded."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import uuid
from typing import Any

import asyncpg
import pytest

from muniment.core.checkpoint import LogKey
from muniment.core.digest import digest_of
from muniment.core.errors import BadBody, BadJson, MunimentError, TooLarge
from muniment.core.receipt import TrustedKeys, verify
from muniment.server.http.records import Caller, PrincipalKind
from muniment.server.ledger import Actor, Subject, actor_of, append, append_all, entry, receipt
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.ledger import ORIGIN, Log, an_entry

PREDICATE = "https://muniment.example/decision/v1"


def trusted(log: Log) -> TrustedKeys:
    log_key = LogKey(ORIGIN, log.keys.log.public_key_der[-32:])
    return TrustedKeys(log_key.vkey, log.keys.record.public_key_der)


@pytest.mark.parametrize("predicate", [None, PREDICATE], ids=["unsigned", "signed"])
async def test_what_went_in_comes_back_and_proves_itself(log: Log, predicate: str | None) -> None:
    asset_id = uuid.UUID(int=7)
    given = an_entry(
        log.clock,
        subject=Subject("version", "v1", "fraud@1.0.0", asset_id),
        payload={"größe": 1.5, "list": [None, True, {"a": "b"}]},
        digests=(digest_of(b"a"), digest_of(b"b")),
        predicate_type=predicate,
    )
    async with log.db.transaction() as tx:
        await append(tx, given, log.keys.record)
        before = await entry(tx, given.id)
    assert before.index is None
    await log.append(300)
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        found = await entry(tx, given.id)
        proof = await receipt(tx, given.id)
    assert found == dataclasses.replace(before, index=0)
    assert found.payload == given.payload
    assert (found.subject, found.digests, found.at) == (given.subject, given.digests, given.at)
    verified = verify(proof, trusted(log))
    assert verified.entry["id"] == str(given.id)
    assert verified.payload == given.payload
    assert verified.signed == (predicate is not None)
    assert (verified.index, verified.tree_size) == (0, 301)


async def test_many_are_in_the_log_in_their_order_or_none_is(log: Log) -> None:
    given = [an_entry(log.clock, predicate_type=PREDICATE) for _ in range(5)]
    async with log.db.transaction() as tx:
        await append_all(tx, [], log.keys.record)
        await append_all(tx, given, log.keys.record)
    wrong = dataclasses.replace(an_entry(log.clock), act="")
    with pytest.raises(BadBody):
        async with log.db.transaction() as tx:
            await append_all(tx, [an_entry(log.clock), wrong], log.keys.record)
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        found = [await entry(tx, one.id) for one in given]
        proof = await receipt(tx, given[3].id)
        assert await tx.fetchval("SELECT count(*) FROM ledger_entry") == len(given)
    assert [one.index for one in found] == [0, 1, 2, 3, 4]
    assert verify(proof, trusted(log)).signed


async def test_two_equal_payloads_have_different_digests(log: Log) -> None:
    await log.append(2, payload={"email": "ada@example.com"})
    async with log.db.transaction(read_only=True) as tx:
        rows = await tx.fetch("SELECT leaf, payload FROM ledger_entry")
    digests = {json.loads(row["leaf"])["payload_sha256"] for row in rows}
    assert digests == {digest_of(row["payload"]).hex for row in rows}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"act": "make"}, BadBody),
        ({"at": dt.datetime(2026, 1, 1)}, BadBody),  # noqa: DTZ001
        ({"payload": {"salt": "mine"}}, BadBody),
        ({"actor": Actor("", "ada")}, BadBody),
        ({"payload": {"n": float("nan")}}, BadJson),
        ({"payload": {"n": "x" * (1 << 20)}}, TooLarge),
        ({"subject": Subject("thing", "1", "x" * 65_536)}, TooLarge),
        ({"digests": (digest_of(b""),) * 2000}, TooLarge),
    ],
)
async def test_what_cannot_be_recorded_is_refused_before_anything_is_written(
    log: Log, changes: dict[str, Any], error: type[MunimentError]
) -> None:
    async with log.db.transaction() as tx:
        with pytest.raises(error):
            await append(tx, an_entry(log.clock, **changes))
        assert await tx.fetchval("SELECT count(*) FROM ledger_entry") == 0


async def test_a_signed_entry_needs_a_signer(log: Log) -> None:
    async with log.db.transaction() as tx:
        with pytest.raises(BadBody, match=r"give `thing\.make` a signer"):
            await append(tx, an_entry(log.clock, predicate_type=PREDICATE))


async def test_appending_is_one_statement_and_one_signal(log: Log) -> None:
    statements: list[str] = []
    signals: list[str] = []

    class Counting:
        async def execute(self, sql: str, *_: object) -> str:
            statements.append(sql)
            return "INSERT 0 1"

        def mac(self, _message: bytes) -> bytes:
            return bytes(32)

        def signal(self, name: str) -> None:
            signals.append(name)

    counting: Any = Counting()
    await append(counting, an_entry(log.clock))
    assert (len(statements), signals) == (1, ["ledger"])


async def test_who_waited_for_a_lock_stands_after_whom_it_waited_for(log: Log) -> None:
    """Identifiers are made before any wait, places after it."""
    early, late = an_entry(log.clock), an_entry(log.clock)
    async with log.db.transaction() as tx:
        await append(tx, late)
    async with log.db.transaction() as tx:
        await append(tx, early)
    log.appended = [late.id, early.id]
    await log.settle()
    assert await log.audit() == 2


STATEMENTS = [
    "UPDATE ledger_entry SET act = 'x.y'",
    "UPDATE ledger_entry SET payload = NULL, act = 'x.y'",
    "UPDATE ledger_entry SET payload = '{}'",
    "DELETE FROM ledger_entry",
    "TRUNCATE ledger_entry",
    "UPDATE ledger_leaf SET leaf_index = 9",
    "DELETE FROM ledger_leaf",
    "TRUNCATE ledger_leaf",
    "UPDATE ledger_tile SET hashes = substr(hashes, 1, 32)",
    "UPDATE ledger_tile SET tile_index = 9, hashes = hashes || hashes",
    "DELETE FROM ledger_tile",
    "TRUNCATE ledger_tile",
    "UPDATE ledger_checkpoint SET note = 'x'",
    "UPDATE ledger_checkpoint SET published_at = now()",
    "DELETE FROM ledger_checkpoint",
    "TRUNCATE ledger_checkpoint",
]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_the_database_refuses_its_owner_change(
    log: Log, owner_db: PostgresDatabase, statement: Any
) -> None:
    await log.append(2)
    await log.settle()
    with pytest.raises(asyncpg.RestrictViolationError, match="muniment: rows of ledger_"):
        async with owner_db.transaction() as tx:
            await tx.execute(statement)


def test_an_actor_is_the_principal() -> None:
    caller = Caller(uuid.UUID(int=5), PrincipalKind.WORKLOAD, "ci", ())
    assert actor_of(caller) == Actor("workload", "00000000-0000-0000-0000-000000000005")
