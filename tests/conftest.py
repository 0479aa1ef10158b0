"""What every test may ask for: real PostgreSQL, and fakes for the other ports."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import settings

from muniment.server.ports.clock import FixedClock
from muniment.server.ports.embedded_postgres import OWNER, EmbeddedPostgres
from muniment.server.ports.postgres import PostgresDatabase, open_database
from tests.support.keys import MemoryKeys
from tests.support.memory import GIB, PREFIX, directory_of_this_run, in_memory
from tests.support.postgres import fresh_database, running_postgres

_ROOM_BYTES = 8 * GIB


def pytest_configure(config: pytest.Config) -> None:
    """Measure this process alone; put what tests write into memory, if there is plenty."""
    if hasattr(config, "workerinput"):
        # Servers and commands that tests start are not measured: it doubles what they cost, and
        # what they run is held by tests that run it here.
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            os.environ.pop(name, None)
    memory = in_memory(_ROOM_BYTES)
    if memory is not None and config.option.basetemp is None:
        config.option.basetemp = str(directory_of_this_run(memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, in whatever order: begun last, one would run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Give the memory back; what failed may be looked at until the next run."""
    made = Path(session.config.option.basetemp or "/nowhere")
    if exitstatus == 0 and made.name == f"{PREFIX}{os.getpid()}":
        shutil.rmtree(made, ignore_errors=True)


settings.register_profile("muniment", deadline=None, derandomize=True)
settings.load_profile("muniment")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for the session."""
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def pg_url(postgres: EmbeddedPostgres) -> str:
    """The session's migrated database, the template of the others: look, do not write."""
    return postgres.url


@pytest.fixture
async def db_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """URL of this test's own migrated database (for servers started as processes)."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[PostgresDatabase]:
    """This test's own migrated database."""
    database = await open_database(db_url, mac=MemoryKeys().entry.mac, min_size=0, max_size=5)
    yield database
    await database.close()


@pytest.fixture
async def owner_db(postgres: EmbeddedPostgres, db_url: str) -> AsyncIterator[PostgresDatabase]:
    """This test's own database as the role that owns its tables: only triggers stop it."""
    name = db_url.partition("?")[0].rpartition("/")[2]
    url = postgres.url_of(name, OWNER)
    database = await open_database(url, mac=MemoryKeys().entry.mac, min_size=0, max_size=5)
    yield database
    await database.close()


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still until told."""
    return FixedClock()


@pytest.fixture(scope="session")
def keys() -> MemoryKeys:
    """Keys in memory, the same in every run."""
    return MemoryKeys()


@pytest.fixture
def blobs() -> Any:
    """An empty blob store in memory."""
    from muniment.server.ports.blobs_fake import FakeBlobs  # noqa: PLC0415 -- only who asks needs it

    return FakeBlobs()


@pytest.fixture
async def superuser(postgres: EmbeddedPostgres, db_url: str) -> AsyncIterator[Any]:
    """A connection to this test's database that no trigger stops."""
    name = db_url.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(postgres.admin_url, database=name)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()
