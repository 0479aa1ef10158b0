"""Migrations: in order, once, whole or not at all, and the same however one arrives."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import DatabaseDown
from muniment.server.migrations import (
    Migration,
    chain,
    current,
    migrate,
    pending,
    plan,
    remaining,
)
from muniment.server.ports.embedded_postgres import EmbeddedPostgres
from tests.support.postgres import fresh_database

#: Everything a migration can make, one line each, whatever order it was made in.
_CATALOGUE = """
SELECT format('%s %s.%s %s %s %s', c.relkind, c.relname, a.attname,
              format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN 'NOT NULL' END, pg_get_expr(d.adbin, d.adrelid))
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT format('constraint %s: %s', conrelid::regclass, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT format('enum %s %s', enumtypid::regtype, enumlabel) FROM pg_enum
UNION ALL SELECT 'view ' || viewname || definition FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT format('%s owned by %s', relname, relowner::regrole)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace
ORDER BY 1
"""


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with fresh_database(postgres, template="template1") as url:
        yield url


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Four migrations: two releases, each with a step before and one after its code."""
    for name, sql in {
        "0001_pre_first.sql": "CREATE TABLE one (id int); -- a 'quoted; comment\n",
        "0002_post_first.sql": "CREATE TABLE two (id int);\nINSERT INTO two VALUES (1), (2);",
        "0003_pre_second.sql": "ALTER TABLE one ADD COLUMN name text DEFAULT '%s :x $1';",
        "0004_post_second.sql": "DROP TABLE two;",
    }.items():
        (tmp_path / name).write_text(sql)
    return tmp_path


async def catalogue(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(_CATALOGUE)]
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    return set(re.findall(r"^(\w+) owned by", "\n".join(await catalogue(url)), re.MULTILINE))


def numbers(migrations: list[Migration]) -> list[str]:
    return [migration.number for migration in migrations]


async def test_an_empty_database_is_taken_to_the_end(empty_url: str, versions: Path) -> None:
    assert await current(empty_url) is None
    assert numbers(await migrate(empty_url, versions=versions)) == ["0001", "0002", "0003", "0004"]
    assert await current(empty_url) == "0004"
    assert await pending(empty_url, versions=versions) == []
    assert await tables(empty_url) == {"alembic_version", "alembic_version_pkc", "one"}


async def test_a_second_run_finds_nothing_to_do_and_loads_nothing_to_find_it(
    empty_url: str, versions: Path
) -> None:
    await migrate(empty_url, versions=versions)
    code = (
        "import asyncio, pathlib, sys\n"
        "from muniment.server.migrations import migrate\n"
        "print(asyncio.run(migrate(sys.argv[1], versions=pathlib.Path(sys.argv[2]))))\n"
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, empty_url, str(versions)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


async def test_the_pre_phase_stops_where_old_code_would_break(
    empty_url: str, versions: Path
) -> None:
    (versions / "0004_post_second.sql").rename(versions.parent / "later.sql")
    assert numbers(await migrate(empty_url, phase="pre", versions=versions)) == [
        "0001",
        "0002",  # of the release before: its old code is gone
        "0003",
    ]
    (versions.parent / "later.sql").rename(versions / "0004_post_second.sql")
    assert await migrate(empty_url, phase="pre", versions=versions) == []
    assert numbers(await pending(empty_url, versions=versions)) == ["0004"]
    assert numbers(await migrate(empty_url, versions=versions)) == ["0004"]


@given(st.lists(st.sampled_from(["pre", "post"]), max_size=8), st.integers(0, 8))
def test_what_remains_is_what_comes_after_and_pre_ends_with_a_pre(
    phases: list[Any], done: int
) -> None:
    migrations = [Migration(f"{n:04}", phase, Path()) for n, phase in enumerate(phases, 1)]
    at = f"{done:04}" if 0 < done <= len(phases) else None
    after = migrations[done if at else 0 :]
    assert remaining(migrations, at, "all") == after
    left = remaining(migrations, at, "pre")
    assert left == after[: len(left)]
    assert not left or left[-1].phase == "pre"
    assert all(migration.phase == "post" for migration in after[len(left) :])


async def test_the_plan_is_what_runs_and_changes_nothing(empty_url: str, versions: Path) -> None:
    sql = await plan(empty_url, versions=versions)
    for migration in chain(versions):
        assert migration.sql() in sql
    assert await catalogue(empty_url) == []
    connection = await asyncpg.connect(empty_url)
    await connection.execute(sql)  # an administrator may run it by hand
    await connection.close()
    assert await current(empty_url) == "0004"
    assert await plan(empty_url, versions=versions) == ""


async def test_a_failing_migration_leaves_nothing(empty_url: str, versions: Path) -> None:
    (versions / "0005_pre_broken.sql").write_text("CREATE TABLE five (id int); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url, versions=versions)
    assert await catalogue(empty_url) == []
    assert await current(empty_url) is None
    (versions / "0005_pre_broken.sql").write_text("CREATE TABLE five (id int);")
    await migrate(empty_url, versions=versions)
    assert await current(empty_url) == "0005"


async def test_servers_that_start_at_once_migrate_once(empty_url: str, versions: Path) -> None:
    ran = await asyncio.gather(*(migrate(empty_url, versions=versions) for _ in range(6)))
    assert sorted(map(len, ran)) == [0, 0, 0, 0, 0, 4]
    assert await current(empty_url) == "0004"


async def test_a_database_of_a_newer_release_is_refused(empty_url: str, versions: Path) -> None:
    await migrate(empty_url, versions=versions)
    (versions / "0004_post_second.sql").unlink()
    with pytest.raises(
        DatabaseDown, match="is at migration 0004, and this muniment knows up to 0003"
    ):
        await migrate(empty_url, versions=versions)


async def test_a_database_that_does_not_answer_is_down(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(DatabaseDown):
        await current(postgres.url_of("nowhere"))


@pytest.mark.parametrize(
    "name", ["5_pre_x.sql", "0005_x.sql", "0005_mid_x.sql", "0005_pre_X.sql", "0004_pre_twice.sql"]
)
def test_a_misnamed_file_is_refused(versions: Path, name: str) -> None:
    (versions / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match=r"must be named|number of its own"):
        chain(versions)


class TestTheRegistrysOwn:
    def test_each_has_a_number_of_its_own_from_the_first_on(self) -> None:
        found = numbers(chain())
        assert found == sorted(set(found))
        assert found[0] == "0001"

    async def test_the_schema_is_the_same_in_one_go_and_step_by_step(
        self, empty_url: str, pg_url: str, tmp_path: Path
    ) -> None:
        for migration in chain():
            (tmp_path / migration.path.name).write_text(migration.sql())
            assert numbers(await migrate(empty_url, versions=tmp_path)) == [migration.number]
        assert await catalogue(empty_url) == await catalogue(pg_url) != []

    async def test_everything_belongs_to_the_owner_and_the_server_works_in_it(
        self, pg_url: str
    ) -> None:
        owners = {line.split()[-1] for line in await catalogue(pg_url) if " owned by " in line}
        assert owners == {"muniment_owner"}
        connection = await asyncpg.connect(pg_url)
        found = await connection.fetch(
            "SELECT has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE'), relname FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND NOT has_table_privilege(oid, 'INSERT')"
        )
        await connection.close()
        assert [row["relname"] for row in found] == ["alembic_version"]

    async def test_they_run_on_a_database_that_is_not_ours(self, empty_url: str) -> None:
        """Without a superuser and without extensions."""
        await migrate(empty_url)
        connection = await asyncpg.connect(empty_url)
        found = await connection.fetch("SELECT extname FROM pg_extension")
        await connection.close()
        assert [row["extname"] for row in found] == ["plpgsql"]
