"""Registering files sent to us by digest, as MLflow numbers and describes versions.

For `muniment.client.mlflow_plugin`: runs may be tracked anywhere, the bytes come through an upload
session. The version is the one MLflow's own `model-versions/create` would have made of them.
"""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadDigest,
    BadManifest,
    BadMetadata,
    BadName,
    NotFound,
    UploadConflict,
)
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server import artifacts, catalog
from muniment.server.artifacts.records import File
from muniment.server.catalog.records import VersionState
from muniment.server.facades.mlflow import actions
from muniment.server.facades.mlflow.routes.dialect import by
from muniment.server.facades.mlflow.rules.mlmodel import MLMODEL
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import visible_scopes
from muniment.server.ports.db import Tx

Text = Annotated[str, msgspec.Meta(max_length=2000)]


class UploadedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: relative path with `/`, SHA-256 in hex, size."""

    path: str
    sha256: Annotated[str, msgspec.Meta(max_length=80)]
    size_bytes: Annotated[int, msgspec.Meta(le=2**53 - 1)]


class UploadedBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files sent in the session `upload_id`, or held already, and where MLflow had them.

    `source`, `run_id` and `model_id` are recorded as they are said: the run is kept at
    `tracking_uri`, not here. `params` are its parameters.
    """

    upload_id: uuid.UUID
    files: list[UploadedFile]
    source: Text
    run_id: Text = ""
    model_id: Text = ""
    run_link: Text = ""
    tracking_uri: Text = ""
    params: dict[str, str] = {}
    description: str = ""
    tags: dict[str, str] = {}


async def register_uploaded(call: Call, tx: Tx) -> Reply:
    """Register the files as the asset's next version; what `MLmodel` says becomes its metadata."""
    body: UploadedBody = call.body
    wanted = actions.Wanted(
        asset=AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"])),
        source=body.source,
        run_id=body.run_id,
        model_id=body.model_id,
        run_link=body.run_link,
        tracking_uri=body.tracking_uri,
        state=VersionState(description=body.description, tags=body.tags),
    )
    reach = artifacts.Reach(
        call.caller.id, call.now, visible_scopes(call.caller.grants), body.upload_id
    )
    origin = actions.Origin(_files(body), params=body.params, reach=reach)
    described = await _only_described(tx, origin, reach)
    metadata = await actions.metadata_of(call.deps.blobs, wanted, described)
    asset = await catalog.lock_asset(tx, wanted.asset)
    version = await actions.register(tx, call.deps, by(call), asset, wanted, origin, metadata)
    return Reply(catalog.version_body(version))


def _files(body: UploadedBody) -> list[File]:
    found, problems = [], []
    for index, one in enumerate(body.files):
        try:
            found.append(File(one.path, one.size_bytes, Digest.parse(one.sha256)))
        except BadDigest as error:
            problems.append({"field": f"files[{index}].sha256", "message": error.message})
    if problems:
        raise BadManifest(f"{problems[0]['field']}: {problems[0]['message']}", problems=problems)
    return found


async def _only_described(tx: Tx, origin: actions.Origin, reach: artifacts.Reach) -> actions.Origin:
    """Return an origin of the `MLmodel` file alone, with the size it has, if the caller may use it.

    Knowing its digest gives nothing, and a size that was only said is not read up to.
    """
    digests = [one.digest for one in origin.files if one.path == MLMODEL]
    usable = await artifacts.usable_blobs(tx, digests, reach) if digests else {}
    files = [File(MLMODEL, one.size_bytes, digest) for digest, one in usable.items()]
    return actions.Origin(files, params=origin.params, beside=origin.files)


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/assets/{namespace}/{name}/mlflow-versions",
        id="register_mlflow_version",
        summary="Register files as the next version, described by their MLmodel file",
        handler=register_uploaded,
        needs=Verb.REGISTER,
        tx=TxMode.WRITE,
        body=UploadedBody,
        returns=catalog.VersionBody,
        status=201,
        errors=(NotFound, BadName, BadManifest, BadMetadata, UploadConflict),
        tag="versions",
    ),
]
