"""Principals, roles and tokens over a real database: what is written, logged, and refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, LiteralString

import asyncpg
import pytest

from muniment.core.entry import time_text
from muniment.core.errors import (
    AlreadyExists,
    BadBody,
    Conflict,
    NotAuthenticated,
    NotFound,
)
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Role, Scope
from muniment.server.identity.actions import access as actions
from muniment.server.identity.reads.access import NOTED_EVERY, TokenCache
from muniment.server.identity.reads.folds import FOLDS
from muniment.server.identity.records import By, Issued, NewPrincipal, NewToken, Principal
from muniment.server.identity.rules import access as rules
from muniment.server.identity.store import access as store
from muniment.server.ledger import Actor
from muniment.server.ledger.records import Recorded, Subject
from muniment.server.ledger.rules import payload_of
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.settings import Settings

ADMIN = Grant(Role.ADMIN, EVERYTHING)
VIEWER = Grant(Role.VIEWER, Scope("team-a"))
SECOND = dt.timedelta(seconds=1)
BOOTSTRAP = "0123456789abcdef" * 2


def by(clock: FixedClock) -> By:
    return By(Actor("system", "tests"), clock.now(), clock.new_id)


def settings(**chosen: Any) -> Settings:
    return Settings(**{"data_dir": Path("unused"), **chosen})


async def make(tx: Tx, clock: FixedClock, name: str, *grants: Grant) -> Principal:
    new = NewPrincipal(PrincipalKind.PERSON, name, grants=grants)
    return await actions.create_principal(tx, new, by(clock))


async def issue(tx: Tx, clock: FixedClock, principal: Principal, **more: Any) -> Issued:
    new = NewToken(principal.id, "laptop", **more)
    return await actions.create_token(tx, new, by(clock), maker=None)


async def entries(db: Database) -> list[Recorded]:
    """Every entry written so far, in order of arrival."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT e.* FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id "
            "ORDER BY p.arrival"
        )
    return [
        Recorded(
            id=row["id"],
            at=row["at"],
            act=row["act"],
            actor=Actor(row["actor_kind"], row["actor_id"]),
            subject=Subject(row["subject_kind"], row["subject_id"], row["subject_name"]),
            payload=payload_of(row["payload"], None),
            index=None,
        )
        for row in rows
    ]


async def folded_and_stored(db: Database) -> tuple[dict[str, Any], dict[str, Any]]:
    folded, stored = {}, {}
    for fold in FOLDS:
        folded[fold.table] = rows = dict[str, Any]()
        for entry in await entries(db):
            fold.apply(rows, entry)
        async with db.transaction(read_only=True) as tx:
            stored[fold.table] = {key: fields async for key, fields in fold.stored(tx)}
    return folded, stored


# --- the log -----------------------------------------------------------------------------------


