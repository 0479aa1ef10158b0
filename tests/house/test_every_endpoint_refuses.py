"""Every operation of `openapi.json`, called without a token and with a token that lets nothing in."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from muniment.server.http.operation import Operation, ScopeFrom
from muniment.server.http.records import Verb
from muniment.server.openapi import whole_document
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import OPERATIONS
from tests.support.app import RegistrySimulator, app_client

CHECKED_IN = Path(__file__).parents[2] / "openapi.json"
DOCUMENT: dict[str, Any] = whole_document()
BY_ID = {operation.id: operation for operation in OPERATIONS}
#: Anybody may know that the server lives, what it speaks, redeem the one-time code, and be a pipeline.
OPEN = {
    "healthz",
    "readyz",
    "openapi",
    "bootstrap",
    "show_welcome",
    "welcome",
    "exchange_id_token",
    "get_audience",
    "list_login_choices",
    "log_in",
}
CALLS = [
    (details["operationId"], method, path)
    for path, methods in DOCUMENT["paths"].items()
    for method, details in methods.items()
    if method in {"get", "put", "post", "delete", "patch"}
]
_EXAMPLES = {"namespace": "default", "name": "thing", "version": "1.0.0", "alias": "champion"}


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator


def filled(path: str) -> str:
    """Put something plausible into every parameter of a path."""
    return re.sub(
        r"\{([a-z0-9_]+)\}",
        lambda found: _EXAMPLES.get(
            found[1], "0" * 64 if found[1] == "sha256" else "01a1fc65-6121-7000-8bfb-3651fd695a46"
        ),
        path,
    )


def test_the_checked_in_document_is_current() -> None:
    assert json.loads(CHECKED_IN.read_text()) == DOCUMENT, "run `make openapi`"


def test_every_operation_of_the_slices_is_in_the_document() -> None:
    assert {operation.id for operation in OPERATIONS} <= {name for name, _, _ in CALLS}


async def test_nobody_gets_in_without_a_token(registry: RegistrySimulator) -> None:
    let_in = []
    for name, method, path in CALLS:
        if name in OPEN:
            continue
        answer = await registry.anonymous.request(method.upper(), filled(path))
        if answer.status_code != 401:
            let_in.append(f"{method} {path}: {answer.status_code}")
    assert not let_in, "\n".join(let_in)


async def test_metrics_are_for_observers(registry: RegistrySimulator) -> None:
    assert (await registry.nobody.get("/metrics")).status_code in {403, 404}


async def test_a_token_without_roles_opens_nothing(registry: RegistrySimulator) -> None:
    let_in = []
    for name, method, path in CALLS:
        if name in OPEN or name not in BY_ID or BY_ID[name].needs is Verb.NOTHING:
            continue
        answer = await registry.nobody.request(method.upper(), filled(path), json=_body_for(name))
        if answer.status_code not in {403, 404} and not _checks_inside(BY_ID[name], answer):
            let_in.append(f"{method} {path}: {answer.status_code}")
    assert not let_in, "\n".join(let_in)


def _body_for(name: str) -> dict[str, Any] | None:
    """Return a body that decodes, where the handler itself asks for the verb."""
    bodies: dict[str, dict[str, Any]] = {
        "open_upload": {"name": "thing"},
        "create_asset": {"name": "thing", "kind": "model", "owner": "ada"},
        "create_namespace": {"namespace": "thing"},
    }
    return bodies.get(name)


def _checks_inside(operation: Operation, answer: Any) -> bool:
    """Say whether the handler asks for a verb only once it knows of what: a 422 before that is fair."""
    return (
        operation is not None and operation.scope is ScopeFrom.HANDLER and answer.status_code == 422
    )
