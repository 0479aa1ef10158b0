"""Renaming and deleting, as MLflow asks for them: nothing is lost by either.

A deleted version or model is retired and hidden from MLflow; its record, number, name and bytes stay,
and are never given again. A renamed model keeps its identity, and its old name.
"""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.errors import NameReserved
from muniment.core.names import AssetName, VersionRef
from muniment.server import lifecycle
from muniment.server.facades.mlflow.routes.dialect import WHY, asset_of, by, endpoint
from muniment.server.facades.mlflow.routes.registered_models import Named, already_there, found
from muniment.server.facades.mlflow.routes.versions import VersionAt, found_version
from muniment.server.facades.mlflow.rules.render import model_json
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_M: Final = "/mlflow/registered-models"


class Renamed(msgspec.Struct):
    """A registered model and what somebody would like it to be called."""

    name: str
    new_name: str


async def rename_registered_model(call: Call, tx: Tx) -> Reply:
    """Call an asset something else; the old name stays reserved for it."""
    body: Renamed = call.body
    ref = asset_of(call, body.name, Verb.RETIRE)
    asset_of(call, body.new_name, Verb.CREATE)
    await found(tx, body.name)
    try:
        await lifecycle.rename(tx, ref, AssetName.parse(body.new_name), WHY, by(call))
    except NameReserved as reserved:
        raise already_there(body.new_name, reserved) from None
    return Reply({"registered_model": model_json(await found(tx, body.new_name))})


async def delete_registered_model(call: Call, tx: Tx) -> Reply:
    """Retire an asset with all its versions, and hide it."""
    body: Named = call.body
    ref = asset_of(call, body.name, Verb.RETIRE)
    await found(tx, body.name)
    await lifecycle.tombstone_asset(tx, ref, WHY, by(call))
    return Reply({})


async def delete_model_version(call: Call, tx: Tx) -> Reply:
    """Retire a version, and hide it."""
    body: VersionAt = call.body
    ref = asset_of(call, body.name, Verb.RETIRE)
    version = await found_version(tx, body.name, body.version)
    await lifecycle.tombstone(tx, VersionRef(ref, version.number), WHY, by(call))
    return Reply({})


OPERATIONS: list[Operation] = [
    *endpoint("POST", f"{_M}/rename", rename_registered_model, Renamed, needs=Verb.RETIRE),
    *endpoint("DELETE", f"{_M}/delete", delete_registered_model, Named, needs=Verb.RETIRE),
    *endpoint(
        "DELETE",
        "/mlflow/model-versions/delete",
        delete_model_version,
        VersionAt,
        needs=Verb.RETIRE,
    ),
]
