"""The schema, as plain SQL in a fixed order, and what moves a database along it.

`versions/NNNN_pre_NAME.sql` may run while the code before it still serves; `NNNN_post_NAME.sql`
once that code is gone (dropping what nobody reads any more). Numbers make one chain.
Files that were released never change.

What is cheap is here and needs only the driver; Alembic is loaded when there is something to do.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import asyncpg

from muniment.core.errors import DatabaseDown
from muniment.server.migrations.guards import Guards, guards_of
from muniment.server.ports.postgres_errors import no_answer, translated

#: `pre`: as far as old code tolerates. `all`: to the end.
Phase = Literal["pre", "all"]

#: "muniment" as a number: the advisory lock held while the schema changes, until commit.
_LOCK = int.from_bytes(b"muniment", "big")

#: Whether a role may do its work on every table already, or is the owner.
_GRANTED = """
    SELECT $1::text = current_user OR (
        SELECT count(*) > 0 AND bool_and(has_table_privilege($1, c.oid, 'INSERT'))
        FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema::regnamespace
          AND c.relname <> 'alembic_version'
    )
"""
_GRANTS = """
    SELECT CASE WHEN $1::text = current_user THEN '' ELSE format(
        'GRANT USAGE ON SCHEMA %1$I TO %2$I;'
        'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO %2$I;'
        'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO %2$I;'
        'REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %2$I;',
        current_schema, $1) END
"""

VERSIONS = Path(__file__).parent / "versions"
_NAME = re.compile(r"(?P<number>\d{4})_(?P<phase>pre|post)_(?P<title>[a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its four-digit number, when it may run, and its file."""

    number: str
    phase: Literal["pre", "post"]
    path: Path

    def sql(self) -> str:
        """Return what it runs."""
        return self.path.read_text(encoding="utf-8")


def chain(versions: Path = VERSIONS) -> list[Migration]:
    """List every migration, in order.

    Raises:
        ValueError: a file is misnamed, or a number is used twice.
    """
    found = []
    for path in sorted(versions.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name} must be named NNNN_pre_NAME.sql or NNNN_post_NAME.sql")
        phase: Literal["pre", "post"] = "pre" if match["phase"] == "pre" else "post"
        found.append(Migration(match["number"], phase, path))
    numbers = [migration.number for migration in found]
    if len(numbers) != len(set(numbers)):
        raise ValueError(f"every migration needs a number of its own: found {numbers}")
    return found


def guards(at: str | None = None, versions: Path = VERSIONS) -> Guards:
    """Return the triggers that a database at number `at` (None: the last) has on its tables."""
    return guards_of(one.sql() for one in chain(versions) if at is None or one.number <= at)


async def current(url: str) -> str | None:
    """Return the number of the last migration that ran at `url`, or None for an empty database.

    Raises:
        DatabaseDown: the database does not answer.
    """
    async with _connected(url) as connection:
        return await _current(connection)


async def pending(url: str, *, phase: Phase = "all", versions: Path = VERSIONS) -> list[Migration]:
    """List what `migrate` would run, in order.

    Raises:
        DatabaseDown: the database does not answer, or a newer muniment wrote it.
    """
    return remaining(chain(versions), await current(url), phase)


def remaining(migrations: list[Migration], at: str | None, phase: Phase) -> list[Migration]:
    """Say which of `migrations` come after number `at`.

    With `pre`, up to the last `pre` one: a `post` one before it is from an earlier release, whose
    old code is gone already.

    Raises:
        DatabaseDown: `at` is beyond the chain.
    """
    if at is not None and at not in {migration.number for migration in migrations}:
        last = migrations[-1].number if migrations else "none"
        raise DatabaseDown(
            f"the database is at migration {at}, and this muniment knows up to {last}: run the "
            "muniment that wrote it, or a newer one"
        )
    left = [migration for migration in migrations if at is None or migration.number > at]
    while phase == "pre" and left and left[-1].phase == "post":
        left.pop()
    return left


async def migrate(
    url: str, *, phase: Phase = "all", versions: Path = VERSIONS, server_role: str | None = None
) -> list[Migration]:
    """Run what is pending, all in one transaction; return it.

    Servers that start at the same time wait for each other; the later ones find nothing to do.
    `server_role`, if it is another than the one `url` connects as, may read and write the rows of
    every table afterwards, and nothing else: it owns nothing.

    Raises:
        DatabaseDown: the database does not answer, or a newer muniment wrote it.
        asyncpg.PostgresError: a migration failed. Nothing is changed.
    """
    async with _connected(url) as connection:
        migrations = chain(versions)
        if not remaining(migrations, await _current(connection), phase) and (
            server_role is None or await connection.fetchval(_GRANTED, server_role)
        ):
            return []
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            at = await _current(connection)
            steps = remaining(migrations, at, phase)
            if steps:
                await connection.execute(_script(migrations, at, steps))
            if server_role is not None:
                await connection.execute(await connection.fetchval(_GRANTS, server_role))
            return steps


async def plan(url: str, *, phase: Phase = "all", versions: Path = VERSIONS) -> str:
    """Write the SQL that `migrate` would run, and run nothing; empty when nothing is pending.

    Raises:
        DatabaseDown: the database does not answer, or a newer muniment wrote it.
    """
    migrations, at = chain(versions), await current(url)
    steps = remaining(migrations, at, phase)
    return _script(migrations, at, steps) if steps else ""


def _script(migrations: list[Migration], at: str | None, steps: list[Migration]) -> str:
    from muniment.server.migrations import runner  # noqa: PLC0415 -- Alembic takes 0.3 s to load

    return runner.script(migrations, at, steps)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    try:
        with translated():
            connection = await asyncpg.connect(url, timeout=10, server_settings={"jit": "off"})
    except DatabaseDown as error:
        raise no_answer(url, error) from error
    try:
        yield connection
    finally:
        await connection.close()


async def _current(connection: Any) -> str | None:
    # Not to_regclass: it answers from a cache that does not see what was committed while the
    # lock was waited for.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_tables"
        " WHERE schemaname = current_schema AND tablename = 'alembic_version')"
    ):
        return None
    number: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return number
