"""Artifacts sent and registered in a line, through the application."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from muniment.server import artifacts
from muniment.server.http.records import Role, Scope
from muniment.server.ledger.fsck import Options, fsck
from muniment.server.ledger.records import Report
from muniment.server.ledger.sequencer import Sequencer
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import FOLDS, OPERATIONS, misdescribed, required_blobs
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.watched import Watch, WatchedDatabase

SETTINGS = {"part_bytes": 5 << 20}
MODEL = {"kind": "model", "owner": "ada"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listed(tree: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The files of a registration."""
    return [
        {"path": path, "sha256": sha256(content), "size_bytes": len(content)}
        for path, content in tree.items()
    ]


def fine(answer: httpx.Response) -> Any:
    """The body of an answer that must be one of success."""
    assert answer.is_success, (answer.status_code, answer.text)
    return answer.json() if answer.content else None


@dataclass
class Sender:
    """One caller who sends and registers in a namespace of theirs."""

    client: Client
    namespace: str = "default"

    async def open(self, name: str = "thing") -> str:
        body = {"name": name, "namespace": self.namespace}
        return str(fine(await self.client.post("/api/v1/uploads", json=body))["id"])

    async def declare(self, upload_id: str, *contents: bytes) -> httpx.Response:
        blobs = [{"sha256": sha256(content), "size_bytes": len(content)} for content in contents]
        return await self.client.post(f"/api/v1/uploads/{upload_id}/blobs", json={"blobs": blobs})

    def blob(self, upload_id: str, content: bytes) -> str:
        return f"/api/v1/uploads/{upload_id}/blobs/{sha256(content)}"

    async def put(
        self, upload_id: str, content: bytes, start: int = 0, end: int | None = None
    ) -> httpx.Response:
        url = self.blob(upload_id, content)
        return await self.client.put(url, params={"offset": start}, content=content[start:end])

    async def seal(self, upload_id: str, content: bytes) -> httpx.Response:
        return await self.client.post(self.blob(upload_id, content) + "/seal")

    async def send(self, *contents: bytes) -> str:
        """Have `contents` held in a new session; return its id."""
        upload_id = await self.open()
        items = fine(await self.declare(upload_id, *set(contents)))["items"]
        held = {one["sha256"] for one in items if one["state"] == "held"}
        for content in set(contents):
            if sha256(content) not in held:
                assert fine(await self.put(upload_id, content))["state"] == "held"
        return upload_id

    def url(self, name: str = "thing", version: str | None = None, rest: str = "") -> str:
        base = f"/api/v1/assets/{self.namespace}/{name}/versions"
        return base if version is None else f"{base}/{version}{rest}"

    async def register(
        self,
        tree: Mapping[str, bytes],
        version: str = "1.0.0",
        *,
        name: str = "thing",
        **more: Any,
    ) -> httpx.Response:
        body = {"version": version, "files": listed(tree), "create_asset": MODEL, **more}
        return await self.client.post(self.url(name), json=body)

    async def registered(
        self, tree: Mapping[str, bytes], version: str = "1.0.0", **more: Any
    ) -> Any:
        """Send and register `tree`."""
        upload_id = await self.send(*tree.values())
        return fine(await self.register(tree, version, upload_id=upload_id, **more))


@dataclass
class House:
    """The whole application over a watched database."""

    registry: RegistrySimulator
    db: WatchedDatabase
    blobs: Any
    keys: Keys

    @property
    def watch(self) -> Watch:
        return self.db.watch

    def sender(self, role: Role = Role.PUBLISHER, namespace: str = "default") -> Sender:
        return Sender(self.registry.as_(role, Scope(namespace)), namespace)

    async def quiet(self) -> None:
        """Have what runs beside requests (the last use of a token) be done."""
        await self.registry.tokens.settle()

    async def settle(self) -> None:
        """Have the log include all that waits."""
        deps = self.registry.deps
        sequencer = Sequencer(
            self.db, self.blobs, log_key=self.keys.log, clock=deps.clock,
            origin=deps.settings.origin,
        )  # fmt: skip
        while await sequencer.step():
            pass

    async def check(self) -> Report:
        """Everything agrees with the log, and every byte is held and right."""
        await self.settle()
        options = Options(
            keys=self.keys,
            origin=self.registry.deps.settings.origin,
            folds=FOLDS,
            needed=required_blobs,
            suspects=artifacts.suspects,
            misdescribed=lambda digest: misdescribed(self.db, self.blobs, digest),
            sample=None,
        )
        report = await fsck(self.db, self.blobs, options)
        assert report.clean, report.findings
        return report

    async def count(self, sql: Any, *args: object) -> int:
        async with self.registry.deps.db.transaction(read_only=True) as tx:
            found = await tx.fetchval(sql, *args)
        assert isinstance(found, int)
        return found


@asynccontextmanager
async def open_house(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock, **settings: Any
) -> AsyncIterator[House]:
    watched = WatchedDatabase(db)
    chosen = SETTINGS | settings
    async with app_client(watched, blobs, keys, clock, OPERATIONS, **chosen) as registry:
        yield House(registry, watched, blobs, keys)
