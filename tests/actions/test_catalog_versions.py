"""Versions and aliases: numbered without gaps, never used twice, pointed at with history."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.errors import (
    BadBody,
    Conflict,
    Contended,
    NotFound,
    StaleRevision,
    VersionConflict,
)
from muniment.core.names import Alias, AssetRef, Namespace, SemVer, VersionRef
from muniment.server import catalog
from muniment.server.catalog.reads import folds, history
from muniment.server.catalog.records import AliasMove, Kind, Mode, NamespaceChange, Version
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.store import aliases
from muniment.server.ledger.records import Recorded, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.catalog import ADA, FULL_METADATA, Catalog

FRAUD = AssetRef.parse("fraud")
CHAMPION = Alias("champion")


async def test_a_version_reads_back_by_everything_that_names_it(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        made = await made_by.version(
            tx, version="1.0.0-rc.1+build.5", metadata=FULL_METADATA, tags={"a": "b"}
        )
        await made_by.point(tx, "champion", "1.0.0-rc.1")
        for ref in ("fraud@1.0.0-rc.1+build.5", "fraud@1.0.0-rc.1", "fraud@1", "fraud@champion"):
            found = await catalog.get_version(tx, VersionRef.parse(ref))
            assert found.aliases == ("champion",)
            assert found == _with_alias(made)
            then = await catalog.get_version(tx, VersionRef.parse(ref), made_by.clock.now())
            assert then == found
    assert made.metadata_digest == digest_of(canonical(FULL_METADATA))
    assert made.metrics_at_registration["log_loss"] == 0.2


def _with_alias(version: Version) -> Version:
    import dataclasses  # noqa: PLC0415 -- only here

    return dataclasses.replace(version, aliases=("champion",))


async def test_numbers_have_no_gaps_however_many_register_at_once(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)

    async def register(patch: int) -> None:
        async with db.transaction() as tx:
            await made_by.version(tx, version=f"1.0.{patch}")

    await asyncio.gather(*(register(patch) for patch in range(10)))
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch("SELECT number FROM version ORDER BY number")
        assert [row["number"] for row in rows] == list(range(1, 11))
        assert (await catalog.get_asset(tx, FRAUD)).next_number == 11


@pytest.mark.parametrize("again", ["1.0.0", "1.0.0+other"])
async def test_a_semver_is_used_once_whatever_its_build(db: PostgresDatabase, again: str) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx, version="1.0.0+first")
    with pytest.raises(VersionConflict):
        async with db.transaction() as tx:
            await made_by.version(tx, version=again)
    async with db.transaction() as tx:
        next_one = await made_by.version(tx, version="1.0.1")
    assert next_one.number == 2


async def test_other_conflicts_are_not_called_a_used_version(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        stale = await made_by.asset(tx)
        made = await made_by.version(tx)
    with pytest.raises(Contended):
        async with db.transaction() as tx:
            await catalog.add_version(tx, stale, made_by.new("2.0.0"))
    async with db.transaction(read_only=True) as tx:
        asset = await catalog.get_asset(tx, FRAUD)
    with pytest.raises(Conflict) as caught:
        async with db.transaction() as tx:
            await catalog.add_version(tx, asset, made_by.new("2.0.0", id=made.id))
    assert not isinstance(caught.value, VersionConflict)


async def test_a_version_is_found_by_alias_as_it_pointed_then(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        asset = await made_by.asset(tx)
        for version in ("1.0.0", "2.0.0"):
            await made_by.version(tx, version=version)
        times = [made_by.clock.now()]
        for to in ("1.0.0", 2, None, "1.0.0"):
            await made_by.point(tx, "champion", to)
            times.append(made_by.clock.now())
        pointed = [await catalog.find_version(tx, FRAUD, CHAMPION, as_of=when) for when in times]
        assert [found and str(found.version) for found in pointed] == [
            None,
            "1.0.0",
            "2.0.0",
            None,
            "1.0.0",
        ]
        listed = [await aliases.pointers(tx, asset.id, when) for when in times]
        assert [[str(p.version) for p in each] for each in listed] == [
            [],
            ["1.0.0"],
            ["2.0.0"],
            [],
            ["1.0.0"],
        ]
        assert await aliases.pointers(tx, asset.id) == listed[-1]
        moves = await history.alias_history(tx, asset.id, CHAMPION, history.Span())
        assert [(after, before) for _, after, before in moves] == [
            ("1.0.0", None),
            (None, "2.0.0"),
            ("2.0.0", "1.0.0"),
            ("1.0.0", None),
        ]


async def test_pointing_where_it_points_is_no_act(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx)
        first = await made_by.point(tx, "champion", "1.0.0")
        assert await made_by.point(tx, "champion", 1) == first
        assert await tx.fetchval("SELECT count(*) FROM alias_event") == 1
        assert await tx.fetchval("SELECT count(*) FROM ledger_entry WHERE act = 'alias.set'") == 1
        never = await made_by.point(tx, "challenger", None)
        assert (never.revision, never.version) == (0, None)
        assert await tx.fetchval("SELECT count(*) FROM alias_event") == 1
        assert await aliases.find_pointer(tx, FRAUD, Alias("challenger")) is None
        assert await aliases.find_pointer(tx, AssetRef.parse("x"), CHAMPION) is None
        found = await aliases.find_pointer(tx, FRAUD, CHAMPION)
        assert found == first


async def test_a_move_that_expects_otherwise_is_refused(db: PostgresDatabase) -> None:
    made_by = Catalog()
    one, two = SemVer.parse("1.0.0"), SemVer.parse("2.0.0")
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx, version="1.0.0")
        await made_by.version(tx, version="2.0.0")
        await made_by.point(tx, "champion", "1.0.0", expected_revision=0, expects=True)
        refused = (
            {"expected_revision": 0},
            {"expected_revision": 2},
            {"expects": True},
            {"expects": True, "expected": two},
            {"expects": True, "expected": 2},
        )
        for expectation in refused:
            with pytest.raises(StaleRevision) as caught:
                await made_by.point(tx, "champion", "2.0.0", **expectation)
            assert caught.value.extra == {"version": "1.0.0", "revision": 1}
        await made_by.point(tx, "champion", "2.0.0", expects=True, expected=one)
        await made_by.point(tx, "champion", None, expects=True, expected=2, expected_revision=2)
        with pytest.raises(StaleRevision, match="nowhere"):
            await made_by.point(tx, "champion", "2.0.0", expected_revision=7)


async def test_what_is_not_there_cannot_be_pointed_at(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        with pytest.raises(NotFound, match="asset"):
            await made_by.point(tx, "champion", "1.0.0")
        await made_by.asset(tx)
        with pytest.raises(NotFound, match=r"1\.0\.0"):
            await made_by.point(tx, "champion", "1.0.0")
        await made_by.asset(tx, "other")
        await made_by.version(tx, "other")
        with pytest.raises(NotFound):
            await made_by.point(tx, "champion", 1)
        with pytest.raises(BadBody):
            await made_by.point(tx, "champion", None, reason="\0")


async def test_moves_at_once_follow_each_other(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        asset = await made_by.asset(tx)
        for patch in range(4):
            await made_by.version(tx, version=f"1.0.{patch}")

    async def move(patch: int) -> None:
        async with db.transaction() as tx:
            await made_by.point(tx, "champion", f"1.0.{patch % 4}")

    await asyncio.gather(*(move(patch) for patch in range(12)))
    async with db.transaction(read_only=True) as tx:
        moves = await history.alias_history(tx, asset.id, CHAMPION, history.Span())
        events = sorted((event for event, _, _ in moves), key=lambda event: event.revision)
        assert [event.revision for event in events] == list(range(1, len(events) + 1))
        for earlier, later in itertools.pairwise(events):
            assert later.previous_version_id == earlier.version_id
        [pointer] = await aliases.pointers(tx, asset.id)
        assert pointer.version_id == events[-1].version_id


class _AlwaysBeaten:
    """A transaction in which somebody else is always faster with the alias."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> object:
        return getattr(self._tx, name)

    async def finish(self, *_: object) -> None:
        return None


