"""A real S3 server for tests: SeaweedFS as a process on free ports of this machine, one access key."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from muniment.server.ports.blobs_s3 import S3Blobs, open_s3_blobs

_READY_SECONDS = 60
_PORTS = ("-master.port", "-volume.port", "-filer.port", "-s3.port")


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and what it lets in."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    def open_blobs(self, prefix: str | None = None) -> S3Blobs:
        """Open a store of its own in the bucket; the same one for the same `prefix`."""
        return open_s3_blobs(
            f"s3://{self.bucket}/{prefix or uuid.uuid4().hex}",
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            allow_http=True,
        )


def _free_ports(count: int) -> list[int]:
    """Return ports nobody has, such that port + 10000 (its gRPC) can be had too."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            second = held.enter_context(socket.socket())
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 10000 if port < 55000 else port - 10000))
                found.append(port)
    return found


def _arguments(folder: Path, ports: list[int], config: Path) -> list[str]:
    arguments = [str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server"]
    arguments += [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer"]
    arguments += [f"-s3.config={config}", "-master.volumeSizeLimitMB=256", "-volume.max=20"]
    # On by default: calling home, and two more doors at fixed ports (two test runs would collide).
    arguments += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    for name, port in zip(_PORTS, ports, strict=True):
        grpc = port + 10000 if port < 55000 else port - 10000
        arguments += [f"{name}={port}", f"{name}.grpc={grpc}"]
    return arguments


def _wait_until_ready(child: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    """Make the bucket as soon as the server lets us."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        if _make_bucket(server):
            return
        time.sleep(0.1)
    pytest.fail(f"the S3 server did not become ready:\n{log.read_text()[-3000:]}")


def _make_bucket(server: S3Server) -> bool:
    store = S3Store(
        server.bucket,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        client_options={"allow_http": True},
    )
    url = obstore.sign(store, "PUT", "", dt.timedelta(minutes=1))
    try:
        made = httpx.put(url, timeout=5)
        if made.status_code not in {200, 409}:
            return False
        probe = obstore.sign(store, "PUT", "probe", dt.timedelta(minutes=1))
        return httpx.put(probe, content=b"ready", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Run a server with its data in `folder`; it is gone at the end."""
    ports = _free_ports(len(_PORTS))
    server = S3Server(f"http://127.0.0.1:{ports[-1]}", "muniment", "only-for-tests", "tests")
    keys = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    identity = {"name": "tests", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    config, log = folder / "s3.json", folder / "log"
    config.write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    with log.open("wb") as output:
        child = subprocess.Popen(
            _arguments(folder / "data", ports, config),
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait_until_ready(child, server, log)
        yield server
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for the session."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server
