"""MLflow's client in sixteen processes at once, and through pages of five thousand versions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from bench import fill
from muniment.core.digest import digest_of
from muniment.server.ports import embedded_postgres
from tests.support.mlflow_clients import NEWEST, what_it_saw
from tests.support.server_process import ServerProcess

SIZE = 5000
CROWD = 64

pytestmark = pytest.mark.slow


async def _fill(url: str) -> None:
    db = await asyncpg.connect(url)
    await db.execute(fill.NAMESPACE)
    for table, columns, rows in fill._our_rows(0, SIZE, digest_of(b"").raw):
        await db.copy_records_to_table(table, columns=columns.split(), records=rows)
    await db.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that holds 5 000 versions of 500 assets, written by SQL: the log does not know them."""
    with ServerProcess(tmp_path_factory.mktemp("many")) as running:
        with embedded_postgres.attach_or_start(running.data) as postgres:
            asyncio.run(_fill(postgres.owner_url))
        yield running
        running.stop()


@pytest.fixture(scope="module")
def seen(server: ServerProcess) -> dict[str, Any]:
    return what_it_saw(server, NEWEST, "mlflow_many_script.py")


def test_many_processes_get_every_number_once(seen: dict[str, Any]) -> None:
    numbers = [number for each in seen["numbers"] for number in each]
    assert sorted(numbers) == list(range(1, CROWD + 1))
    assert all(each == sorted(each) for each in seen["numbers"])
    assert seen["crowd"] == list(range(1, CROWD + 1))


def test_pages_have_every_version_once_in_order(seen: dict[str, Any]) -> None:
    assert seen["sizes"] == [1000, 1000, 1000, 1000, 1000, CROWD]
    assert seen["distinct"] == SIZE + CROWD
    assert seen["latest_first"] is True
    assert seen["ordered"] is True
    assert seen["at_once"] == SIZE


def test_pages_have_every_model_once_in_order(seen: dict[str, Any]) -> None:
    assert seen["models"] == [[200, 200, 101], True]


def test_what_is_rare_is_found_among_many(seen: dict[str, Any]) -> None:
    assert seen["rare"] == [5, ["team-7"]]
