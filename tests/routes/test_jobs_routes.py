"""Looking at jobs over HTTP, and running the periodic ones as a server does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from muniment.server.http.records import Role
from muniment.server.ports import queue
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.ports.queue_inline import InlineWorker
from muniment.server.wiring import HANDLERS, OPERATIONS, PERIODIC
from tests.support.app import RegistrySimulator, app_client


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator


async def ask(registry: RegistrySimulator, *names: str) -> None:
    async with registry.deps.db.transaction() as tx:
        for name in names:
            await queue.enqueue(tx, name, {"of": name})


async def test_an_administrator_sees_jobs_and_runs_one_again(registry: RegistrySimulator) -> None:
    await ask(registry, "a", "b", "c")
    async with registry.deps.db.transaction() as tx:
        await tx.execute(
            "UPDATE pgqueuer SET status = 'failed', attempts = 8 WHERE entrypoint = 'b'"
        )
    admin = registry.as_(Role.ADMIN)
    first = (await admin.get("/api/v1/jobs?limit=2")).json()
    rest = (await admin.get(f"/api/v1/jobs?cursor={first['next_cursor']}")).json()
    assert [each["name"] for each in (*first["items"], *rest["items"])] == ["c", "b", "a"]
    (dead,) = (await admin.get("/api/v1/jobs?state=dead")).json()["items"]
    assert (dead["name"], dead["payload"], dead["attempts"]) == ("b", {"of": "b"}, 8)
    again = await admin.post(f"/api/v1/jobs/{dead['id']}/retry")
    assert again.json() | {"due_at": ""} == dead | {"state": "due", "attempts": 0, "due_at": ""}
    assert (await admin.get("/api/v1/jobs?state=dead")).json()["items"] == []


@pytest.mark.parametrize("job_id", ["4711", "9" * 40, "x", "-1", "٣"])
async def test_a_job_that_is_not_there_is_not_found(
    registry: RegistrySimulator, job_id: str
) -> None:
    answer = await registry.as_(Role.ADMIN).post(f"/api/v1/jobs/{job_id}/retry")
    assert answer.status_code == 404


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_others_do_not_see_jobs(registry: RegistrySimulator, role: Role) -> None:
    assert (await registry.as_(role).get("/api/v1/jobs")).status_code == 403
    assert (await registry.as_(role).post("/api/v1/jobs/1/retry")).status_code == 403


async def test_a_state_that_is_none_is_refused(registry: RegistrySimulator) -> None:
    assert (await registry.as_(Role.ADMIN).get("/api/v1/jobs?state=odd")).status_code == 422


async def test_metrics_count_jobs_by_name_and_state(registry: RegistrySimulator) -> None:
    await ask(registry, "a", "a")
    text = (await registry.as_(Role.ADMIN).get("/metrics")).text
    assert 'muniment_jobs{name="a",state="due"} 2.0' in text


async def test_every_periodic_job_has_a_handler_and_runs_on_an_empty_registry(
    registry: RegistrySimulator,
) -> None:
    worker = InlineWorker(registry.deps.db, HANDLERS, context=registry.deps)
    for each in PERIODIC:
        await worker.run(each.name)
    names = [handler.name for handler in HANDLERS]
    assert len(names) == len(set(names))
