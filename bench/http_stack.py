"""Our whole application under two HTTP servers, in turns: `python -m bench.http_stack`.

uvicorn as `muniment serve` runs it, and granian's embedded server on the same event loop. Granian
is no dependency: have it beside, `pip install --target .build/granian granian`, and run with
`PYTHONPATH=.build/granian`. One process each; each on its own database, filled alike.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bench import fill, page, processes, registry
from bench.load import Request, drive
from bench.peers import TOKEN, Muniment, Process

SERVERS = ("uvicorn", "granian")
_SIZE = 256 << 20
_PART = 64 << 20


class Served(Muniment):
    """Our application in one process under `server`."""

    def __init__(self, home: Path, server: str) -> None:
        super().__init__(home)
        self.data.mkdir(mode=0o711)
        self.name = server
        command = [sys.executable, "-m", "bench.http_stack", "--serve", server]
        command += ["--data", str(self.data), "--port", str(self.port)]
        environ = {**os.environ, "MUNIMENT_BOOTSTRAP_TOKEN": TOKEN}
        self._process = Process(command, environ, home / "log", f"{self.url}/readyz")


async def _serve(server: str, data: Path, port: int) -> None:
    from muniment.server import wiring  # noqa: PLC0415 -- only in the servers' processes
    from muniment.server.listening import listen  # noqa: PLC0415
    from muniment.server.settings import Settings  # noqa: PLC0415

    settings = Settings.from_env(os.environ, data_dir=data, port=port)
    with wiring.database(settings) as place:
        async with wiring.open_registry(settings, place) as opened:
            if server == "uvicorn":
                await listen(opened.app, "127.0.0.1", port, announce=lambda _: None)
            else:
                await _granian(opened.app, port)


async def _granian(app: Any, port: int) -> None:
    from granian.constants import HTTPModes, Interfaces  # type: ignore[import-not-found]  # noqa: PLC0415
    from granian.server.embed import Server  # type: ignore[import-not-found]  # noqa: PLC0415

    server = Server(
        app,
        "127.0.0.1",
        port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=2048,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


async def _calls(
    peers: list[Served], blobs: dict[str, str], args: Any
) -> dict[str, dict[str, str]]:
    """Keyed reads and alias moves from 32 clients; medians over the rounds."""
    shown: dict[str, dict[str, str]] = {peer.name: {} for peer in peers}
    ours = {peer.name: registry.Ours(blobs[peer.name]) for peer in peers}
    for title, call in (("keyed read", "get version"), ("governed write", "set alias")):
        results: dict[str, list[Any]] = {peer.name: [] for peer in peers}
        for _, peer in itertools.product(range(args.rounds), peers):
            requests: Iterator[Request] = ours[peer.name].calls()[call](fill.BY_API)
            done = await drive(
                peer.port,
                requests,
                clients=32,
                seconds=args.seconds,
                headers=peer.headers,
                cpu_seconds=lambda peer=peer: processes.cpu_seconds([peer.python_pid()]),  # type: ignore[misc]
            )
            results[peer.name].append(done)
        for name, runs in results.items():
            said = registry.summary(runs)
            shown[name][title] = (
                f"{said['per_second']:.0f}/s, p99 {said['p99_ms']:.0f} ms, "
                f"{said['cpu_ms']:.2f} ms CPU, {said['errors']} errors"
            )
            print(f"  {name} {title}: {shown[name][title]}", flush=True)
    return shown


def _transfer(peer: Served, body: bytes) -> tuple[float, float]:
    """Seconds to send `body` in parts and register it, and to have it back unchecked."""
    digest = hashlib.sha256(body).hexdigest()
    with httpx.Client(base_url=peer.url, headers=peer.headers, timeout=120) as client:
        began = time.perf_counter()
        upload = (
            client.post("/api/v1/uploads", json={"name": "big"}).raise_for_status().json()["id"]
        )
        blob = {"sha256": digest, "size_bytes": len(body)}
        client.post(f"/api/v1/uploads/{upload}/blobs", json={"blobs": [blob]}).raise_for_status()
        at = f"/api/v1/uploads/{upload}/blobs/{digest}"
        for offset in range(0, len(body), _PART):
            part = body[offset : offset + _PART]
            sent = client.put(
                at,
                params={"offset": offset},
                content=part,
                headers={"Content-Type": "application/octet-stream"},
            )
            sent.raise_for_status()
        client.post(f"{at}/seal").raise_for_status()
        up = time.perf_counter() - began
        version = f"1.0.{time.time_ns()}"
        files = [{"path": "model.bin", **blob}]
        made = {"version": version, "files": files, "upload_id": upload}
        made["create_asset"] = {"kind": "model", "owner": "bench"}
        client.post("/api/v1/assets/default/big/versions", json=made).raise_for_status()
        began = time.perf_counter()
        path = f"/api/v1/assets/default/big/versions/{version}/files/model.bin"
        with client.stream("GET", path) as answer:
            answer.raise_for_status()
            size = sum(len(chunk) for chunk in answer.iter_raw())
        assert size == len(body), size
        return up, time.perf_counter() - began


async def _measure(home: Path, args: Any) -> list[dict[str, Any]]:
    peers = [Served(home / name, name) for name in SERVERS]
    try:
        blobs = {}
        for peer in peers:
            peer.start()
            blobs[peer.name] = fill.first_blob(peer.url, TOKEN, home)
            await fill.register_first(peer, blobs[peer.name])
        shown = await _calls(peers, blobs, args)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in SERVERS}
        for _, peer in itertools.product(range(args.rounds), peers):
            times[peer.name].append(_transfer(peer, os.urandom(_SIZE)))
        for name, taken in times.items():
            for way, seconds in zip(("upload", "download"), zip(*taken, strict=True), strict=True):
                shown[name][way] = f"{_SIZE / 1e6 / statistics.median(seconds):.0f} MB/s"
                print(f"  {name} {way}: {shown[name][way]}", flush=True)
    finally:
        for peer in peers:
            peer.close()
    return [{"server": name, **cells} for name, cells in shown.items()]


def main() -> None:
    """Serve, or measure both."""
    parser = argparse.ArgumentParser(prog="python -m bench.http_stack", description=__doc__)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    args = parser.parse_args()
    if args.serve:
        import uvloop  # noqa: PLC0415

        uvloop.run(_serve(args.serve, args.data, args.port))
        return
    with tempfile.TemporaryDirectory(prefix="mb-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        if os.geteuid() == 0:
            home.chmod(0o711)  # PostgreSQL runs under another account then
        rows = asyncio.run(_measure(home, args))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    print(page.render_stack(rows))


if __name__ == "__main__":
    main()
