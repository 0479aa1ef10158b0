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
from muniment.server.ports.embedded_postgres import OWNER, ROLE, EmbeddedPostgres
from tests.support.memory import GIB, in_memory

TEMPLATE = "muniment"
_numbers = itertools.count(1)


@contextmanager
def running_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that forgets, whose database `muniment` is migrated: the template of all others."""
    with tempfile.TemporaryDirectory(
        prefix="mt-", dir=in_memory(GIB), ignore_cleanup_errors=True
    ) as directory:
        overrides = embedded_postgres.NOT_DURABLE
        with embedded_postgres.start(Path(directory), overrides=overrides) as postgres:
            asyncio.run(migrations.migrate(postgres.owner_url, server_role=ROLE))
            yield postgres


@asynccontextmanager
async def fresh_database(
    postgres: EmbeddedPostgres, *, template: str = TEMPLATE
) -> AsyncIterator[str]:
    """URL of a new database, dropped afterwards, for the server's role.

    `template="template1"` gives an empty one, and its owner's URL: the server's could do nothing.
    """
    role = ROLE if template == TEMPLATE else OWNER
    name = f"t{next(_numbers)}"
    admin = await asyncpg.connect(postgres.admin_url)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY file_copy"
        )
        try:
            yield postgres.url_of(name, role)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
