"""The guards read from the migrations are the guards a migrated database has."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.server import migrations
from muniment.server.migrations import guards_of, trigger_of

MAKE = """
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no -- never'; -- a comment inside is part of it
END
$$;
-- CREATE TRIGGER commented BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no();
CREATE TRIGGER a BEFORE UPDATE OR DELETE ON t
    FOR EACH ROW EXECUTE FUNCTION no();
CREATE TRIGGER b BEFORE TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION no();
"""


async def test_they_are_those_of_a_migrated_database(superuser: Any) -> None:
    guards = migrations.guards()
    rows = await superuser.fetch(
        "SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal"
    )
    found = {(row["relname"], row["tgname"]): trigger_of(row["definition"]) for row in rows}
    assert found == guards.triggers
    assert len(found) > 20
    for name, body in guards.functions.items():
        stored = await superuser.fetchval("SELECT prosrc FROM pg_proc WHERE proname = $1", name)
        assert stored == body


async def test_every_governed_table_that_only_grows_has_a_guard(superuser: Any) -> None:
    """A table without any trigger is working state, and named here."""
    rows = await superuser.fetch(
        "SELECT relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)"
    )
    guarded = {table for table, _ in migrations.guards().triggers}
    assert not guarded & {row["relname"] for row in rows}


def test_comments_are_no_triggers_and_bodies_are_kept_word_for_word() -> None:
    guards = guards_of([MAKE])
    assert set(guards.triggers) == {("t", "a"), ("t", "b")}
    assert guards.triggers["t", "a"].events == {"UPDATE", "DELETE"}
    assert "-- a comment inside is part of it" in guards.functions["no"]


@pytest.mark.parametrize(
    ("then", "left"),
    [
        ("DROP TRIGGER a ON t;", {("t", "b")}),
        ("DROP TRIGGER IF EXISTS a ON t; DROP TRIGGER b ON t;", set()),
        ("DROP TABLE t;", set()),
        ("DROP TABLE other;", {("t", "a"), ("t", "b")}),
        ("ALTER TABLE t RENAME TO u;", {("u", "a"), ("u", "b")}),
    ],
)
def test_what_later_migrations_take_away_is_gone(then: str, left: set[tuple[str, str]]) -> None:
    assert set(guards_of([MAKE, then]).triggers) == left


def test_a_later_body_counts() -> None:
    other = "CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ x $$;"
    assert guards_of([MAKE, other]).functions == {"no": " x "}


def test_what_is_no_trigger_is_none() -> None:
    assert trigger_of("SELECT 1") is None
