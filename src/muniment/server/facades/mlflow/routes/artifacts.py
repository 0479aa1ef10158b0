"""`mlflow-artifacts/…` and lists of artifacts: bytes in and out through this server.

What is sent is hashed while it is written, once, and kept under its SHA-256 like every blob; the
path names those bytes. `versions/ID/…` are the files of a registered version: read, never written.
"""

from __future__ import annotations

import uuid
from typing import Any, Final
from urllib.parse import quote

import msgspec

from muniment.core.digest import Digest
from muniment.core.errors import BadRequest, NotAllowed, NotFound
from muniment.server import artifacts, catalog, tracking
from muniment.server.artifacts.records import Declared, Format
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.routes.dialect import endpoint, tracking_allowed
from muniment.server.facades.mlflow.routes.logged_models import model_of
from muniment.server.facades.mlflow.routes.runs import run_of
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http import ranges
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Scope, Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import Artifact, Listed

ROOT: Final = "/mlflow-artifacts"
_ONE: Final = f"{ROOT}/artifacts/{{path:path}}"
_VERSIONS: Final = "versions"


class DirectoryAt(msgspec.Struct):
    """Which directory; empty is the root."""

    path: str = ""


class RunDirectory(msgspec.Struct):
    """Which directory of a run."""

    run_id: str = ""
    run_uuid: str = ""
    path: str = ""


class ModelDirectory(msgspec.Struct):
    """Which directory of a logged model."""

    artifact_directory_path: str = ""


async def upload_artifact(call: Call) -> Reply:
    """Keep the body as the artifact at a path."""
    path = writable_path(call, call.path["path"])
    deps, upload_id = call.deps, call.new_id()
    digest, size_bytes = await deps.blobs.keep(
        upload_id, call.stream(), limit=deps.settings.max_file_bytes
    )
    found = await artifacts.format_of(deps.blobs, digest, size_bytes)
    async with deps.db.transaction() as tx:
        await artifacts.open_upload(
            tx, call.caller.id, upload_id=upload_id, now=call.now, ttl=deps.settings.upload_ttl
        )
        await keep_artifact(call, tx, upload_id, Artifact(path, digest, size_bytes), found)
    return Reply("")


def writable_path(call: Call, path: str) -> str:
    """Return `path` if the caller may write an artifact there.

    Raises:
        BadPath: no artifact can lie there.
        NotAllowed, NotFound: the caller may not write, or nobody may: it is a registered version's.
    """
    checked = tracking.check_artifact_path(path)
    _refuse_versions(checked)
    tracking_allowed(call, Verb.REGISTER)
    return checked


async def keep_artifact(
    call: Call, tx: Tx, upload_id: uuid.UUID, artifact: Artifact, found: Format
) -> bool:
    """Let a path name bytes that are held, and close the session they were sent in.

    Returns False if the session was closed already: then nothing is to be committed.
    """
    blob = Declared(artifact.digest, artifact.size_bytes)
    await artifacts.declare(tx, upload_id, [blob])
    noted = await artifacts.hold_blob(tx, call.deps.blobs, upload_id, blob, found, now=call.now)
    await artifacts.abandon_upload(tx, upload_id)
    await tracking.put_artifact(tx, artifact, principal_id=call.caller.id, now=call.now)
    return noted


def _refuse_versions(path: str) -> None:
    if path.split("/", 1)[0] == _VERSIONS:
        raise NotAllowed("the files of registered versions never change; register a new version")


async def download_artifact(call: Call) -> Reply:
    """Send the artifact at a path, or a range of it; always as a download."""
    path = tracking.check_artifact_path(call.path["path"])
    async with call.deps.db.transaction(read_only=True) as tx:
        if path.split("/", 1)[0] == _VERSIONS:
            found = await _of_version(call, tx, path)
        else:
            tracking_allowed(call, Verb.READ)
            found = await tracking.find_artifact(tx, path)
    if found is None:
        raise NotFound(f"No such artifact: '{path[:300]}'")
    selected = ranges.select(
        found.size_bytes,
        etag=f'"{found.digest}"',
        range_header=call.headers.get("range"),
        if_range=call.headers.get("if-range"),
    )
    filename = quote(path.rsplit("/", 1)[-1], safe="")
    headers = {
        **selected.headers,
        "Content-Type": "application/octet-stream",  # whatever was sent: a browser shows nothing
        "Content-Disposition": f"attachment; filename*=UTF-8''{filename}",
    }
    local = await call.deps.blobs.local_path(found.digest)
    if local is not None:
        span = (selected.start, selected.end)
        return Reply(file=local, span=span, status=selected.status, headers=headers)
    chunks = call.deps.blobs.read(found.digest, selected.start, selected.end)
    return Reply(chunks=chunks, status=selected.status, headers=headers)


async def _of_version(call: Call, tx: Tx, path: str) -> Artifact | None:
    inside = path.split("/", 2)[2:]
    files = await _version_files(call, tx, path)
    return next((one for one in files if [one.path] == inside), None)