async def test_a_move_gives_up_when_always_beaten(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx)
        move = AliasMove(FRAUD, CHAMPION, 1)
        with pytest.raises(StaleRevision, match="repeat"):
            await catalog.set_alias(_AlwaysBeaten(tx), move, made_by.by())  # type: ignore[arg-type]


async def test_what_is_said_of_a_version_changes_with_history(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        made = await made_by.version(tx, description="one", tags={"a": "1"})
        when = made_by.clock.now()
        change = Change({"description": "two"}, {"a": None, "b": "2"}, "why", revision=1)
        changed = await catalog.annotate_version(
            tx, FRAUD, SemVer.parse("1.0.0"), change, made_by.by()
        )
        assert (changed.state.description, changed.state.tags) == ("two", {"b": "2"})
        assert changed.revision == 2
        with pytest.raises(StaleRevision):
            await catalog.annotate_version(tx, FRAUD, 1, change, made_by.by())
        same = Change({"description": "two"})
        assert await catalog.annotate_version(tx, FRAUD, 1, same, made_by.by()) == changed
        assert await catalog.get_version(tx, VersionRef.parse("fraud@1"), when) == made
        with pytest.raises(NotFound):
            await catalog.annotate_version(tx, FRAUD, 9, same, made_by.by())
        bad = Change({"description": "x" * 20_001}, {"x_tested": "yes"}, "\0")
        with pytest.raises(BadBody):
            await catalog.annotate_version(tx, FRAUD, 1, bad, made_by.by())


#: Written by the slice above only; see `test_lifecycle`.
ABOVE = {"version_standing", "version_standing_event", "asset_event"}


async def test_folding_the_log_gives_every_row_back(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx, tags={"é": "ü"}, description="d")
        await made_by.asset(tx, "risk/prompt", Kind.PROMPT)
        await made_by.version(tx, metadata=FULL_METADATA, tags={"a": "b"})
        await made_by.version(
            tx, version="2.0.0-rc.1+b", metadata={"extra": {"x": 1e300, "n": None}}
        )
        await made_by.point(tx, "champion", "1.0.0", reason="first")
        await made_by.point(tx, "champion", 2)
        await made_by.point(tx, "champion", None)
        await catalog.annotate_asset(
            tx, FRAUD, Change({"owner": "o", "risk_tier": "high"}, {"t": "v"}, "r"), made_by.by()
        )
        await catalog.annotate_version(tx, FRAUD, 1, Change({}, {"a": None}, "r"), made_by.by())
        await catalog.create_namespace(tx, Namespace("new"), Mode.OBSERVE, made_by.by())
        change = NamespaceChange(Mode.WARN, ["Champion"], "r")
        await catalog.govern_namespace(tx, Namespace("risk"), change, made_by.by())
    async with db.transaction(read_only=True) as tx:
        entries = await _entries(tx)
        for fold in catalog.FOLDS:
            rows: dict[str, dict[str, object]] = {}
            for entry in entries:
                fold.apply(rows, entry)
            stored = {key: fields async for key, fields in fold.stored(tx)}
            assert rows == stored, fold.table
            assert stored or fold.table in ABOVE, fold.table


async def test_an_erased_act_leaves_the_rows_alone(db: PostgresDatabase) -> None:
    del db
    subject = Subject("asset", "a", "a")
    at = Catalog().clock.now()
    for act in ("asset.create", "version.register", "asset.annotate", "alias.set"):
        entry = Recorded(Catalog().clock.new_id(), at, act, ADA, subject, None, 0)
        for fold in catalog.FOLDS:
            rows: dict[str, dict[str, object]] = {}
            fold.apply(rows, entry)
            assert not rows


async def _entries(tx: Tx) -> list[Recorded]:
    rows = await tx.fetch(
        "SELECT * FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id ORDER BY p.arrival"
    )
    return [
        Recorded(
            id=row["id"],
            at=row["at"],
            act=row["act"],
            actor=ADA,
            subject=Subject(row["subject_kind"], row["subject_id"], row["subject_name"]),
            payload=json.loads(row["payload"]),
            index=None,
        )
        for row in rows
    ]


def test_every_table_of_the_catalog_has_its_fold() -> None:
    assert [fold.table for fold in folds.FOLDS] == [
        "namespace",
        "namespace_event",
        "asset_naming",
        "asset",
        "version",
        "version_label",
        "annotation",
        "alias",
        "alias_event",
        "version_standing",
        "version_standing_event",
        "asset_event",
    ]
