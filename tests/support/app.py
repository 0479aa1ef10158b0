"""The real application over a test's database, called as anybody.

    async with app_client(db, blobs, keys, clock, OPERATIONS) as registry:
        await registry.as_(Role.ADMIN).get("/api/v1/principals")
        await registry.as_(Role.VIEWER, Scope("team-a")).get(...)
        await registry.anonymous.get(...)

Each role in each scope is one principal, made with its token when it first calls.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from muniment.server import artifacts, http, identity, ledger
from muniment.server.http.dialects import Dialect
from muniment.server.http.operation import Deps, Operation
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Role, Scope
from muniment.server.identity import By, Issued, NewPrincipal, NewToken
from muniment.server.identity.actions.access import keep_workload_token
from muniment.server.identity.records import Attestation, Token
from muniment.server.ledger import Actor
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.keys import Keys
from muniment.server.settings import Settings
from tests.support.policies import begin, shared_engines

BASE_URL = "http://muniment.test"
#: What pipelines of tests are trusted with, and where they may promote it.
ASSETS = (
    "fraud",
    "fraud-detector",
    "fraud-prompt",
    "fraud-adapter",
    "churn",
    "words",
    "m",
    *(f"run-{number}" for number in range(100)),
    *(f"run-{number}-prompt" for number in range(30)),
)
PLACES = ("development", "staging", "production")


class _TokenAuth(httpx.Auth):
    """Makes the principal and its token on the first request, then sends the token."""

    def __init__(
        self,
        registry: RegistrySimulator,
        grants: tuple[Grant, ...],
        name: str,
        kind: PrincipalKind = PrincipalKind.PERSON,
    ) -> None:
        self._registry, self._grants, self._name, self._kind = registry, grants, name, kind
        self.issued: Issued | None = None

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if self.issued is None:
            self.issued = await self._registry.issue(
                *self._grants, name=self._name, kind=self._kind
            )
        request.headers["authorization"] = f"Bearer {self.issued.text}"
        yield request


class Client(httpx.AsyncClient):
    """Calls the application in-process. `issued` is its token once it has called."""

    @property
    def issued(self) -> Issued:
        assert isinstance(self.auth, _TokenAuth)
        assert self.auth.issued is not None, "call something first"
        return self.auth.issued

    @property
    def principal_id(self) -> uuid.UUID:
        return self.issued.token.principal_id


class RegistrySimulator:
    """A whole registry without a socket: its application, its ports, and clients by role."""

    def __init__(self, app: ASGIApp, deps: Deps, tokens: identity.TokenCache) -> None:
        self.app, self.deps, self.tokens = app, deps, tokens
        self._clients: dict[object, Client] = {}

    @property
    def anonymous(self) -> Client:
        """Sends no token."""
        return self._client("anonymous", None)

    @property
    def nobody(self) -> Client:
        """Sends a valid token of a principal without any role."""
        return self.with_grants()

    def as_(self, role: Role, scope: Scope = EVERYTHING) -> Client:
        """Sends the token of a person with one role."""
        return self.with_grants(Grant(role, scope))

    def workload(self, role: Role, scope: Scope = EVERYTHING) -> Client:
        """Sends the token of a pipeline with one role, vouched for, as if trusted everywhere."""
        grants = (Grant(role, scope),)
        key = ("workload", grants)
        return self._client(key, _TokenAuth(self, grants, "pipeline", PrincipalKind.WORKLOAD))

    def with_grants(self, *grants: Grant) -> Client:
        """Sends the token of a person with these roles; the same grants, the same person."""
        name = " ".join([g.role.value for g in grants] or ["nobody"])
        return self._client(grants, _TokenAuth(self, grants, name))

    def with_token(self, text: str) -> Client:
        """Sends that token."""
        client = self._client(text, None)
        client.headers["authorization"] = f"Bearer {text}"
        return client

    def _client(self, key: object, auth: httpx.Auth | None) -> Client:
        if key not in self._clients:
            self._clients[key] = Client(
                transport=httpx.ASGITransport(self.app), base_url=BASE_URL, auth=auth
            )
        return self._clients[key]

    async def issue(
        self,
        *grants: Grant,
        name: str = "somebody",
        kind: PrincipalKind = PrincipalKind.PERSON,
    ) -> Issued:
        """Make a principal with these roles and a token for it."""
        by = By(Actor("system", "tests"), self.deps.clock.now(), self.deps.clock.new_id)
        async with self.deps.db.transaction() as tx:
            number = await tx.fetchval("SELECT count(*) FROM principal")
            new = NewPrincipal(kind, f"{name} {number}", grants=grants)
            principal = await identity.create_principal(tx, new, by)
            if kind is PrincipalKind.WORKLOAD:
                return await self._vouched_for(tx, principal.id, grants, by)
            token = NewToken(principal.id, "tests")
            return await identity.create_token(tx, token, by, maker=None)

    async def _vouched_for(
        self, tx: Tx, principal_id: uuid.UUID, grants: tuple[Grant, ...], by: By
    ) -> Issued:
        """Make the token that exchanging an ID token would."""
        claims = {"iss": "https://ci.test", "repository_id": "7", "run_id": "1"}
        token = Token(
            id=by.new_id(),
            principal_id=principal_id,
            label="run 1",
            limits=grants,
            created_at=by.at,
            expires_at=by.at + dt.timedelta(days=90),
            revoked_at=None,
            last_used_at=None,
            workload=Attestation(
                claims,
                "0" * 64,
                (),
                tuple(("default", name, at) for name in ASSETS for at in PLACES),
            ),
        )
        return await keep_workload_token(tx, token, by, claims)

    async def close(self) -> None:
        """Close the clients and wait for what runs in the background."""
        for client in self._clients.values():
            await client.aclose()
        await self.tokens.settle()


@contextlib.asynccontextmanager
async def app_client(
    db: Database,
    blobs: Blobs,
    keys: Keys,
    clock: Clock,
    operations: Sequence[Operation],
    *,
    dialects: Sequence[Dialect] = (),
    first: Bundle | None = None,
    **settings: Any,
) -> AsyncIterator[RegistrySimulator]:
    """Serve `operations`; `settings` are fields of `Settings` other than the defaults.

    `first` is the policy the registry begins with; without it nothing beyond development is judged.
    """
    if first is not None:
        await begin(db, clock, first)
    chosen = Settings(**{"data_dir": Path("unused"), **settings})
    deps = Deps(
        db=db, blobs=blobs, keys=keys, clock=clock, settings=chosen, engines=shared_engines()
    )
    tokens = identity.authenticator(deps)
    app = http.build(
        operations,
        deps,
        authenticator=tokens,
        allows=identity.allows,
        dialects=dialects,
        gauges=[ledger.gauges, artifacts.gauges],
    )
    registry = RegistrySimulator(app, deps, tokens)
    try:
        yield registry
    finally:
        await registry.close()
