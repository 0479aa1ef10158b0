from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.embedded_postgres import EmbeddedPostgres
from muniment.server.ports.keys import Keys
from tests.support.ledger import Log


@pytest.fixture
def log(db: Database, blobs: Blobs, keys: Keys, clock: FixedClock) -> Log:
    return Log(db, blobs, keys, clock)


@pytest.fixture
async def superuser(postgres: EmbeddedPostgres, db_url: str) -> AsyncIterator[Any]:
    """A connection to this test's database that no trigger stops."""
    name = db_url.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(postgres.admin_url, database=name)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()
