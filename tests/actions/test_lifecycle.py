"""Deprecate, retire, quarantine, promote, withdraw, rename: rows, entries, and what cannot be."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.core.errors import (
    LifecycleConflict,
    MunimentError,
    NameReserved,
    NotFound,
    NotServed,
    StaleRevision,
)
from muniment.core.names import Alias, AssetName, AssetRef, Namespace, SemVer, VersionRef
from muniment.server import catalog, lifecycle, policy
from muniment.server.catalog.records import AliasMove, Lifecycle, Mode, NamespaceChange, RiskTier
from muniment.server.http.records import PrincipalKind
from muniment.server.ledger.records import Workload
from muniment.server.lifecycle import Deprecation
from muniment.server.lifecycle.records import (
    Executor,
    Moved,
    Ports,
    Promoted,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.policy.records import Bundle
from muniment.server.ports.db import Tx
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.catalog import FULL_METADATA, Catalog
from tests.support.folded import agrees
from tests.support.keys import MemoryKeys
from tests.support.policies import bare, shared_engines

CI = Workload(str(uuid.UUID(int=77)), {"iss": "https://ci.test", "run_id": "1"})
EVERYWHERE = frozenset({"development", "staging", "production"})
PIPELINE = Executor(PrincipalKind.WORKLOAD, may=True, environments=EVERYWHERE)
PERSON = Executor(PrincipalKind.PERSON, may=True)
PORTS = Ports(shared_engines(), MemoryKeys().record)
FRAUD = AssetRef.parse("fraud")
ONE = VersionRef(FRAUD, SemVer(1, 0, 0))
TWO = VersionRef(FRAUD, SemVer(2, 0, 0))
TEAM: dict[str, Any] = {
    "backup_owner": "bob",
    "escalation_contact": "on-call",
    "risk_tier": RiskTier.LIMITED,
}


async def made(
    tx: Tx,
    by: Catalog,
    mode: Mode = Mode.ENFORCE,
    name: str = "fraud",
    policy_: Bundle | None = None,
) -> None:
    """A namespace, and an asset with two complete versions in it."""
    ref = AssetRef.parse(name)
    if not await tx.fetchval("SELECT count(*) FROM policy_activation"):
        await policy.bring_first(tx, policy_ or bare(), by.by())
    await catalog.create_namespace(tx, ref.namespace, mode, by.by())
    await by.asset(tx, name, **TEAM)
    ci = dataclasses.replace(by, actor=CI)
    await ci.version(tx, name, "1.0.0", metadata=FULL_METADATA)
    await ci.version(tx, name, "2.0.0", metadata=FULL_METADATA)


async def acts(tx: Tx) -> list[str]:
    rows = await tx.fetch(
        "SELECT act FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id ORDER BY arrival"
    )
    return [row["act"] for row in rows]


async def stage(tx: Tx, ref: VersionRef) -> Stage:
    """The stage by the rule and by the statement, which must agree."""
    version = await catalog.get_version(tx, ref)
    live = await lifecycle.live_of_version(tx, version.id)
    places = {
        row["name"]: Stage(row["stage"]) for row in await tx.fetch("SELECT * FROM environment")
    }
    found = lifecycle.stage_of(version.lifecycle, {places[one.environment] for one in live})
    said = await tx.fetchval(
        "SELECT "
        + lifecycle.STAGE
        + """ FROM version v JOIN asset a ON a.id = v.asset_id
              LEFT JOIN version_standing k ON k.version_id = v.id WHERE v.id = $1""",
        version.id,
    )
    assert said == found.value
    return found


async def promoted(
    tx: Tx, by: Catalog, ref: VersionRef, who: Executor = PIPELINE, **more: Any
) -> Promoted | Refusal:
    wanted = Promotion(**{"version": ref, "environment": "production", **more})
    return await lifecycle.promote(tx, wanted, who, by.by(), PORTS)


# --- promotion ---------------------------------------------------------------------------------


async def test_a_pipeline_promotes_in_one_entry(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        first = await promoted(tx, by, ONE)
        assert isinstance(first, Promoted)
        second = await promoted(tx, by, TWO, reason="better")
        assert isinstance(second, Promoted)
    async with db.transaction(read_only=True) as tx:
        assert (await acts(tx))[-2:] == ["version.promote", "version.promote"]
        assert (await stage(tx, ONE), await stage(tx, TWO)) == (Stage.NONE, Stage.PRODUCTION)
        champion = await catalog.get_version(tx, VersionRef(FRAUD, Alias("champion")))
        assert champion.version == SemVer(2, 0, 0)
        was = await catalog.get_version(
            tx, VersionRef(FRAUD, Alias("champion")), first.deployment.since
        )
        assert was.version == SemVer(1, 0, 0)
        assert [one.version for one in second.ended] == ["1.0.0"]
    await agrees(db)


async def test_the_same_promotion_again_is_no_act(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        first = await promoted(tx, by, ONE)
        again = await promoted(tx, by, ONE)
        assert isinstance(first, Promoted)
        assert isinstance(again, Promoted)
        assert (again.entry_id, again.deployment) == (None, first.deployment)
        assert (await acts(tx)).count("version.promote") == 1
        other = await promoted(tx, by, ONE, mode=lifecycle_mode("canary"))
        assert isinstance(other, Promoted)
        assert other.deployment.alias == "canary"
    await agrees(db)


def lifecycle_mode(text: str) -> Any:
    from muniment.server.lifecycle.records import DeployMode  # noqa: PLC0415 -- one test's

    return DeployMode(text)


@pytest.mark.parametrize("who", [PERSON, Executor(PrincipalKind.SERVICE, may=True)])
async def test_nobody_but_a_pipeline_moves_production_where_rules_are_enforced(
    db: PostgresDatabase, who: Executor
) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        answer = await promoted(tx, by, ONE, who)
        assert isinstance(answer, Refusal)
        assert [one.id for one in answer.verdict.failed] == ["PROM-001"]
        alias = AliasMove(FRAUD, Alias("Production"), 1, reason="now")
        assert isinstance(await lifecycle.point_alias(tx, alias, who, by.by(), PORTS), Refusal)
    async with db.transaction(read_only=True) as tx:
        assert (await acts(tx))[-2:] == ["promotion.refuse"] * 2
        assert await stage(tx, ONE) is Stage.NONE
        assert not (await catalog.get_version(tx, ONE)).aliases
    await agrees(db)


async def test_a_free_alias_is_anybody_s(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        moved = await lifecycle.point_alias(
            tx, AliasMove(FRAUD, Alias("challenger"), 1), PERSON, by.by(), PORTS
        )
        assert isinstance(moved, Moved)
        assert moved.pointer.number == 1
        assert (await acts(tx))[-1] == "alias.set"
    await agrees(db)


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.WARN])
async def test_where_rules_are_watched_the_move_is_made_and_counted(
    db: PostgresDatabase, mode: Mode
) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by, mode)
        move = AliasMove(FRAUD, Alias("champion"), 1, reason="go")
        answer = await lifecycle.point_alias(tx, move, PERSON, by.by(), PORTS)
        assert isinstance(answer, Moved)
        assert bool(answer.warnings) == (mode is Mode.WARN)
        assert await stage(tx, ONE) is Stage.PRODUCTION
        back = await lifecycle.point_alias(
            tx, dataclasses.replace(move, to=None), PERSON, by.by(), PORTS
        )
        assert isinstance(back, Moved)
        assert bool(back.warnings) == (mode is Mode.WARN)
        assert await stage(tx, ONE) is Stage.NONE
        attempts = await tx.fetch("SELECT mode, carried_out, rules FROM attempt")
        assert [(row["mode"], row["carried_out"], row["rules"]) for row in attempts] == [
            (mode.value, True, ["PROM-001"])
        ] * 2
    await agrees(db)


async def test_what_holds_always_is_refused_where_rules_are_watched(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by, Mode.OBSERVE)
        await lifecycle.quarantine(tx, ONE, "odd", by.by())
        answer = await promoted(tx, by, ONE)
        assert isinstance(answer, Refusal)
        assert answer.barred == ("STATE-002",)
        with pytest.raises(NotServed):
            await lifecycle.point_alias(
                tx, AliasMove(FRAUD, Alias("challenger"), 1), PERSON, by.by(), PORTS
            )
        await lifecycle.release(tx, ONE, "checked", by.by())
        assert isinstance(await promoted(tx, by, ONE), Promoted)
    await agrees(db)


async def test_incomplete_metadata_is_evidence_that_is_missing(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await by.version(tx, version="3.0.0")
        answer = await promoted(tx, by, VersionRef(FRAUD, SemVer(3, 0, 0)))
        assert isinstance(answer, Refusal)
        assert [one.id for one in answer.verdict.failed] == [
            "TRUST-002",
            "META-001",
            "DOC-001",
        ]
        dry = Promotion(version=ONE, environment="staging")
        would = await lifecycle.promote(tx, dry, PERSON, by.by(), PORTS, dry_run=True)
        assert isinstance(would, Promoted)
        assert would.entry_id is None
        assert await stage(tx, ONE) is Stage.NONE
    await agrees(db)


async def test_what_an_alias_is_expected_at_is_checked(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await promoted(tx, by, ONE)
    async with db.transaction() as tx:
        move = AliasMove(FRAUD, Alias("champion"), None, expects=True, expected=None)
        with pytest.raises(StaleRevision):
            await promoted(tx, by, TWO, move=move)


async def test_promotions_of_one_endpoint_take_turns(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)

    async def one(ref: VersionRef) -> None:
        async with db.transaction() as tx:
            assert isinstance(await promoted(tx, by, ref), Promoted)

    await asyncio.gather(*(one(ref) for ref in (ONE, TWO) * 6))
    async with db.transaction(read_only=True) as tx:
        live = await tx.fetch("SELECT version_id FROM deployment WHERE ended_at IS NULL")
        champion = await catalog.get_version(tx, VersionRef(FRAUD, Alias("champion")))
        assert [row["version_id"] for row in live] == [champion.id]
    await agrees(db)


# --- stopping ----------------------------------------------------------------------------------


async def test_one_person_may_take_a_version_out_of_production(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await promoted(tx, by, ONE)
        version, ended = await lifecycle.withdraw(tx, ONE, "production", "on fire", by.by())
        assert not version.aliases
        assert [one.alias for one in ended] == ["champion"]
        assert await stage(tx, ONE) is Stage.NONE
        before = await acts(tx)
        assert (await lifecycle.withdraw(tx, ONE, "production", "again", by.by()))[1] == ()
        assert await acts(tx) == before
        with pytest.raises(MunimentError):
            await lifecycle.withdraw(tx, ONE, "production", " ", by.by())
    await agrees(db)


async def test_what_is_deployed_is_neither_retired_nor_deleted(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await promoted(tx, by, ONE)
    for verb in (lifecycle.retire, lifecycle.tombstone):
        async with db.transaction() as tx:
            with pytest.raises(LifecycleConflict):
                await verb(tx, ONE, "old", by.by())
    async with db.transaction() as tx:
        with pytest.raises(LifecycleConflict):
            await lifecycle.tombstone_asset(tx, FRAUD, "old", by.by())
    await agrees(db)


async def test_a_deprecated_version_that_serves_stays_in_production(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await promoted(tx, by, ONE)
        wanted = Deprecation(replacement=TWO)
        version = await lifecycle.deprecate(tx, ONE, wanted, by.by())
        assert (version.lifecycle, version.standing.replacement) == (
            Lifecycle.DEPRECATED,
            "fraud@2.0.0",
        )
        assert await stage(tx, ONE) is Stage.PRODUCTION
        await promoted(tx, by, TWO)
        assert await stage(tx, ONE) is Stage.ARCHIVED
        retired = await lifecycle.retire(tx, ONE, "", by.by())
        assert retired.lifecycle is Lifecycle.RETIRED
        before = await acts(tx)
        assert await lifecycle.retire(tx, ONE, "", by.by()) == retired
        assert await acts(tx) == before
        when = by.clock.now()
        assert (await catalog.get_version(tx, ONE, when)).lifecycle is Lifecycle.RETIRED
        early = version.registered_at
        assert (await catalog.get_version(tx, ONE, early)).lifecycle is Lifecycle.DRAFT
    await agrees(db)


async def test_what_cannot_replace_a_version(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await lifecycle.retire(tx, TWO, "bad", by.by())
    for other in (ONE, TWO, VersionRef(FRAUD, 9)):
        async with db.transaction() as tx:
            with pytest.raises((LifecycleConflict, NotFound)):
                await lifecycle.deprecate(tx, ONE, Deprecation(replacement=other), by.by())


# --- names -------------------------------------------------------------------------------------


async def test_a_rename_keeps_the_asset_and_reserves_both_names(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        before = await catalog.get_asset(tx, FRAUD)
        after = await lifecycle.rename(tx, FRAUD, AssetName("scam"), "clearer", by.by())
        assert (after.id, str(after.ref), after.former_names) == (before.id, "scam", ("fraud",))
        with pytest.raises(NotFound) as moved:
            await catalog.get_asset(tx, FRAUD)
        assert moved.value.extra == {"renamed_to": "scam"}
        with pytest.raises(NameReserved):
            await by.asset(tx, "fraud")
        await by.asset(tx, "other")
        with pytest.raises(NameReserved):
            await lifecycle.rename(tx, AssetRef.parse("other"), AssetName("fraud"), "", by.by())
        with pytest.raises(NameReserved):
            await lifecycle.rename(tx, after.ref, AssetName("fraud"), "back", by.by())
    await agrees(db)


async def test_a_deleted_asset_keeps_everything_and_takes_nothing(db: PostgresDatabase) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await lifecycle.point_alias(tx, AliasMove(FRAUD, Alias("x"), 1), PERSON, by.by(), PORTS)
        gone = await lifecycle.tombstone_asset(tx, FRAUD, "unused", by.by())
        assert gone.tombstoned_at is not None
        one = await catalog.get_version(tx, ONE)
        assert (one.lifecycle, one.aliases) == (Lifecycle.RETIRED, ())
        assert await stage(tx, ONE) is Stage.ARCHIVED
        with pytest.raises(NameReserved):
            await by.asset(tx, "fraud")
        with pytest.raises(NotServed):
            await lifecycle.point_alias(tx, AliasMove(FRAUD, Alias("x"), 1), PERSON, by.by(), PORTS)
        with pytest.raises(LifecycleConflict):
            await lifecycle.rename(tx, FRAUD, AssetName("scam"), "", by.by())
        before = await acts(tx)
        await lifecycle.tombstone_asset(tx, FRAUD, "again", by.by())
        assert await acts(tx) == before
        early = await catalog.get_version(tx, ONE, one.registered_at)
        assert early.lifecycle is Lifecycle.DRAFT
    await agrees(db)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE version_standing SET mark = NULL, revision = revision + 1",
        "UPDATE version_standing SET quarantined = true",
        "DELETE FROM version_standing",
        "UPDATE version_standing_event SET tombstoned = true",
        "DELETE FROM asset_event",
        "UPDATE asset_naming SET name = 'x'",
        "UPDATE asset SET name = 'x'",
        "UPDATE asset SET tombstoned_at = NULL",
        "UPDATE deployment SET mode = 'canary'",
        "UPDATE deployment SET ended_at = NULL",
        "DELETE FROM deployment",
        "DELETE FROM attempt",
        "UPDATE attempt SET carried_out = true",
        "UPDATE namespace_event SET reason = 'x'",
        "DELETE FROM namespace",
    ],
)
async def test_the_database_refuses_its_owner_to_rewrite_what_was_done(
    owner_db: PostgresDatabase, change: Any
) -> None:
    db, by = owner_db, Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await promoted(tx, by, ONE, PERSON)
        await promoted(tx, by, ONE)
        await promoted(tx, by, TWO)
        await lifecycle.retire(tx, ONE, "old", by.by())
        namespace = NamespaceChange(Mode.WARN, None, "r")
        await catalog.govern_namespace(tx, Namespace("default"), namespace, by.by())
        await by.asset(tx, "gone")
        await lifecycle.tombstone_asset(tx, AssetRef.parse("gone"), "r", by.by())
    with pytest.raises(Exception, match="muniment:"):
        async with db.transaction() as tx:
            await tx.execute(change)


# --- any acts in any order ---------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["promote", "alias", "unalias", "withdraw", "deprecate", "reinstate", "retire",
             "quarantine", "release", "tombstone", "stage", "mode"]
        ),
        st.sampled_from([1, 2]),
        st.sampled_from([PERSON, PIPELINE]),
    ),
    min_size=1,
    max_size=14,
)  # fmt: skip


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(steps, st.sampled_from(list(Mode)))
async def test_whatever_is_done_the_tables_follow_from_the_log(
    db: PostgresDatabase, wanted: list[tuple[str, int, Executor]], mode: Mode
) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        count = await tx.fetchval("SELECT count(*) FROM namespace")
        name = f"n{count}/fraud"
        by.clock.at = by.clock.at.replace(year=2027 + count)
        by.clock.new_id = _apart(by.clock.new_id, count)  # type: ignore[method-assign]
        await made(tx, by, mode, name)
    asset = AssetRef.parse(name)
    for act, number, who in wanted:
        async with db.transaction() as tx:
            before = await acts(tx)
            try:
                answer = await _do(tx, by, act, VersionRef(asset, number), who)
            except MunimentError:
                assert await acts(tx) == before, act
                continue
            namespace = await catalog.get_namespace(tx, asset.namespace)
            enforced = namespace.state.mode is Mode.ENFORCE
            if enforced and who is PERSON and isinstance(answer, Promoted) and answer.entry_id:
                assert answer.deployment.environment != "production"
            for one in (1, 2):
                found = await stage(tx, VersionRef(asset, one))
                version = await catalog.get_version(tx, VersionRef(asset, one))
                live = await lifecycle.live_of_version(tx, version.id)
                assert version.lifecycle is not Lifecycle.RETIRED or not live
                assert version.lifecycle is not Lifecycle.APPROVED
                places = {place.environment for place in live}
                assert (found is Stage.PRODUCTION) == ("production" in places)
    await agrees(db)


def _apart(new_id: Any, count: int) -> Any:
    """Ids of one example differ from those of the others in one database."""
    import uuid  # noqa: PLC0415 -- here only

    return lambda: uuid.UUID(int=new_id().int ^ (count + 1) << 20)


async def _do(  # noqa: PLR0911 -- one answer an act
    tx: Tx, by: Catalog, act: str, ref: VersionRef, who: Executor
) -> object:
    champion = Alias("champion")
    at = await catalog.get_version(tx, ref)
    match act:
        case "promote":
            return await promoted(tx, by, ref, who)
        case "stage":
            return await promoted(tx, by, ref, who, environment="staging")
        case "alias":
            move = AliasMove(ref.asset, champion, at.version)
            return await lifecycle.point_alias(tx, move, who, by.by(), PORTS)
        case "unalias":
            move = AliasMove(ref.asset, champion, None)
            return await lifecycle.point_alias(tx, move, who, by.by(), PORTS)
        case "withdraw":
            return await lifecycle.withdraw(tx, ref, "production", "stop", by.by())
        case "deprecate":
            return await lifecycle.deprecate(tx, ref, Deprecation(reason="r"), by.by())
        case "mode":
            change = NamespaceChange(list(Mode)[at.number], None, "r")
            return await catalog.govern_namespace(tx, ref.asset.namespace, change, by.by())
        case _:
            verb = getattr(lifecycle, act)
            return await verb(tx, ref, "r", by.by())
