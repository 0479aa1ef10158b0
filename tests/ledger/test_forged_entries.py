"""Somebody writes the database past the registry, and waits for the log to take it.

The attacker is the database's superuser with triggers switched off, knows every format here, and
does not have the entry key.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest

from muniment.core.errors import LogInconsistent
from muniment.server import identity, ledger
from muniment.server.http.records import PrincipalKind
from muniment.server.identity import By, NewPrincipal
from muniment.server.ledger import Actor, Subject, rules
from muniment.server.ledger.fsck import Options, fsck, state
from muniment.server.ledger.records import Entry, Refusal, Report, Waiting
from muniment.server.ports.postgres import open_database
from tests.support.keys import MemoryKeys
from tests.support.ledger import ORIGIN, Log, an_entry

FOLDS = [*ledger.FOLDS, *identity.FOLDS]


async def check(log: Log) -> Report:
    return await fsck(log.db, log.blobs, Options(keys=log.keys, origin=ORIGIN, folds=FOLDS))


async def a_person(log: Log) -> uuid.UUID:
    by = By(Actor("system", "tests"), log.clock.now(), log.clock.new_id)
    async with log.db.transaction() as tx:
        new = NewPrincipal(PrincipalKind.PERSON, "mallory")
        return (await identity.create_principal(tx, new, by)).id


async def plant(
    superuser: Any, entry: Entry, *, mac: bytes = bytes(32), queue: bool = True
) -> None:
    """Write `entry` as the registry would, but for the MAC."""
    written = rules.write(entry, salt="0" * 32, signer=None)
    await superuser.execute(
        "INSERT INTO ledger_entry (id, at, act, actor_kind, actor_id, subject_kind, subject_id,"
        " subject_name, digests, leaf, payload, mac)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', $9, $10, $11)",
        entry.id, entry.at, entry.act, entry.actor.kind, entry.actor.id, entry.subject.kind,
        entry.subject.id, entry.subject.name, written.leaf, written.payload, mac,
    )  # fmt: skip
    if queue:
        await superuser.execute("INSERT INTO ledger_pending (entry_id) VALUES ($1)", entry.id)


async def plant_admin(log: Log, superuser: Any, victim: uuid.UUID) -> Entry:
    """Give `victim` the role admin: the row, and the entry that says an administrator did it."""
    granted_at = log.clock.now()
    await superuser.execute(
        "INSERT INTO role_grant VALUES ($1, 'admin', NULL, NULL, $2)", victim, granted_at
    )
    act = an_entry(
        log.clock,
        act="role.grant",
        actor=Actor("person", "01900000-0000-7000-8000-000000000001"),
        subject=Subject("principal", str(victim), "mallory"),
        payload={
            "role": "admin", "namespace": None, "asset": None,
            "granted_at": granted_at.isoformat(),
        },
    )  # fmt: skip
    await plant(superuser, act)
    return act


async def test_a_planted_administrator_gets_no_leaf_and_others_go_on(
    log: Log, superuser: Any
) -> None:
    victim = await a_person(log)
    await log.append(3)
    act = await plant_admin(log, superuser, victim)
    await log.append(3)
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        placed = await ledger.tail(tx, limit=50)
        assert (await ledger.entry(tx, act.id)).index is None
    assert [each.act for each in placed] == [
        "principal.create", *["thing.make"] * 6, "entry.refuse",
    ]  # fmt: skip
    refusal = placed[-1]
    assert (refusal.actor, refusal.subject.id) == (Actor("system", "sequencer"), str(act.id))
    assert refusal.payload == {
        "reason": "forged",
        "claims": {
            "act": "role.grant", "actor_kind": "person", "actor_id": act.actor.id,
            "subject_kind": "principal", "subject_id": str(victim),
        },
    }  # fmt: skip


async def test_fsck_names_the_planted_entry_and_the_row_it_was_to_cover(
    log: Log, superuser: Any
) -> None:
    act = await plant_admin(log, superuser, await a_person(log))
    for sequenced in (False, True):
        if sequenced:
            await log.settle()
        found = {finding.kind: finding for finding in (await check(log)).findings}
        assert found.keys() == {"refused" if sequenced else "entry", "table"}
        assert found["table"].where.startswith("role_grant, row")
        first = found["refused" if sequenced else "entry"]
        assert str(act.id) in first.where
        assert "role.grant" in first.found
        async with log.db.transaction(read_only=True, repeatable=True) as tx:
            assert (await state(tx, FOLDS))["role_grant"] == {}


async def test_once_undone_the_registry_is_clean_and_the_log_still_tells(
    log: Log, superuser: Any
) -> None:
    act = await plant_admin(log, superuser, await a_person(log))
    await log.settle()
    await superuser.execute("DELETE FROM role_grant")
    await superuser.execute("DELETE FROM ledger_entry WHERE id = $1", act.id)
    assert (await check(log)).findings == []
    await superuser.execute("DELETE FROM ledger_refused")
    (finding,) = (await check(log)).findings
    assert finding.where.startswith("ledger_refused, row")


async def test_a_genuine_entry_does_not_stand_twice(log: Log, superuser: Any) -> None:
    """Its leaf and its MAC copied into another row, and its own row queued again."""
    (genuine,) = await log.append(1)
    await log.settle()
    copy = uuid.uuid4()
    await superuser.execute(
        "INSERT INTO ledger_entry SELECT (jsonb_populate_record(e, jsonb_build_object('id', $1::text))).*"
        " FROM ledger_entry e WHERE id = $2",
        str(copy),
        genuine,
    )
    queue = "INSERT INTO ledger_pending (entry_id) VALUES ($1)"
    absent = uuid.uuid4()
    for entry_id in (copy, genuine, absent):
        await superuser.execute(queue, entry_id)
    (twice,) = await log.append(1)
    await superuser.execute(queue, twice)
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        refused = await tx.fetch("SELECT entry_id, reason FROM ledger_refused")
        assert await ledger.tail(tx, after=1, limit=1)
    assert {(row["entry_id"], row["reason"]) for row in refused} == {
        (copy, "forged"), (genuine, "repeated"), (absent, "absent"), (twice, "repeated"),
    }  # fmt: skip
    findings = (await check(log)).findings
    assert [(each.kind, str(copy) in each.where) for each in findings] == [("refused", True)]


async def test_a_queue_full_of_forgeries_does_not_stop_the_log(log: Log, superuser: Any) -> None:
    await superuser.execute(
        "INSERT INTO ledger_pending (entry_id) SELECT gen_random_uuid() FROM generate_series(1, 2500)"
    )
    (honest,) = await log.append(1)
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        assert (await ledger.entry(tx, honest)).index is not None
    assert (await check(log)).clean


async def test_a_signed_act_needs_the_entry_key_too(log: Log, superuser: Any) -> None:
    """Whoever has the record key alone, or replays a bundle, plants nothing either."""
    entry = an_entry(log.clock, predicate_type="https://muniment.example/thing/v1")
    written = rules.write(entry, salt="0" * 32, signer=log.keys.record)
    await plant(superuser, an_entry(log.clock, id=entry.id))
    await superuser.execute(
        "UPDATE ledger_entry SET leaf = $1, payload = NULL, bundle = $2",
        written.leaf,
        written.bundle,
    )
    await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        assert (await ledger.entry(tx, entry.id)).index is None


async def test_another_entry_key_is_refused_before_it_writes(log: Log, db_url: str) -> None:
    stranger = await open_database(db_url, mac=MemoryKeys("stranger").entry.mac, max_size=1)
    try:
        async with stranger.transaction() as tx:
            await ledger.check_entry_key(tx)  # an empty log has no key yet
        await log.append(1)
        await log.settle()
        async with stranger.transaction() as tx:
            with pytest.raises(LogInconsistent, match=r"entry\.key"):
                await ledger.check_entry_key(tx)
    finally:
        await stranger.close()
    async with log.db.transaction() as tx:
        await ledger.check_entry_key(tx)


async def test_without_a_key_nothing_is_appended(log: Log, db_url: str) -> None:
    keyless = await open_database(db_url, max_size=1)
    try:
        with pytest.raises(RuntimeError, match="without the entry key"):
            async with keyless.transaction() as tx:
                await ledger.append(tx, an_entry(log.clock))
    finally:
        await keyless.close()


MAC = MemoryKeys().entry.mac
ID, ASSET = uuid.UUID(int=1), uuid.UUID(int=2)


def waiting(**changes: Any) -> Waiting:
    values: dict[str, Any] = {
        "entry_id": ID, "leaf": b"leaf", "asset_id": None, "leaf_index": None,
        "mac": MAC(rules.mac_input(ID, None, b"leaf")),
    }  # fmt: skip
    return Waiting(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"leaf": None, "mac": None}, "absent"),
        ({"leaf_index": 0}, "repeated"),
        ({"mac": bytes(32)}, "forged"),
        ({"mac": b""}, "forged"),
        ({"leaf": b"leaf2"}, "forged"),
        ({"entry_id": uuid.UUID(int=3)}, "forged"),
        ({"asset_id": ASSET}, "forged"),
        ({"asset_id": uuid.UUID(int=0)}, "forged"),
        ({"mac": hashlib.sha256(rules.mac_input(ID, None, b"leaf")).digest()}, "forged"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(changes: dict[str, Any], reason: str) -> None:
    one = waiting(**changes)
    placeable, refused = rules.sort_out([one], MAC)
    assert (placeable, refused) == ([], [Refusal(one.entry_id, reason)])


def test_what_is_as_it_was_written_is_placed_once_and_in_order() -> None:
    filed = waiting(entry_id=ASSET, asset_id=ASSET, mac=MAC(rules.mac_input(ASSET, ASSET, b"leaf")))
    placeable, refused = rules.sort_out([waiting(), filed, waiting()], MAC)
    assert [each.entry_id for each in placeable] == [ID, ASSET]
    assert refused == [Refusal(ID, "repeated")]
