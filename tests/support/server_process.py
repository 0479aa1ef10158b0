"""A real `muniment serve` in a process of its own, for acceptance tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

START_SECONDS = 60.0
TOKEN = "test-" + "0123456789abcdef" * 3


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = START_SECONDS
) -> None:
    """Return once `url` answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"not ready in {seconds} s: {log.read_text()[-4000:]}")


class ServerProcess:
    """`muniment serve` on a directory; the admin's token is `TOKEN`."""

    def __init__(self, home: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.data = home / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "server.log"
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MUNIMENT_")},
            "MUNIMENT_BOOTSTRAP_TOKEN": TOKEN,
            "MUNIMENT_CONFIG_HOME": str(home / "config"),
            "MUNIMENT_STATE_HOME": str(home / "state"),
            "COLUMNS": "120",
            **(environ or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True, under: Sequence[str] = ()) -> Self:
        """Start it, by the command `under` if that is given, and wait until it is ready."""
        command = [*under, sys.executable, "-m", "muniment", "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.await_ready()
        return self

    @property
    def process_id(self) -> int:
        """Pid of the process last started."""
        assert self.process is not None
        return self.process.pid

    def await_ready(self) -> None:
        assert self.process is not None
        wait_for(f"{self.url}/readyz", self.process, self.log)

    def stop(self) -> int:
        """Stop it as an operator would; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """Kill -9, it and all it started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `muniment ARGUMENTS` against this server as its administrator."""
        return self.run(arguments, {**self.environ, "MUNIMENT_TOKEN": TOKEN}, check=check)

    def run(
        self, arguments: Sequence[str], environ: Mapping[str, str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `muniment ARGUMENTS` against this server with that environment."""
        environ = {**environ, "MUNIMENT_URL": self.url}
        done = subprocess.run(
            [sys.executable, "-m", "muniment", *arguments],
            env=environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
