"""Composites of a model and a prompt (and more), under the rules of approval alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from muniment.server import policy
from muniment.server.http.records import Role
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.support.app import Client, app_client
from tests.support.approving import ASK, Council
from tests.support.artifacts import SETTINGS, House, Sender, fine
from tests.support.catalog import FULL_METADATA
from tests.support.policies import begin
from tests.support.watched import WatchedDatabase

PRODUCTION = {"environment": "production"}
REASON = {**PRODUCTION, "reason": "because"}
TEAM = {
    "owner": "ada", "backup_owner": "bob", "escalation_contact": "on-call", "risk_tier": "limited",
}  # fmt: skip
_KINDS = ("code", "data", "model", "adapter", "prompt", "config", "env")


def approving(*more: str) -> Bundle:
    """The rules of the starter bundle about approval, by sessions; and `more` of its rules."""
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    for tier in data["profiles"].values():
        tier.update(own_key=False)
    rules = ("APPR-001", "APPR-002", "PROM-001", *more)
    kept = ("lib/facts.rego", *(f"rules/{rule}.rego" for rule in rules))
    return policy.read_bundle(
        {**{path: files[path] for path in kept}, "data.json": json.dumps(data).encode()}
    )


def components(*pins: str, system: str = "fraud") -> dict[str, Any]:
    """What a composite of these versions is asked for with; names of prompts and adapters say so."""
    there = {next((kind for kind in _KINDS if kind in pin), "model") for pin in pins}
    absent = [
        {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
        for kind in _KINDS
        if kind not in there
    ]
    return {"system": system, "components": [*({"pin": pin} for pin in pins), *absent]}


@dataclass
class Fleet:
    """A council that asks for composites, and pipelines that deploy them."""

    room: Council

    @property
    def pipeline(self) -> Client:
        return self.room.house.registry.workload(Role.PUBLISHER)

    @property
    def viewer(self) -> Client:
        return self.room.house.registry.as_(Role.VIEWER)

    async def version(
        self, name: str, version: str = "1.0.0", *, namespace: str = "default", content: str = ""
    ) -> None:
        """Have a pipeline register a complete version; `prompt` or `adapter` in its name is its kind."""
        kind = next((kind for kind in ("prompt", "adapter") if kind in name), "model")
        sender = Sender(self.pipeline, namespace)
        tree = {"file.bin": f"{namespace} {name} {version} {content}".encode()}
        made = {"kind": kind, **TEAM}
        await sender.registered(tree, version, name=name, metadata=FULL_METADATA, create_asset=made)

    async def composite(self, *pins: str, system: str = "fraud") -> str:
        """Register a composite of these versions; return its identifier."""
        body = components(*pins, system=system)
        return str(fine(await self.room.admin.post("/api/v1/composites", json=body))["cvi"])

    async def approve(self, cvi: str, *roles: str) -> Any:
        """Have a composite asked for and approved by people; return the last answer."""
        url = f"/api/v1/composites/{cvi}/approval-requests"
        request = fine(await self.room.asker.post(url, json=ASK))
        return await self.room.approve(request["id"], *(roles or ("product", "platform")))

    async def promote(self, cvi: str, client: Client | None = None, **more: Any) -> httpx.Response:
        url = f"/api/v1/composites/{cvi}/promote"
        return await (client or self.pipeline).post(url, json={**PRODUCTION, **more})

    async def live(self, *names: str, environment: str = "production") -> dict[str, Any]:
        """What is found of assets: the version that is live, and the composite it is a part of."""
        found = {}
        for name in names:
            url = f"/api/v1/assets/default/{name}"
            query = {"environment": environment, "live": "true"}
            items = fine(await self.viewer.get(f"{url}/deployments", params=query))["items"]
            found[name] = [(one["version"], one["composite"]) for one in items]
        return found

    async def champions(self, *names: str) -> list[str | None]:
        """Where the alias production resolves points."""
        found = []
        for name in names:
            answer = await self.viewer.get(f"/api/v1/assets/default/{name}/aliases/champion")
            found.append(answer.json().get("version") if answer.is_success else None)
        return found

    async def failing(self, cvi: str, environment: str = "production") -> list[str]:
        """The rules in the way of a pipeline, other than that none is trusted: those here are vouched for."""
        url = f"/api/v1/composites/{cvi}/why-not"
        found = fine(await self.viewer.get(url, params={"environment": environment}))
        return [one["id"] for one in found["unmet"] if one["id"] not in {"TRUST-001", "PROM-001"}]


@asynccontextmanager
async def open_fleet(
    db: Database, blobs: Blobs, keys: Keys, clock: FixedClock, first: Bundle | None = None
) -> AsyncIterator[Fleet]:
    """Serve all there is, MLflow's API too; in the end everything agrees with the log."""
    await begin(db, clock, first or approving())
    watched, operations = WatchedDatabase(db), [*OPERATIONS, *FACADES]
    async with app_client(
        watched,
        blobs,
        keys,
        clock,
        operations,
        dialects=DIALECTS,
        part_bytes=SETTINGS["part_bytes"],
    ) as registry:
        fleet = Fleet(Council(House(registry, watched, blobs, keys), clock))
        yield fleet
        await fleet.room.house.quiet()
        await fleet.room.house.check()


def names(problems: Sequence[dict[str, Any]]) -> list[str]:
    """The fields of problems, in their order."""
    return [one["field"] for one in problems]
