"""MLflow's default orders come from indexes: a page costs the same among few versions and many."""

from __future__ import annotations

import re

import asyncpg
import pytest

from bench import fill
from muniment.core.digest import digest_of
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.records import Seen
from muniment.server.facades.mlflow.rules import filters
from muniment.server.ports.embedded_postgres import OWNER, EmbeddedPostgres

SIZE = 5000


@pytest.fixture
async def filled(postgres: EmbeddedPostgres, db_url: str) -> asyncpg.Connection:
    """A connection to a catalog of 5 000 versions of 500 assets; the owner's, who may ANALYZE."""
    name = db_url.partition("?")[0].rpartition("/")[2]
    db = await asyncpg.connect(postgres.url_of(name, OWNER))
    await db.execute(fill.NAMESPACE)
    for table, columns, rows in fill._our_rows(0, SIZE, digest_of(b"").raw):
        await db.copy_records_to_table(table, columns=columns.split(), records=rows)
    await db.execute("ANALYZE")
    return db


async def test_pages_of_versions_are_read_from_an_index(filled: asyncpg.Connection) -> None:
    try:
        for text, index in (
            ("", "version_label_updated"),
            ("name = 'model-00007'", "version_label_asset_updated"),
            ("tags.team = 'nobody'", "version_label_tags"),
            ("run_id = 'nothing'", "version_run"),
        ):
            search = filters.parse_filter(text, filters.VERSIONS)
            statement, values = reads.versions_statement(search, (), reads.Page(0, 10), Seen())
            plan = "\n".join(row[0] for row in await filled.fetch("EXPLAIN " + statement, *values))
            assert index in plan, (text, plan)
            # What was said of versions' use is empty here: that it is read whole is nothing.
            assert not re.search(r"Seq Scan on version(_label)?\b(?!_)", plan), (text, plan)
    finally:
        await filled.close()
