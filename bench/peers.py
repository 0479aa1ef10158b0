"""The two servers under measurement: ours, and MLflow's with its default four workers.

Both stand on a PostgreSQL of the same build and settings, each its own, durable (fsync on). Ours
runs it itself; MLflow's runs beside it and is started before the clock is, in MLflow's favour. A
peer's processes include its PostgreSQL. Connections between requests are kept alive on both sides.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

import asyncpg

from bench import processes
from muniment.server.ports import embedded_postgres

TOKEN = "bench-" + "0123456789abcdef" * 3
BENCH_BIN = Path(".venv-bench", "bin").absolute()
_READY_SECONDS = 240.0
_STOP_SECONDS = 60


class Peer(Protocol):
    """A server that can be started on its directory again and again."""

    name: str
    port: int
    headers: dict[str, str]

    def start(self) -> float:
        """Start it; return the seconds until it answered that it is ready."""
        ...

    def stop(self) -> None:
        """Stop it as an operator would. Its data stays."""
        ...

    def close(self) -> None:
        """Stop it and all that was started for it."""
        ...

    def pids(self) -> list[int]:
        """All its processes that live now, its PostgreSQL's too."""
        ...


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One server process and how long it takes to be ready."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, ready: str) -> None:
        self._command, self._environ, self._log, self._ready = command, environ, log, ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )
        while time.perf_counter() - began < _READY_SECONDS and self._process.poll() is None:
            if _answers(self._ready):
                return time.perf_counter() - began
            time.sleep(0.02)
        raise RuntimeError(f"{self._command[:3]} is not ready: {self._log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        group = self._process.pid
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)  # workers that outlive their parent


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


class Muniment:
    """`muniment serve` on a directory, as a user starts it."""

    name = "muniment"

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self.data, self.port = home / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {TOKEN}"}
        environ = {name: value for name, value in os.environ.items() if "MUNIMENT" not in name}
        environ |= {"MUNIMENT_BOOTSTRAP_TOKEN": TOKEN, "MUNIMENT_CONFIG_HOME": str(home / "config")}
        command = [sys.executable, "-m", "muniment", "serve", "--port", str(self.port)]
        command += ["--data", str(self.data)]
        self._process = Process(command, environ, home / "log", f"{self.url}/readyz")

    def start(self) -> float:
        return self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def close(self) -> None:
        self.stop()

    def pids(self) -> list[int]:
        return processes.tree(self._process.pid)

    def python_pid(self) -> int:
        """The process that serves."""
        return self._process.pid


class Mlflow:
    """`mlflow server` with artifacts proxied to a local directory."""

    name = "mlflow"

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers: dict[str, str] = {}
        self.postgres = embedded_postgres.start(home)
        self.database_url = self.postgres.url_of("mlflow")
        self._process: Process | None = None

    async def create_database(self) -> None:
        """Make the empty database its first start fills."""
        admin = await asyncpg.connect(self.postgres.admin_url)
        await admin.execute("CREATE DATABASE mlflow OWNER muniment")
        await admin.close()

    def start(self) -> float:
        environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        store = self.database_url.replace("postgresql:", "postgresql+psycopg2:")
        command = [str(BENCH_BIN / "mlflow"), "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", store]
        command += ["--artifacts-destination", str(self._home / "artifacts")]
        self._process = Process(command, environ, self._home / "log", f"{self.url}/health")
        return self._process.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def close(self) -> None:
        self.stop()
        self.postgres.stop()

    def pids(self) -> list[int]:
        server = [] if self._process is None else processes.tree(self._process.pid)
        return [*server, *processes.tree(self.postgres.pid)]

    def python_pid(self) -> int:
        """The process all its workers descend from."""
        assert self._process is not None
        return self._process.pid