async def test_the_tables_follow_from_the_log(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", ADMIN, VIEWER)
        ben = await make(tx, clock, "ben", Grant(Role.PUBLISHER, Scope("team-a", "fraud det.")))
        await issue(tx, clock, ada)
        narrow = await issue(tx, clock, ben, limits=(VIEWER,), expires_at=clock.now() + SECOND)
        clock.advance(SECOND / 2)
        await actions.revoke_token(tx, narrow.token, by(clock))
        await actions.revoke_role(tx, ada.id, VIEWER, by(clock))
        await actions.grant_role(tx, ben.id, Grant(Role.AUDITOR, EVERYTHING), by(clock))
        await actions.disable_principal(tx, ben.id, by(clock))
    folded, stored = await folded_and_stored(db)
    assert folded == stored
    assert {table: len(rows) for table, rows in stored.items()} == {
        "principal": 2,
        "role_grant": 3,
        "token": 2,
        "trusted_issuer": 0,
        "trusted_publisher": 0,
        "login_issuer": 0,
        "person_identity": 0,
        "signing_key": 0,
    }


async def test_a_row_changed_behind_our_back_no_longer_follows(
    owner_db: PostgresDatabase, clock: FixedClock
) -> None:
    db = owner_db
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", VIEWER)
        await issue(tx, clock, ada)
    async with db.transaction() as tx:
        await tx.execute("UPDATE role_grant SET role = 'admin'")
        await tx.execute("ALTER TABLE token DISABLE TRIGGER USER")
        await tx.execute("UPDATE token SET hash = sha256('mine')")
    folded, stored = await folded_and_stored(db)
    assert folded["principal"] == stored["principal"]
    assert folded["role_grant"] != stored["role_grant"]
    assert folded["token"] != stored["token"]


async def test_what_can_never_be_erased_names_nobody(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada lovelace", ADMIN)
        issued = await issue(tx, clock, ada)
        leaves = [bytes(row["leaf"]) for row in await tx.fetch("SELECT leaf FROM ledger_entry")]
        everything = await tx.fetch("SELECT leaf, payload FROM ledger_entry")
    assert len(leaves) == 3
    assert not any(b"lovelace" in leaf for leaf in leaves)
    hashed = rules.token_hash(issued.text)
    for row in everything:
        for column in (row["leaf"], row["payload"]):
            assert issued.text.encode() not in column
            assert hashed.hex().encode() not in column


async def test_an_erased_entry_is_passed_over(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        await make(tx, clock, "ada")
        await tx.execute("UPDATE ledger_entry SET payload = NULL")
    folded, stored = await folded_and_stored(db)
    assert folded["principal"] == {}
    assert len(stored["principal"]) == 1


async def test_repeating_an_act_writes_nothing(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", VIEWER)
        issued = await issue(tx, clock, ada)
        await actions.revoke_token(tx, issued.token, by(clock))
        await actions.disable_principal(tx, ada.id, by(clock))
    before = await entries(db)
    clock.advance(SECOND)
    async with db.transaction() as tx:
        again = await actions.revoke_token(tx, issued.token, by(clock))
        await actions.disable_principal(tx, ada.id, by(clock))
        await actions.revoke_role(tx, ada.id, ADMIN, by(clock))
    assert await entries(db) == before
    assert again.revoked_at == clock.now() - SECOND


async def test_granting_what_is_held_writes_nothing(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", VIEWER, VIEWER)
        await actions.grant_role(tx, ada.id, VIEWER, by(clock))
    assert [entry.act for entry in await entries(db)] == ["principal.create", "role.grant"]


async def test_a_principal_has_the_roles_it_was_given(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", VIEWER, ADMIN)
        assert ada.grants == (ADMIN, VIEWER)
        ada = await actions.revoke_role(tx, ada.id, VIEWER, by(clock))
        assert ada.grants == (ADMIN,)


# --- refusals ----------------------------------------------------------------------------------


async def test_a_name_is_taken_once(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        await make(tx, clock, "ada")
        with pytest.raises(AlreadyExists, match="ada"):
            await make(tx, clock, "ada")


async def test_there_must_be_a_principal(db: PostgresDatabase, clock: FixedClock) -> None:
    missing = uuid.UUID(int=5)
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await actions.grant_role(tx, missing, VIEWER, by(clock))
        with pytest.raises(NotFound):
            await actions.revoke_role(tx, missing, VIEWER, by(clock))
        with pytest.raises(NotFound):
            await actions.disable_principal(tx, missing, by(clock))
        with pytest.raises(NotFound):
            await actions.create_token(tx, NewToken(missing, "x"), by(clock), maker=None)


async def test_the_disabled_get_nothing_new(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada")
        await actions.disable_principal(tx, ada.id, by(clock))
        with pytest.raises(Conflict, match="disabled"):
            await actions.grant_role(tx, ada.id, VIEWER, by(clock))
        with pytest.raises(Conflict, match="disabled"):
            await issue(tx, clock, ada)


async def test_enabling_is_in_the_log_and_folds(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        ada = await make(tx, clock, "ada", VIEWER)
        issued = await issue(tx, clock, ada)
        await actions.disable_principal(tx, ada.id, by(clock))
        enabled = await actions.enable_principal(tx, ada.id, by(clock))
        assert (enabled.disabled_at, enabled.grants) == (None, ada.grants)
        assert await actions.enable_principal(tx, ada.id, by(clock)) == enabled
        rows = await tx.fetch("SELECT act FROM ledger_entry ORDER BY id")
        ended = await store.find_token(tx, issued.token.id)
    assert [row["act"] for row in rows][-3:] == [
        "principal.disable", "token.revoke", "principal.enable",
    ]  # fmt: skip
    assert ended is not None
    assert ended.revoked_at is not None
    folded, stored = await folded_and_stored(db)
    assert folded == stored


async def test_the_last_administrator_cannot_leave(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        await actions.create_local_admin_token(tx, clock=clock)  # the registry's own does not count
        ada = await make(tx, clock, "ada", ADMIN)
        await make(tx, clock, "ben", Grant(Role.ADMIN, Scope("team-a")))  # nor does one of a part
    async with db.transaction() as tx:
        with pytest.raises(Conflict, match="last administrator"):
            await actions.disable_principal(tx, ada.id, by(clock))
        with pytest.raises(Conflict, match="last administrator"):
            await actions.revoke_role(tx, ada.id, ADMIN, by(clock))
        assert await store.lock_admins(tx) == [ada.id]


async def test_two_administrators_cannot_demote_each_other_at_once(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        pair = [await make(tx, clock, name, ADMIN) for name in ("ada", "ben")]

    async def demote(principal: Principal) -> Principal | Conflict:
        try:
            async with db.transaction() as tx:
                return await actions.revoke_role(tx, principal.id, ADMIN, by(clock))
        except Conflict as refused:
            return refused

    outcomes = await asyncio.gather(*map(demote, pair))
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
    async with db.transaction() as tx:
        assert len(await store.lock_admins(tx)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE principal SET name = 'eve'",
        "UPDATE principal SET kind = 'service'",
        "UPDATE principal SET display_name = 'Eve'",
        "DELETE FROM token; DELETE FROM principal",
        "TRUNCATE token",
        "UPDATE token SET hash = sha256('mine')",
        "UPDATE token SET expires_at = expires_at + interval '1 day'",
        "UPDATE token SET limits = '[]'",
        "UPDATE token SET revoked_at = created_at; UPDATE token SET revoked_at = NULL",
        "UPDATE principal SET disabled_at = now(), name = 'eve'",
        "UPDATE principal SET disabled_at = now(); UPDATE principal SET disabled_at = created_at",
    ],
)
async def test_what_was_made_stays_as_it_was(
    owner_db: PostgresDatabase, clock: FixedClock, statement: LiteralString
) -> None:
    db = owner_db
    async with db.transaction() as tx:
        await issue(tx, clock, await make(tx, clock, "ada"))
    with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
        async with db.transaction() as tx:
            await tx.execute(statement)


# --- whose token is it -------------------------------------------------------------------------


@pytest.fixture
async def cache(db: PostgresDatabase) -> AsyncIterator[TokenCache]:
    cache = TokenCache(db)
    yield cache
    await cache.settle()


async def an_issued(db: Database, clock: FixedClock, *grants: Grant, **more: Any) -> Issued:
    async with db.transaction() as tx:
        return await issue(tx, clock, await make(tx, clock, "ada", *grants), **more)


async def test_a_token_speaks_for_its_principal(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, ADMIN, limits=(VIEWER,))
    assert cache.known(issued.text, clock.now()) is None
    caller = await cache.authenticate(issued.text, clock.now())
    assert (caller.name, caller.grants) == ("ada", (VIEWER,))
    assert (caller.id, caller.token_id) == (issued.token.principal_id, issued.token.id)
    assert cache.known(issued.text, clock.now()) is caller


@pytest.mark.parametrize("text", ["", "mun_x_y", "x" * 10_000, "mun_\udcff"[:4]])
async def test_anything_else_does_not(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache, text: str
) -> None:
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(text, clock.now())


async def test_a_change_here_is_seen_by_the_next_request(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)
    await cache.authenticate(issued.text, clock.now())
    async with db.transaction() as tx:
        await actions.revoke_role(tx, issued.token.principal_id, VIEWER, by(clock))
    assert cache.known(issued.text, clock.now()) is None
    assert (await cache.authenticate(issued.text, clock.now())).grants == ()
    async with db.transaction() as tx:
        await actions.revoke_token(tx, issued.token, by(clock))
    assert cache.known(issued.text, clock.now()) is None
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(issued.text, clock.now())


async def test_disabling_a_principal_ends_its_tokens(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)
    await cache.authenticate(issued.text, clock.now())
    async with db.transaction() as tx:
        await actions.disable_principal(tx, issued.token.principal_id, by(clock))
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(issued.text, clock.now())


async def test_a_change_elsewhere_is_seen_within_two_seconds(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)
    now = clock.now()
    await cache.authenticate(issued.text, now)
    async with db.transaction() as tx:  # no signal here: as another process would do it
        await store.revoke_token(tx, issued.token.id, now)
    assert cache.known(issued.text, now + 1.999 * SECOND) is not None
    assert cache.known(issued.text, now + 2 * SECOND) is None
    assert cache.known(issued.text, now - SECOND) is None, "a clock set back prolongs nothing"


async def test_expiry_is_looked_at_every_time(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    now = clock.now()
    issued = await an_issued(db, clock, VIEWER, expires_at=now + SECOND)
    await cache.authenticate(issued.text, now)
    assert cache.known(issued.text, now + 0.999 * SECOND) is not None
    assert cache.known(issued.text, now + SECOND) is None
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(issued.text, now + SECOND)


async def test_a_lookup_does_not_put_back_what_was_forgotten_meanwhile(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)
    looking = asyncio.ensure_future(cache.authenticate(issued.text, clock.now()))
    await asyncio.sleep(0)  # it has begun and waits for the database
    cache.forget()
    await looking
    assert cache.known(issued.text, clock.now()) is None


async def test_last_use_is_noted_once_a_minute(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)

    async def used(at: dt.datetime) -> dt.datetime | None:
        await cache.authenticate(issued.text, at)
        await cache.settle()
        async with db.transaction(read_only=True) as tx:
            token = await store.find_token(tx, issued.token.id)
        assert token is not None
        return token.last_used_at

    first = clock.now()
    assert await used(first) == first
    assert await used(first + NOTED_EVERY - SECOND) == first
    assert await used(first + NOTED_EVERY) == first + NOTED_EVERY


async def test_a_use_that_cannot_be_noted_disturbs_nobody(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    issued = await an_issued(db, clock, VIEWER)
    await cache.authenticate(issued.text, clock.now())
    await db.close()
    await cache.settle()


# --- the first administrator -------------------------------------------------------------------


async def test_the_first_start_makes_a_code_that_works_once(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    async with db.transaction() as tx:
        first = await actions.ensure_first_admin(tx, settings=settings(), clock=clock)
        assert first is not None
        assert first.code is not None
        assert await entries(db) == []
        kept = await tx.fetchrow("SELECT * FROM bootstrap_code")
        assert kept is not None
        assert first.code.encode() not in kept["hash"]
    async with db.transaction() as tx:
        issued = await actions.redeem_code(tx, first.code, "ada", by(clock))
    caller = await cache.authenticate(issued.text, clock.now())
    assert (caller.name, caller.grants) == ("ada", (ADMIN,))
    assert [entry.act for entry in await entries(db)] == [
        "principal.create",
        "role.grant",
        "token.create",
    ]
    assert {entry.actor for entry in await entries(db)} == {Actor("system", "bootstrap")}
    async with db.transaction() as tx:
        with pytest.raises(NotAuthenticated):
            await actions.redeem_code(tx, first.code, "eve", by(clock))
        assert await actions.ensure_first_admin(tx, settings=settings(), clock=clock) is None


async def test_a_later_start_makes_another_code(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        old = await actions.ensure_first_admin(tx, settings=settings(), clock=clock)
        await actions.create_local_admin_token(tx, clock=clock)
        new = await actions.ensure_first_admin(tx, settings=settings(), clock=clock)
        assert old is not None
        assert new is not None
        assert old.code is not None
        assert old.code != new.code
        with pytest.raises(NotAuthenticated):
            await actions.redeem_code(tx, old.code, "ada", by(clock))


async def test_a_code_is_for_the_first_administrator_only(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        first = await actions.ensure_first_admin(tx, settings=settings(), clock=clock)
        assert first is not None
        assert first.code is not None
        token = settings(bootstrap_token="t" * 40)
        assert await actions.ensure_first_admin(tx, settings=token, clock=clock) is not None
        with pytest.raises(NotAuthenticated):
            await actions.redeem_code(tx, first.code, "eve", by(clock))


async def test_a_code_is_good_for_a_day(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        first = await actions.ensure_first_admin(tx, settings=settings(), clock=clock)
        assert first is not None
        assert first.code is not None
        clock.advance(rules.CODE_LIFETIME)
        with pytest.raises(NotAuthenticated):
            await actions.redeem_code(tx, first.code, "ada", by(clock))


async def test_a_bootstrap_token_is_the_first_administrators(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    chosen = settings(bootstrap_token=BOOTSTRAP)
    async with db.transaction() as tx:
        first = await actions.ensure_first_admin(tx, settings=chosen, clock=clock)
        assert first is not None
        assert first.code is None
    caller = await cache.authenticate(BOOTSTRAP, clock.now())
    assert (caller.id, caller.name, caller.grants) == (first.principal_id, "admin", (ADMIN,))
    async with db.transaction() as tx:
        assert await actions.ensure_first_admin(tx, settings=chosen, clock=clock) is None
    folded, stored = await folded_and_stored(db)
    assert folded == stored


async def test_a_weak_bootstrap_token_stops_the_start(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        with pytest.raises(BadBody, match="MUNIMENT_BOOTSTRAP_TOKEN"):
            await actions.ensure_first_admin(
                tx, settings=settings(bootstrap_token="short"), clock=clock
            )


async def test_processes_that_start_together_make_one_administrator(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    async def start() -> bool:
        async with db.transaction() as tx:
            chosen = settings(bootstrap_token=BOOTSTRAP)
            return await actions.ensure_first_admin(tx, settings=chosen, clock=clock) is not None

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [False, False, False, True]


async def test_the_local_command_line_gets_a_token_of_its_own(
    db: PostgresDatabase, clock: FixedClock, cache: TokenCache
) -> None:
    async with db.transaction() as tx:
        one = await actions.create_local_admin_token(tx, clock=clock)
        other = await actions.create_local_admin_token(tx, clock=clock)
    assert one is not None
    assert other is not None
    assert one.token.principal_id == other.token.principal_id
    caller = await cache.authenticate(other.text, clock.now())
    assert (caller.kind, caller.name, caller.grants) == (PrincipalKind.SYSTEM, "local", (ADMIN,))
    async with db.transaction() as tx:
        await actions.disable_principal(tx, caller.id, by(clock))
        assert await actions.create_local_admin_token(tx, clock=clock) is None


async def test_nobody_else_can_be_local(db: PostgresDatabase, clock: FixedClock) -> None:
    async with db.transaction() as tx:
        await make(tx, clock, "local")
        assert await actions.create_local_admin_token(tx, clock=clock) is None


async def test_times_in_the_log_are_those_of_the_rows(
    db: PostgresDatabase, clock: FixedClock
) -> None:
    issued = await an_issued(db, clock)
    payload = (await entries(db))[-1].payload
    assert payload is not None
    assert payload["expires_at"] == time_text(issued.token.expires_at)
