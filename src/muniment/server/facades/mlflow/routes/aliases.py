"""`registered-models/alias`: one that production resolves is moved as the rules allow."""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.errors import BadRequest
from muniment.core.names import Alias
from muniment.server import catalog, lifecycle
from muniment.server.catalog.records import AliasMove
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.records import FoundVersion
from muniment.server.facades.mlflow.routes import governed
from muniment.server.facades.mlflow.routes.bodies import number_of
from muniment.server.facades.mlflow.routes.dialect import WHY, asset_of, by, endpoint
from muniment.server.facades.mlflow.routes.registered_models import check_version, found, kind_of
from muniment.server.facades.mlflow.rules import aliases
from muniment.server.facades.mlflow.rules.render import version_json
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.lifecycle.records import Refusal
from muniment.server.ports.db import Tx

_ALIAS: Final = "/mlflow/registered-models/alias"


class Aliased(msgspec.Struct):
    """An alias to set."""

    name: str
    alias: str
    version: str


class Unaliased(msgspec.Struct):
    """An alias."""

    name: str
    alias: str


async def set_registered_model_alias(call: Call, tx: Tx) -> Reply:
    """Point an alias at a version."""
    body: Aliased = call.body
    ref = asset_of(call, body.name, Verb.ALIAS)
    aliases.check_alias(body.alias)
    number = number_of(body.version)
    await check_version(tx, body.name, number)
    return await _point(call, tx, AliasMove(ref, Alias.parse(body.alias), number, reason=WHY))


async def delete_registered_model_alias(call: Call, tx: Tx) -> Reply:
    """Point an alias nowhere."""
    body: Unaliased = call.body
    ref = asset_of(call, body.name, Verb.ALIAS)
    aliases.check_alias(body.alias)
    await kind_of(tx, body.name)
    return await _point(call, tx, AliasMove(ref, Alias.parse(body.alias), None, reason=WHY))


async def _point(call: Call, tx: Tx, move: AliasMove) -> Reply:
    answer = await lifecycle.point_alias(
        tx, move, governed.executor(call, move.asset), by(call), governed.ports(call)
    )
    if isinstance(answer, Refusal):
        return governed.refused(answer)
    return governed.warned({}, answer.warnings)


async def get_model_version_by_alias(call: Call, tx: Tx) -> Reply:
    """Return the version an alias points at; `latest` is the highest one."""
    query: Unaliased = call.query
    asset_of(call, query.name, Verb.READ)
    version: FoundVersion | None
    if query.alias.lower() == "latest":
        version = (await found(tx, query.name)).latest
    else:
        version = await reads.find_version(tx, query.name, query.alias)
    if version is None:
        await kind_of(tx, query.name)
        raise BadRequest(f"Registered model alias {query.alias[:300]} not found.")
    check_served(version)
    return Reply({"model_version": version_json(version)})


def check_served(version: FoundVersion) -> None:
    """Go on only if a version may be handed out.

    Raises:
        NotServed: it is retired or quarantined.
    """
    if version.barred is not None:
        raise catalog.not_served(f"{version.name} version {version.number}", version.barred, "")


OPERATIONS: list[Operation] = [
    *endpoint("POST", _ALIAS, set_registered_model_alias, Aliased, needs=Verb.ALIAS),
    *endpoint("DELETE", _ALIAS, delete_registered_model_alias, Unaliased, needs=Verb.ALIAS),
    *endpoint("GET", _ALIAS, get_model_version_by_alias, Unaliased),
]
