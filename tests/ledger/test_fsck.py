"""Whatever somebody with all rights in the database or the blob store changes, fsck names it."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody
from muniment.server.ledger import Fields, Key, Recorded, Subject, append, erase
from muniment.server.ledger.fsck import Options, fsck, state
from muniment.server.ledger.records import NeededBlob, Report
from muniment.server.ports.db import Tx
from tests.support.ledger import ORIGIN, Log, an_entry

COUNT = 600


class ThingFold:
    """A toy governance table: things, by number."""

    table = "thing"

    def apply(self, rows: MutableMapping[Key, Fields], entry: Recorded) -> None:
        if entry.act == "thing.make" and entry.payload is not None:
            number = entry.payload["number"]
            rows[str(number)] = {"number": number, "changes": 0}
        if entry.act == "thing.change" and entry.payload is not None:
            rows[str(entry.payload["number"])]["changes"] += 1

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        async for row in tx.cursor("SELECT number, changes FROM thing"):
            yield str(row["number"]), dict(row)


@pytest.fixture
async def full(log: Log, superuser: Any) -> Log:
    """A log of 600 entries, one signed, one waiting, and the table they make."""
    await log.append(300)
    await log.settle()
    await log.append(COUNT - 302)
    filed = Subject("thing", "filed", "filed", uuid.UUID(int=7))
    await log.append(1, predicate_type="https://muniment.example/thing/v1", subject=filed)
    await log.settle()
    await log.append(1)
    await superuser.execute("CREATE TABLE thing (number int PRIMARY KEY, changes int NOT NULL)")
    await superuser.execute(f"INSERT INTO thing SELECT i, 0 FROM generate_series(0, {COUNT - 1}) i")
    await superuser.execute("GRANT SELECT ON thing TO PUBLIC")
    await superuser.execute("ALTER TABLE thing OWNER TO muniment_owner")
    return log


async def check(log: Log, **options: Any) -> Report:
    given = Options(keys=log.keys, origin=ORIGIN, folds=[ThingFold()], **options)
    return await fsck(log.db, log.blobs, given)


async def test_a_sound_log_is_clean(full: Log) -> None:
    told: list[str] = []
    report = await check(full, progress=lambda what, _: told.append(what))
    assert report.findings == []
    assert report.clean
    assert report.counts.pop("guards") > 10
    assert report.notes == []
    assert report.counts == {
        "entries": COUNT - 1,
        "checkpoints": 2,
        "tiles": 4,
        "waiting": 1,
        "published objects": 7,
        "rows of thing": COUNT,
    }
    assert "published tiles" in told


async def test_an_empty_log_is_clean(log: Log) -> None:
    report = await fsck(log.db, log.blobs, Options(keys=log.keys, origin=ORIGIN))
    assert report.clean


ENTRY = "(SELECT entry_id FROM ledger_leaf WHERE leaf_index = 123)"
SIGNED = f"(SELECT entry_id FROM ledger_leaf WHERE leaf_index = {COUNT - 2})"
FILED = "(SELECT id FROM ledger_entry WHERE asset_id IS NOT NULL)"
WAITING = "(SELECT entry_id FROM ledger_pending)"
FORGED = "decode(repeat('ab', 32), 'hex')"

#: What is done to the database, and the kind and place of the first finding.
FORGERIES = {
    "entry act": (f"UPDATE ledger_entry SET act = 'thing.lose' WHERE id = {ENTRY}", "entry", "column act"),
    "entry time": (f"UPDATE ledger_entry SET at = at - interval '1 day' WHERE id = {ENTRY}", "entry", "column at"),
    "entry actor": (f"UPDATE ledger_entry SET actor_id = 'eve' WHERE id = {ENTRY}", "entry", "column actor_id"),
    "entry actor kind": (f"UPDATE ledger_entry SET actor_kind = 'system' WHERE id = {ENTRY}", "entry", "column actor_kind"),
    "entry subject": (f"UPDATE ledger_entry SET subject_id = 't9' WHERE id = {ENTRY}", "entry", "column subject_id"),
    "entry name": (f"UPDATE ledger_entry SET subject_name = 'x' WHERE id = {ENTRY}", "entry", "column subject_name"),
    "entry digests": (f"UPDATE ledger_entry SET digests = ARRAY[{FORGED}] WHERE id = {ENTRY}", "entry", "column digests"),
    "entry payload": (f"UPDATE ledger_entry SET payload = '{{}}' WHERE id = {ENTRY}", "entry", "column payload"),
    "entry payload gone": (f"UPDATE ledger_entry SET payload = NULL WHERE id = {ENTRY}", "entry", "column payload"),
    "entry leaf": (f"UPDATE ledger_entry SET leaf = '{{}}' WHERE id = {ENTRY}", "leaf", "leaf 123"),
    "entry deleted": (f"DELETE FROM ledger_entry WHERE id = {ENTRY}", "entry", "(leaf 123)"),
    "signed entry": (f"UPDATE ledger_entry SET act = 'thing.lose' WHERE id = {SIGNED}", "entry", "column act"),
    "signed bundle": (f"UPDATE ledger_entry SET bundle = '{{}}' WHERE id = {SIGNED}", "entry", "column bundle"),
    "signed leaf": (f"UPDATE ledger_entry SET leaf = '{{}}' WHERE id = {SIGNED}", "leaf", f"leaf {COUNT - 2}"),
    "entry mac": (f"UPDATE ledger_entry SET mac = {FORGED} WHERE id = {ENTRY}", "entry", "column mac"),
    "entry asset": (f"UPDATE ledger_entry SET asset_id = gen_random_uuid() WHERE id = {ENTRY}", "entry", "column mac"),
    "entry asset gone": (f"UPDATE ledger_entry SET asset_id = NULL WHERE id = {FILED}", "entry", "column mac"),
    "waiting mac": (f"UPDATE ledger_entry SET mac = {FORGED} WHERE id = {WAITING}", "entry", "column mac"),
    "waiting entry": (f"UPDATE ledger_entry SET act = 'thing.lose' WHERE id = {WAITING}", "entry", "column act"),
    "waiting entry gone": (f"DELETE FROM ledger_entry WHERE id = {WAITING}", "pending", "ledger_pending"),
    "never queued": ("DELETE FROM ledger_pending", "entry", "ledger_entry, row"),
    "queued again": (f"INSERT INTO ledger_pending (entry_id) SELECT {ENTRY}", "pending", "ledger_pending"),
    "queued twice": (f"INSERT INTO ledger_pending (entry_id) SELECT {WAITING}", "pending", "ledger_pending"),
    "leaf hash": (f"UPDATE ledger_leaf SET leaf_hash = {FORGED} WHERE leaf_index = 123", "leaf", "leaf 123"),
    "leaf deleted": ("DELETE FROM ledger_leaf WHERE leaf_index = 123", "leaf", "index 123"),
    "last leaf deleted": (f"DELETE FROM ledger_leaf WHERE leaf_index = {COUNT - 2}", "checkpoint", "ledger_checkpoint"),
    "leaves swapped": (
        ("UPDATE ledger_leaf SET leaf_index = 10015 - leaf_index WHERE leaf_index IN (7, 8);"
        "UPDATE ledger_leaf SET leaf_index = leaf_index - 10000 WHERE leaf_index > 10000;"),
        "checkpoint",
        "size 300",
    ),
    "tile": (
        "UPDATE ledger_tile SET hashes = overlay(hashes placing 'x' from 33) WHERE level = 0 AND tile_index = 1",
        "tile",
        "level 0, index 1, hash 1",
    ),
    "tile deleted": ("DELETE FROM ledger_tile WHERE level = 1", "tile", "level 1, index 0, hash 0"),
    "tile too wide": ("UPDATE ledger_tile SET hashes = hashes || hashes WHERE level = 1", "tile", "level 1, index 0, hash 2"),
    "tile too many": (f"INSERT INTO ledger_tile VALUES (5, 5, {FORGED})", "tile", "ledger_tile"),
    "checkpoint root": (f"UPDATE ledger_checkpoint SET root = {FORGED} WHERE size = 300", "checkpoint", "size 300"),
    "checkpoint note": ("UPDATE ledger_checkpoint SET note = 'x' WHERE size = 300", "checkpoint", "size 300"),
    "checkpoint of another size": (
        "UPDATE ledger_checkpoint SET note = (SELECT note FROM ledger_checkpoint WHERE size > 300) WHERE size = 300",
        "checkpoint",
        "size 300",
    ),
    "checkpoint time": (
        "UPDATE ledger_checkpoint SET signed_at = signed_at - interval '1 second' WHERE size = 300",
        "checkpoint",
        "size 300",
    ),
    "checkpoint shown earlier": (
        "UPDATE ledger_checkpoint SET published_at = signed_at - interval '1 hour' WHERE size = 300",
        "checkpoint",
        "size 300",
    ),
    "checkpoint mac": ("UPDATE ledger_checkpoint SET mac = NULL WHERE size = 300", "checkpoint", "size 300"),
    "checkpoint deleted": ("DELETE FROM ledger_checkpoint WHERE size > 300", "checkpoint", "ledger_checkpoint"),
    "checkpoint invented": (
        "INSERT INTO ledger_checkpoint SELECT 9999, root, note, now(), NULL FROM ledger_checkpoint LIMIT 1",
        "checkpoint",
        "ledger_checkpoint",
    ),
    "row changed": ("UPDATE thing SET changes = 7 WHERE number = 123", "table", "thing, row 123, column changes"),
    "row deleted": ("DELETE FROM thing WHERE number = 123", "table", "thing, row 123"),
    "row invented": ("INSERT INTO thing VALUES (9999, 0)", "table", "thing, row 9999"),
}  # fmt: skip


#: How the guards of the tables may be gone, and what is named.
UNGUARDED = {
    "switched off": ("ALTER TABLE ledger_entry DISABLE TRIGGER immutable", "ledger_entry, trigger immutable"),
    "all switched off": ("ALTER TABLE version DISABLE TRIGGER USER", "version, trigger"),
    "in replicas only": ("ALTER TABLE asset ENABLE REPLICA TRIGGER immutable", "asset, trigger immutable"),
    "dropped": ("DROP TRIGGER grow_only ON ledger_tile", "ledger_tile, trigger grow_only"),
    "for less": (
        ("DROP TRIGGER immutable ON ledger_leaf; CREATE TRIGGER immutable BEFORE DELETE ON ledger_leaf"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"),
        "ledger_leaf, trigger immutable",
    ),
    "when it suits": (
        ("DROP TRIGGER immutable ON ledger_leaf; CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON"
        " ledger_leaf FOR EACH ROW WHEN (current_user <> 'postgres') EXECUTE FUNCTION refuse_change()"),
        "ledger_leaf, trigger immutable",
    ),
    "a function that does nothing": (
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RETURN NEW; END$$"),
        "function refuse_change",
    ),
    "one more": (
        ("CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
        "CREATE TRIGGER zz BEFORE INSERT ON role_grant FOR EACH ROW EXECUTE FUNCTION swap()"),
        "role_grant, trigger zz",
    ),
    "a rule": ("CREATE RULE quiet AS ON INSERT TO ledger_refused DO INSTEAD NOTHING", "ledger_refused, rule quiet"),
    "off for a role": ("ALTER ROLE muniment SET session_replication_role = replica", "setting of muniment"),
    "off in this database": (
        ("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica',"
        " current_database()); END$$"),
        "setting of every role",
    ),
    "another owner": ("ALTER TABLE token OWNER TO muniment", "token, owner"),
    "everybody may write": ("GRANT INSERT ON role_grant TO PUBLIC", "role_grant, role everybody (PUBLIC)"),
    "the server may truncate": ("GRANT TRUNCATE ON ledger_pending TO muniment", "ledger_pending, role muniment"),
}  # fmt: skip


@pytest.mark.parametrize("way", UNGUARDED)
async def test_a_guard_that_is_gone_is_named(log: Log, superuser: Any, way: str) -> None:
    statement, where = UNGUARDED[way]
    await superuser.execute(statement)
    try:
        report = await fsck(log.db, log.blobs, Options(keys=log.keys, origin=ORIGIN))
    finally:
        await superuser.execute("ALTER ROLE muniment RESET session_replication_role")
    assert report.findings
    assert {finding.kind for finding in report.findings} == {"guard"}
    assert any(where in finding.where for finding in report.findings), report.findings
    assert all(finding.expected != finding.found for finding in report.findings)


async def test_a_server_that_owns_its_tables_is_told(log: Log, owner_db: Any) -> None:
    report = await fsck(owner_db, log.blobs, Options(keys=log.keys, origin=ORIGIN))
    assert any("owns its tables" in note for note in report.notes)


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_a_superuser_changes_is_named(full: Log, superuser: Any, forgery: str) -> None:
    statement, kind, where = FORGERIES[forgery]
    await superuser.execute(statement)
    report = await check(full)
    assert not report.clean
    first = report.findings[0]
    assert (first.kind, where in first.where) == (kind, True), report.findings[:3]
    assert first.expected != first.found
    assert first.remedy


async def test_a_forged_row_says_both_sides(full: Log, superuser: Any) -> None:
    await superuser.execute("UPDATE thing SET changes = 7 WHERE number = 123")
    (finding,) = (await check(full)).findings
    assert finding.where == "thing, row 123, column changes"
    assert (finding.expected, finding.found) == ("the log says 0", "the table says 7")


async def test_many_findings_are_counted_and_few_are_kept(full: Log, superuser: Any) -> None:
    await superuser.execute("UPDATE thing SET changes = 7")
    report = await check(full)
    assert len(report.findings) == 20
    assert report.findings_by_kind == {"table": COUNT}


@pytest.mark.parametrize(
    "key", ["log/tile/0/001", "log/tile/entries/002.p/87", "log/tile/1/000.p/2"]
)
async def test_what_is_published_is_compared(full: Log, key: str) -> None:
    data = await full.blobs.get_object(key)
    assert data
    await full.blobs.put_object(key, b"?" + data[1:])
    (finding,) = (await check(full)).findings
    assert (finding.kind, finding.where, finding.found) == ("object", key, "other bytes")
    await full.blobs.delete_object(key)
    (finding,) = (await check(full)).findings
    assert (finding.kind, finding.where, finding.found) == ("object", key, "nothing")


async def test_the_guard_is_compared(full: Log) -> None:
    for note in (None, b"?"):
        if note is None:
            await full.blobs.delete_object("guard/checkpoint")
        else:
            await full.blobs.put_object("guard/checkpoint", note)
        (finding,) = (await check(full)).findings
        assert (finding.kind, finding.where) == ("guard", "guard/checkpoint")


async def test_a_database_behind_its_guard_is_named(full: Log, superuser: Any) -> None:
    await superuser.execute(
        "TRUNCATE ledger_entry, ledger_pending, ledger_leaf, ledger_tile, ledger_checkpoint, thing"
    )
    (finding,) = (await check(full)).findings
    assert (finding.kind, finding.where) == ("guard", "guard/checkpoint")


async def test_an_erased_payload_is_in_order_once_the_log_says_so(full: Log) -> None:
    subject = Subject("entry", str(full.appended[5]), "thing 5")
    act = an_entry(full.clock, act="entry.erase", subject=subject, payload={})
    async with full.db.transaction() as tx:
        assert await erase(tx, act)
        assert not await erase(tx, an_entry(full.clock, act="entry.erase", subject=subject))
        with pytest.raises(BadBody, match=r"expected `entry\.erase` of an entry"):
            await erase(tx, an_entry(full.clock))
    kinds = {finding.kind for finding in (await check(full)).findings}
    assert kinds == {"table"}  # the toy fold cannot know what was erased; the log itself is sound


async def test_a_fold_that_cannot_follow_is_named(full: Log) -> None:
    async with full.db.transaction() as tx:
        await append(tx, an_entry(full.clock, act="thing.change", payload={"number": 5000}))
    (finding,) = (await check(full)).findings
    assert finding.kind == "fold"
    assert "thing.change" in finding.where
    assert finding.found == "KeyError: '5000'"


async def test_the_tables_can_be_rebuilt_for_a_past_time(log: Log) -> None:
    await log.append(700)
    log.clock.advance(dt.timedelta(days=1))
    then = log.clock.now()
    async with log.db.transaction() as tx:
        await append(tx, an_entry(log.clock, act="thing.change", payload={"number": 3}))
    await log.settle()
    log.clock.advance(dt.timedelta(days=1))
    async with log.db.transaction() as tx:
        await append(tx, an_entry(log.clock, act="thing.change", payload={"number": 3}))
    before = then - dt.timedelta(seconds=1)
    async with log.db.transaction(read_only=True, repeatable=True) as tx:
        for as_of, changes in ((before, 0), (then, 1), (None, 2)):
            tables = await state(tx, [ThingFold()], as_of)
            assert len(tables["thing"]) == 700
            assert tables["thing"]["3"] == {"number": 3, "changes": changes}


async def _hold(log: Log, data: bytes) -> NeededBlob:
    upload, digest = uuid.uuid4(), digest_of(data)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    await log.blobs.stage(upload, digest, 0, chunks(), limit=len(data))
    await log.blobs.seal(upload, digest, len(data))
    return NeededBlob(digest, len(data), "fraud@1.0.0: model.pkl")


async def test_blobs_are_counted_and_hashed(log: Log) -> None:
    held = [await _hold(log, b"x" * n) for n in range(1, 8)]
    lost = NeededBlob(digest_of(b"lost"), 4, "fraud@1.0.0: lost.bin")
    short = NeededBlob(held[2].digest, 99, "fraud@1.0.0: short.bin")

    async def needed(_tx: Tx) -> AsyncIterator[NeededBlob]:
        for blob in (held[0], short, lost):
            yield blob

    options = Options(keys=log.keys, origin=ORIGIN, needed=needed, sample=3)
    report = await fsck(log.db, log.blobs, options)
    assert report.counts["blobs held"] == 7
    assert report.counts["blobs hashed"] == 3
    named = {(finding.where.partition("(")[2], finding.found) for finding in report.findings}
    assert named == {("fraud@1.0.0: lost.bin)", "nothing"), ("fraud@1.0.0: short.bin)", "3 bytes")}


async def test_a_flipped_byte_is_found(log: Log) -> None:
    blob = await _hold(log, b"weights")

    class Flipping:
        def __getattr__(self, name: str) -> Any:
            return getattr(log.blobs, name)

        async def read(self, _digest: object) -> AsyncIterator[bytes]:
            yield b"weightz"

    async def needed(_tx: Tx) -> AsyncIterator[NeededBlob]:
        yield blob

    flipping: Any = Flipping()
    options = Options(keys=log.keys, origin=ORIGIN, needed=needed, sample=None)
    (finding,) = (await fsck(log.db, flipping, options)).findings
    assert finding.kind == "blob"
    assert "fraud@1.0.0: model.pkl" in finding.where
    assert finding.found == "sha256:" + hashlib.sha256(b"weightz").hexdigest()


async def test_a_registration_nobody_signed_is_named(full: Log) -> None:
    """Somebody with all rights in the database, and without the record key, plants one."""
    async with full.db.transaction() as tx:
        await append(tx, an_entry(full.clock, act="version.register"))
    found = await check(full)
    assert any("signed by the record key" in finding.found for finding in found.findings)
