"""`muniment worker`: jobs in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow

ASK = "INSERT INTO pgqueuer (entrypoint, priority, status) VALUES ($1, 0, 'queued')"


def start_worker(home: Path, url: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "muniment", "worker", "--data", str(home / "data")],
        env={**environ, "MUNIMENT_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdout is not None
    assert "ready" in worker.stdout.readline()
    return worker


async def test_workers_run_what_a_server_without_jobs_leaves(tmp_path: Path, db_url: str) -> None:
    environ = {"MUNIMENT_DATABASE_URL": db_url, "MUNIMENT_JOBS": "false"}
    server = ServerProcess(tmp_path, environ=environ)
    connection = await asyncpg.connect(db_url)
    with server:
        await connection.execute(ASK, "identity.sweep")
        shown = json.loads(server.cli("jobs", "list", "--json").stdout)
        assert [each["name"] for each in shown] == ["identity.sweep"]
        workers = [start_worker(tmp_path, db_url, server.environ) for _ in range(2)]
        try:
            await gone(connection)
            os.killpg(workers[0].pid, signal.SIGKILL)
            for _ in range(20):
                await connection.execute(ASK, "idempotency.sweep")
            await gone(connection)
            assert "Nothing is due" in server.cli("jobs", "list").stdout
            workers[1].terminate()
            assert workers[1].wait(timeout=30) == 0
        finally:
            for worker in workers:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
                worker.communicate()
    await connection.close()


async def gone(connection: asyncpg.Connection) -> None:
    deadline = time.monotonic() + 60
    while await connection.fetchval("SELECT count(*) FROM pgqueuer"):
        assert time.monotonic() < deadline, "jobs are left"
        await connection.execute("SELECT pg_sleep(0.05)")