async def _version_files(call: Call, tx: Tx, path: str) -> list[Artifact]:
    """Return the files of the version that `versions/ID…` names.

    Raises:
        NotFound: there is none, or the caller may not read it.
    """
    parts = path.split("/", 2)
    try:
        found = await reads.find_bytes(tx, uuid.UUID(parts[1] if len(parts) > 1 else ""))
    except ValueError:
        found = None
    if found is None:
        raise NotFound(f"No such artifact: '{path[:300]}'")
    call.require(Verb.READ, Scope(found.namespace, found.name))
    if found.barred is not None:
        raise catalog.not_served(f"a version of {found.name}", found.barred, "")
    manifest = await artifacts.get_manifest(tx, Digest(found.manifest_digest))
    return [Artifact(file.path, file.digest, file.size_bytes) for file in manifest.files]


async def list_artifacts(call: Call, tx: Tx) -> Reply:
    """List a directory; a file or a directory that is not there lists as nothing."""
    path = call.query.path.strip("/")
    if path:
        tracking.check_artifact_path(path)
    if path.split("/", 1)[0] == _VERSIONS:
        files = await _version_files(call, tx, path)
        shown = tracking.listed(files, "/".join(path.split("/", 2)[2:]))
    else:
        tracking_allowed(call, Verb.READ)
        if not path:
            raise BadRequest("Invalid path: name a directory below the artifact root")
        shown = tracking.listed(await tracking.artifacts_under(tx, path), path)
    return Reply(given(files=[_file(one, "") for one in shown]))


def _file(one: Listed, below: str) -> dict[str, Any]:
    path = f"{below}/{one.name}" if below else one.name
    return given(path=path, is_dir=one.size_bytes is None, file_size=one.size_bytes)


async def delete_artifact(call: Call) -> Reply:
    """Refuse: what was sent may be part of a version, and the path can be written again."""
    path = tracking.check_artifact_path(call.path["path"])
    tracking_allowed(call, Verb.REGISTER)
    _refuse_versions(path)
    raise NotAllowed(
        "artifacts are not deleted here: their bytes may be those of a registered version"
    )


async def list_run_artifacts(call: Call, tx: Tx) -> Reply:
    """List a directory of a run's artifacts, paths from the run's root on."""
    tracking_allowed(call, Verb.READ)
    run = await run_of(tx, call.query)
    root = tracking.run_root(run.experiment_id, run.id)
    return Reply(await _listing(tx, root, call.query.path))


async def list_model_artifacts(call: Call, tx: Tx) -> Reply:
    """List a directory of a logged model's artifacts, paths from the model's root on."""
    tracking_allowed(call, Verb.READ)
    model = await model_of(call, tx)
    root = tracking.model_root(model.experiment_id, model.id)
    return Reply(await _listing(tx, root, call.query.artifact_directory_path))


async def _listing(tx: Tx, root: str, path: str) -> dict[str, Any]:
    below = path.strip("/")
    directory = tracking.check_artifact_path(f"{root}/{below}" if below else root)
    shown = tracking.listed(await tracking.artifacts_under(tx, directory), directory)
    return given(root_uri=f"mlflow-artifacts:/{root}", files=[_file(one, below) for one in shown])


async def refuse_presigned(call: Call) -> Reply:
    """Refuse to give out addresses of the store, in the way clients fall back from.

    Downloads go through this server, which reads by ranges and serves nothing that was retired
    since: an address that is good by itself would outlive that, and save nobody a copy.
    """
    tracking_allowed(call, call.operation.needs)
    return not_implemented("Presigned URL")


def not_implemented(what: str) -> Reply:
    """Return the answer that has clients do without `what`."""
    body = {
        "error_code": "NOT_IMPLEMENTED",
        "message": f"{what} is not supported for the current artifact repository",
    }
    return Reply(body, status=501)


OPERATIONS: list[Operation] = [
    *(
        operation
        for method, handler, needs in (
            ("PUT", upload_artifact, Verb.REGISTER),
            ("GET", download_artifact, Verb.READ),
            ("DELETE", delete_artifact, Verb.REGISTER),
        )
        for operation in endpoint(method, _ONE, handler, needs=needs, tx=TxMode.NONE)
    ),
    *endpoint("GET", f"{ROOT}/artifacts", list_artifacts, DirectoryAt),
    *endpoint("GET", f"{ROOT}/presigned/{{path:path}}", refuse_presigned, tx=TxMode.NONE),
    *endpoint(
        "POST",
        "/mlflow/artifacts/presigned-upload-url",
        refuse_presigned,
        needs=Verb.REGISTER,
        tx=TxMode.NONE,
    ),
    *endpoint("POST", "/mlflow/artifacts/presigned-download-url", refuse_presigned, tx=TxMode.NONE),
    *endpoint("GET", "/mlflow/artifacts/list", list_run_artifacts, RunDirectory),
    *endpoint(
        "GET",
        "/mlflow/logged-models/{model_id}/artifacts/directories",
        list_model_artifacts,
        ModelDirectory,
    ),
]
