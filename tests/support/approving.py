"""People who ask and approve, and a small policy they are asked under."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from muniment.core.approvals import (
    Condition,
    Said,
    Waiver,
    approval_statement,
    exception_statement,
    sign,
)
from muniment.core.digest import Digest
from muniment.server import policy
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from tests.support.app import Client
from tests.support.artifacts import House, fine, open_house
from tests.support.own_keys import key_body
from tests.support.policies import begin, rule, starter
from tests.support.signing import der_of, p256, signed_by

TREE = {"model.bin": b"weights"}
ASK: dict[str, Any] = {"environment": "production", "change_class": "significant"}
#: Fails for the asset called `flawed`.
_FLAWED = """
default applies := false
applies if input.step == "approve"

violations contains {"case": "bad", "args": [input.asset.name]} if {
	applies
	input.asset.name == "flawed"
}
"""


_HELD = """
default applies := false
applies if input.step == "approve"

violations contains {"case": "bad", "args": [input.subject.ref]} if {
	applies
	input.subject.quarantined
}
"""


def council(number: int = 0, **profile: Any) -> Bundle:
    """A bundle that asks for the quorum, and has a rule of each class; `profile` is of every tier.

    Approvals hold for 60 days: less than the tokens of tests.
    """
    profile = {"approval_days": 60, "sign_offs": {}, **profile}
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    for tier in data["profiles"].values():
        tier.update(profile)
    rules = {
        "rules/APPR-001.rego": files["rules/APPR-001.rego"],
        "rules/APPR-004.rego": files["rules/APPR-004.rego"],
        "rules/APPR-005.rego": files["rules/APPR-005.rego"],
        "rules/WAIV-001.rego": rule(_FLAWED, "WAIV-001", "waivable"),
        "rules/SAFE-001.rego": rule(_HELD, "SAFE-001", "critical_safety"),
        "rules/HINT-001.rego": rule("default applies := false\nviolations := set()\n", "HINT-001", "advisory"),
        "lib/facts.rego": files["lib/facts.rego"],
        "data.json": json.dumps(data).encode(),
        "README.md": f"{number}\n".encode(),
    }  # fmt: skip
    return policy.read_bundle(rules)


def quorum_alone(minimal: Mapping[str, Any] | None = None, **profile: Any) -> Bundle:
    """A bundle that asks for the quorum and review steps, with its fixtures: a server takes it.

    `profile` is of every tier, `minimal` of that of minimal risk besides.
    """
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    for tier in data["profiles"].values():
        tier.update(profile)
    data["profiles"]["minimal"].update(minimal or {})
    kept = (
        "rules/APPR-001.rego", "rules/APPR-005.rego", "lib/facts.rego", "fixtures/APPR-001.yaml",
        "fixtures/APPR-005.yaml", "fixtures/base.yaml",
    )  # fmt: skip
    return policy.read_bundle(
        {**{path: files[path] for path in kept}, "data.json": json.dumps(data).encode()}
    )


@dataclass
class Council:
    """A house in which versions are asked for and approved."""

    house: House
    clock: FixedClock

    def person(self, *roles: str, namespace: str = "default") -> Client:
        """Somebody who holds these approvers' roles; the same roles, the same person."""
        grants = [Grant(Role(f"approver_{role}"), Scope(namespace)) for role in roles]
        return self.house.registry.with_grants(*grants)

    @property
    def asker(self) -> Client:
        return self.house.registry.as_(Role.CONTRIBUTOR, Scope("default"))

    @property
    def admin(self) -> Client:
        return self.house.registry.as_(Role.ADMIN)

    async def version(
        self, name: str = "thing", version: str = "1.0.0", *, tier: str | None = "limited"
    ) -> str:
        """Register a version; return where it is in the API."""
        sender = self.house.sender()
        made = {"kind": "model", "owner": "ada"} | ({"risk_tier": tier} if tier else {})
        await sender.registered(TREE, version, name=name, create_asset=made)
        return sender.url(name, version)

    async def ask(self, at: str, **more: Any) -> Any:
        """Open a request; return it."""
        return fine(await self.asker.post(f"{at}/approval-requests", json={**ASK, **more}))

    async def show(self, request_id: str, client: Client | None = None) -> Any:
        return fine(await (client or self.asker).get(f"/api/v1/approval-requests/{request_id}"))

    async def say(
        self, client: Client, request_id: str, role: str, decision: str = "approve", **more: Any
    ) -> httpx.Response:
        """Say something for a session."""
        if decision != "approve":
            more = {"comment": "because", **more}
        body = {"decision": decision, "role": role, **more}
        return await client.post(f"/api/v1/approval-requests/{request_id}/approvals", json=body)

    async def approve(self, request_id: str, *roles: str) -> Any:
        """Have one person for each role approve; return the last answer."""
        answer = None
        for role in roles:
            answer = fine(await self.say(self.person(role), request_id, role))
        return answer

    async def approved(self, name: str = "thing", **more: Any) -> tuple[Any, Any]:
        """Have a version approved by product and platform; return the request and the decision."""
        request = await self.ask(await self.version(name), **more)
        done = await self.approve(request["id"], "product", "platform")
        assert done["decision"]["outcome"] == "approved"
        return request, done["decision"]

    async def key(self, client: Client, number: int = 1) -> ec.EllipticCurvePrivateKey:
        """Make a key known as somebody's own."""
        mine = await me(client)
        fine(await client.post("/api/v1/signing-keys", json=key_body(p256(number), mine)))
        return p256(number)

    async def signed(
        self,
        client: Client,
        request_id: str,
        role: str,
        key: ec.EllipticCurvePrivateKey,
        /,
        **more: Any,
    ) -> dict[str, Any]:
        """The bundle by which somebody approves with a key; `more` is put over what it says."""
        shown = await self.show(request_id, client)
        frozen = more.pop("frozen", shown["frozen"])
        said = Said(**{
            "registry": shown["registry"],
            "person": uuid.UUID(await me(client)),
            "role": role,
            "at": self.clock.now().replace(microsecond=0),
            "nonce": secrets.token_hex(16),
            "request_id": uuid.UUID(request_id),
            "decision": "approve",
            **more,
        })  # fmt: skip
        return bundle_of(approval_statement(frozen, said), key)

    async def send(
        self, client: Client, request_id: str, bundle: Mapping[str, Any]
    ) -> httpx.Response:
        at = f"/api/v1/approval-requests/{request_id}/approvals"
        return await client.post(at, json={"bundle": bundle})

    async def waiver(self, client: Client, at: str, key: Any, /, **more: Any) -> dict[str, Any]:
        """The bundle by which somebody grants an exception with a key."""
        version = fine(await client.get(at))
        registry = self.house.registry.deps.settings.origin
        waiver = Waiver(**{
            "registry": registry,
            "person": uuid.UUID(await me(client)),
            "role": "security",
            "at": self.clock.now().replace(microsecond=0),
            "nonce": secrets.token_hex(16),
            "rule": "WAIV-001",
            "version_id": uuid.UUID(version["id"]),
            "ref": f"{version['name']}@{version['version']}",
            "manifest": Digest.parse(version["manifest_digest"]),
            "environment": "production",
            "until": self.clock.now().date() + dt.timedelta(days=7),
            "reason": "no fix yet",
            "control": "not reachable",
            **more,
        })  # fmt: skip
        return bundle_of(exception_statement(waiver), key)

    async def acts(self, prefix: str) -> list[str]:
        """The acts in the log whose name begins so, in order."""
        async with self.house.db.transaction(read_only=True) as tx:
            rows = await tx.fetch(
                "SELECT act FROM ledger_entry WHERE starts_with(act, $1) ORDER BY id", prefix
            )
        return [row["act"] for row in rows]


def bundle_of(statement: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return sign(statement, lambda message: signed_by(key, message), der_of(key))


async def me(client: Client) -> str:
    return str(fine(await client.get("/api/v1/whoami"))["id"])


def condition(text: str, due: dt.date) -> Condition:
    return Condition(text, due)


@asynccontextmanager
async def open_council(
    db: Database,
    blobs: Blobs,
    keys: Keys,
    clock: FixedClock,
    first: Bundle | None = None,
) -> AsyncIterator[Council]:
    await begin(db, clock, first or council(own_key=False))
    async with open_house(db, blobs, keys, clock) as house:
        yield Council(house, clock)


__all__ = [
    "ASK",
    "TREE",
    "Council",
    "bundle_of",
    "condition",
    "council",
    "me",
    "open_council",
    "starter",
]
