"""One PostgreSQL for a test session, and a fresh migrated database for each test in no time."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from muniment.server import migrations
from muniment.server.ports import embedded_postgres
from muniment.server.ports.embedded_postgres import EmbeddedPostgres

TEMPLATE = "muniment"
_numbers = itertools.count(1)


@contextmanager
def running_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that forgets, whose database `muniment` is migrated: the template of all others."""
    with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as directory:
        overrides = embedded_postgres.NOT_DURABLE
        with embedded_postgres.start(Path(directory), overrides=overrides) as postgres:
            asyncio.run(migrations.migrate(postgres.url))
            yield postgres


@asynccontextmanager
async def fresh_database(
    postgres: EmbeddedPostgres, *, template: str = TEMPLATE
) -> AsyncIterator[str]:
    """URL of a new database, dropped afterwards; `template="template1"` gives an empty one."""
    name = f"t{next(_numbers)}"
    admin = await asyncpg.connect(postgres.admin_url)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER muniment STRATEGY file_copy"
        )
        try:
            yield postgres.url_of(name)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
