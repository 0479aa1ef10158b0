"""Assets and what is said of them: made once, changed with history, read as of any time."""

from __future__ import annotations

import asyncio
import datetime as dt

import asyncpg
import pytest

from muniment.core.errors import AlreadyExists, BadBody, NotFound, StaleRevision
from muniment.core.names import AssetRef, VersionRef
from muniment.server import catalog
from muniment.server.catalog.reads import history
from muniment.server.catalog.records import Kind, RiskTier
from muniment.server.catalog.rules.changes import Change
from muniment.server.ports.db import Tx
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.catalog import FULL_METADATA, Catalog

FRAUD = AssetRef.parse("fraud")


async def acts(tx: Tx) -> list[str]:
    rows = await tx.fetch("SELECT act FROM ledger_entry ORDER BY id")
    return sorted(row["act"] for row in rows)


async def test_an_asset_reads_back_as_it_was_made(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        made = await made_by.asset(
            tx,
            "risk/fraud",
            Kind.PROMPT,
            description="Fräud 🕵",
            tags={"team": "risk", "a b": "c"},
            risk_tier=RiskTier.HIGH,
            backup_owner="b",
            escalation_contact="c",
        )
        assert await catalog.get_asset(tx, AssetRef.parse("risk/fraud")) == made


async def test_the_first_asset_makes_its_namespace(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx, "risk/one")
        assert await acts(tx) == ["asset.create", "namespace.create"]
        await made_by.asset(tx, "risk/two")
        assert await acts(tx) == ["asset.create", "asset.create", "namespace.create"]


async def test_a_name_is_given_once(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        before = await acts(tx)
        with pytest.raises(AlreadyExists):
            await made_by.asset(tx, kind=Kind.PROMPT)
        assert await acts(tx) == before


async def test_what_may_not_be_said_is_refused_all_at_once(db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        with pytest.raises(BadBody) as caught:
            await Catalog().asset(
                tx, owner=" ", description="\0", tags={"bias_tested": "yes", "": "x"}
            )
        fields = {problem["field"] for problem in caught.value.problems}
        assert fields == {"owner", "description", "tags.bias_tested", "tags."}
        assert await tx.fetchval("SELECT count(*) FROM asset") == 0


async def test_a_change_keeps_what_was_said_before(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        made = await made_by.asset(tx, tags={"team": "risk", "old": "x"}, description="one")
        when = made_by.clock.now()
        change = Change(
            fields={"owner": "ops", "risk_tier": "limited", "backup_owner": ""},
            tags={"old": None, "team": "fraud"},
            reason="moved",
        )
        changed = await catalog.annotate_asset(tx, FRAUD, change, made_by.by())
        assert (changed.revision, changed.state.owner) == (2, "ops")
        assert changed.state.risk_tier is RiskTier.LIMITED
        assert changed.state.tags == {"team": "fraud"}
        assert changed.state.description == "one"
        assert await catalog.get_asset(tx, FRAUD, when) == made
        assert (await catalog.get_asset(tx, FRAUD, made_by.clock.now())).state == changed.state
        events = await history.asset_history(tx, made.id, history.Span())
        assert [event.act for event in events] == ["asset.annotate", "asset.create"]
        assert events[0].reason == "moved"
        assert events[0].changes == {
            "owner": ["risk-ml", "ops"],
            "risk_tier": [None, "limited"],
            "tags.old": ["x", None],
            "tags.team": ["risk", "fraud"],
        }


async def test_a_change_that_changes_nothing_is_no_act(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        made = await made_by.asset(tx, tags={"a": "b"})
        before = await acts(tx)
        same = Change(fields={"owner": "risk-ml"}, tags={"a": "b", "gone": None})
        assert await catalog.annotate_asset(tx, FRAUD, same, made_by.by()) == made
        assert await acts(tx) == before


async def test_a_stale_revision_is_refused_and_told(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        change = Change(fields={"description": "x"}, revision=1)
        await catalog.annotate_asset(tx, FRAUD, change, made_by.by())
        with pytest.raises(StaleRevision) as caught:
            await catalog.annotate_asset(tx, FRAUD, change, made_by.by())
        assert caught.value.extra == {"revision": 2}


async def test_of_two_changes_at_once_both_are_kept(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)

    async def tag(key: str) -> None:
        async with db.transaction() as tx:
            await catalog.annotate_asset(tx, FRAUD, Change(tags={key: "x"}), made_by.by())

    await asyncio.gather(*(tag(f"k{n}") for n in range(8)))
    async with db.transaction(read_only=True) as tx:
        asset = await catalog.get_asset(tx, FRAUD)
    assert asset.revision == 9
    assert set(asset.state.tags) == {f"k{n}" for n in range(8)}


async def test_nothing_is_there_before_it_was_made(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        early = made_by.clock.now()
        await made_by.asset(tx)
        await made_by.version(tx)
        await made_by.point(tx, "champion", "1.0.0")
        for what in (
            catalog.get_asset(tx, FRAUD, early),
            catalog.get_version(tx, VersionRef.parse("fraud@1.0.0"), early),
            catalog.get_version(tx, VersionRef.parse("fraud@1"), early),
            catalog.get_version(tx, VersionRef.parse("fraud@champion"), early),
            catalog.get_asset(tx, AssetRef.parse("frau")),
            catalog.lock_asset(tx, AssetRef.parse("frau")),
            catalog.get_version(tx, VersionRef.parse("fraud@2")),
        ):
            with pytest.raises(NotFound):
                await what


async def test_an_asset_s_history_has_its_versions_and_aliases(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        made = await made_by.asset(tx)
        version = await made_by.version(tx, metadata=FULL_METADATA)
        await catalog.annotate_version(
            tx, FRAUD, 1, Change(tags={"a": "b"}, reason="why"), made_by.by()
        )
        middle = made_by.clock.now()
        await made_by.point(tx, "champion", "1.0.0", reason="best")
        await made_by.version(tx, version="1.1.0")
        await made_by.point(tx, "champion", "1.1.0")
        everything = await history.asset_history(tx, made.id, history.Span())
        assert [(e.act, e.subject) for e in everything] == [
            ("alias.set", "champion"),
            ("version.register", "1.1.0"),
            ("alias.set", "champion"),
            ("version.annotate", "1.0.0"),
            ("version.register", "1.0.0"),
            ("asset.create", ""),
        ]
        assert everything[0].changes == {"version": ["1.0.0", "1.1.0"]}
        assert everything[2].changes == {"version": [None, "1.0.0"]}
        assert everything[4].entry_id == version.entry_id
        # Page by page it is the same.
        paged, span = [], history.Span(limit=2)
        while page := await history.asset_history(tx, made.id, span):
            paged += page[:2]
            if len(page) < 3:
                break
            span = history.span_from(history.position_of(page[1]), 2, None)
        assert paged == everything
        assert (
            await history.asset_history(tx, made.id, history.Span(as_of=middle)) == everything[3:]
        )
        of_version = await history.version_history(tx, version.id, made.id, history.Span())
        assert [e.act for e in of_version] == [
            "alias.set",
            "alias.set",
            "version.annotate",
            "version.register",
        ]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE version SET number = 7",
        "DELETE FROM version",
        "TRUNCATE version CASCADE",
        "DELETE FROM version_label",
        "UPDATE annotation SET reason = 'x'",
        "DELETE FROM annotation",
        "TRUNCATE annotation",
        "UPDATE alias_event SET reason = 'x'",
        "DELETE FROM alias_event",
        "TRUNCATE alias_event",
        "DELETE FROM alias",
        "TRUNCATE alias",
        "DELETE FROM asset",
        "TRUNCATE asset CASCADE",
        "UPDATE asset SET name = 'x'",
        "UPDATE asset SET kind = 'prompt'",
        "UPDATE asset SET created_at = now()",
        "UPDATE asset SET actor_id = 'eve'",
        "UPDATE asset SET next_number = 1",
        "UPDATE asset SET revision = 0",
        "UPDATE namespace SET name = 'x'",
        "DELETE FROM namespace",
        "TRUNCATE namespace CASCADE",
    ],
)
async def test_the_database_refuses_its_owner_to_rewrite(
    owner_db: PostgresDatabase, sql: str
) -> None:
    db = owner_db
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx)
        await made_by.point(tx, "champion", "1.0.0")
    with pytest.raises(
        (asyncpg.RestrictViolationError, asyncpg.CheckViolationError), match=r"muniment|check"
    ):
        async with db.transaction() as tx:
            await tx.execute(sql)


async def test_an_asset_is_locked_for_writers_only(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
    async with db.transaction() as holder:
        await catalog.lock_asset(holder, FRAUD)
        async with db.transaction(read_only=True) as reader:
            assert await catalog.get_asset(reader, FRAUD)
        waiting = asyncio.create_task(_lock(db))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
    await asyncio.wait_for(waiting, 5)


async def _lock(db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await catalog.lock_asset(tx, FRAUD)


def test_the_end_of_a_history_is_after_every_act() -> None:
    assert history.Span().before[0] > dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
