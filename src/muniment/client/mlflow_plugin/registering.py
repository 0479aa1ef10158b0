"""Files of a model into the registry, as the next version of a registered model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muniment.client.assets import asset_path
from muniment.client.client import Client
from muniment.client.files import LocalFile, find_files
from muniment.client.progress import OnProgress
from muniment.client.records import Version
from muniment.client.sessions import Memory, open_session
from muniment.client.upload import Upload
from muniment.core.names import NAMESPACE_DEFAULT, AssetName, AssetRef, Namespace

#: What MLflow leaves in a directory it downloaded: whose copy it is, no part of the model.
_LEFT_BY_DOWNLOADS = "registered_model_meta"


def register(
    client: Client,
    name: str,
    directory: Path,
    said: Mapping[str, Any],
    on_progress: OnProgress | None = None,
) -> Version:
    """Send what the registry lacks of `directory` and register it as the next version of `name`.

    `said` is the body of the registration without its files: source, run, tags. Goes on where an
    upload of the same source for the same model was broken off; each call makes a version.

    Raises:
        BadPath: a symbolic link, or a path an artifact cannot have. Nothing is sent.
        DigestMismatch: a file changed meanwhile. No version is written.
        MunimentError: what the registry refused. What was sent stays in the session.
    """
    asset = AssetRef(Namespace(NAMESPACE_DEFAULT), AssetName.parse(name))
    files = [file for file in find_files(directory) if file.path != _LEFT_BY_DOWNLOADS]
    memory = Memory(client.url, f"{asset} from {said['source']}", [])
    scope = {"namespace": str(asset.namespace), "name": str(asset.name)}
    session = open_session(client.transport, memory, scope)
    digests = Upload(client.transport, session, on_progress).run(files)
    listed = [_listed(file, digests[file.path].hex) for file in files]
    body = {**said, "upload_id": session.id, "files": listed}
    path = asset_path(asset, "mlflow-versions")
    version = client.transport.send("POST", path, body, Version)
    memory.forget()
    return version


def _listed(file: LocalFile, sha256: str) -> dict[str, Any]:
    return {"path": file.path, "sha256": sha256, "size_bytes": file.size_bytes}
