"""Artifacts: register the files of a version, and bring them back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from muniment.client import manifests, metadata
from muniment.client.assets import asset_path
from muniment.client.download import Download
from muniment.client.files import Artifact, find_files, sources_of
from muniment.client.manifests import ManifestFile
from muniment.client.metadata import Metadata
from muniment.client.principals import Principals
from muniment.client.progress import OnProgress
from muniment.client.records import Registered, Version
from muniment.client.sessions import Memory, open_session
from muniment.client.transport import Transport
from muniment.client.upload import Upload, hash_all
from muniment.client.versions import Versions, version_path
from muniment.core.digest import Digest
from muniment.core.names import AssetRef, SemVer

#: Fields of an asset that metadata may carry; used when the asset is made on the fly.
ASSET_FIELDS = ("kind", "owner", "backup_owner", "escalation_contact", "risk_tier")
_OPTIONS = frozenset({"tags", "description", "require", "dry_run"})


class Artifacts:
    """Calls that move files."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def register(
        self,
        ref: str,
        *,
        version: str,
        artifact: Artifact | None = None,
        metadata: Metadata | None = None,
        kind: str | None = None,
        owner: str | None = None,
        on_progress: OnProgress | None = None,
        **more: Any,
    ) -> Registered:
        """Send what the registry lacks of `artifact` and register it as `ref`@`version`.

        A prompt may have no files at all: its text is in the metadata.

        With `kind` (as argument or in `metadata`), an asset that does not exist is made, owned by
        `owner` or else the caller. Others:
        `tags` (mapping), `description`, `require` (a lifecycle step whose fields must be there),
        `dry_run` (check everything, send and write nothing). May be repeated: the same bytes
        under the same version give the same answer; what was sent before is not sent again.

        Raises:
            BadPath: a symbolic link, or a path an artifact cannot have. Nothing is sent.
            BadMetadata: fields are missing or malformed, all listed. No version is written.
            VersionConflict: the version exists with other bytes. Nothing is written.
            DigestMismatch: a file changed meanwhile. No version is written.
            TypeError: an option is none of these. Nothing is sent.
        """
        _check_options(more)
        at = AssetRef.parse(ref)
        wanted = SemVer.parse(version)
        body = _body(wanted, _load(metadata), kind=kind, owner=owner, more=more)
        if "create_asset" in body and "owner" not in body["create_asset"]:
            body["create_asset"]["owner"] = Principals(self._transport).whoami().name
        files = find_files(artifact) if artifact is not None else []
        memory = Memory(self._transport.url, f"{at}@{wanted}", sources_of(artifact or []))
        if more.get("dry_run"):
            digests = hash_all(files, on_progress)
        else:
            scope = {"namespace": str(at.namespace), "name": str(at.name)}
            session = open_session(self._transport, memory, scope)
            digests = Upload(self._transport, session, on_progress).run(files)
            body["upload_id"] = session.id
        body["files"] = [
            {"path": file.path, "sha256": digests[file.path].hex, "size_bytes": file.size_bytes}
            for file in files
        ]
        registered = self._transport.send(
            "POST", asset_path(at, "versions"), body, Registered, key=_key(at, body)
        )
        if not more.get("dry_run"):
            memory.forget()
        return registered

    def manifest(self, version: Version) -> list[ManifestFile]:
        """Return the files of a version, sorted by path, checked against its manifest digest.

        Raises:
            DigestMismatch: the registry shows another manifest than was registered.
        """
        value = self._transport.get(version_path(version, "manifest"), dict[str, Any])
        return manifests.read_manifest(value, Digest.parse(version.manifest_digest))

    def download(
        self,
        ref: str,
        into: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> list[Path]:
        """Have every file of `ref` below `into`, each byte checked; return their paths in order.

        Files already there with the same bytes are kept; interrupted ones go on. Nothing is
        written outside `into`, whatever the manifest says.

        Raises:
            BadPath: the manifest names a path that must not be written, or something is in the way.
            DigestMismatch: bytes are not those registered. That file is not written.
        """
        version = Versions(self._transport).get(ref)
        files = self.manifest(version)
        return Download(self._transport, version, on_progress).run(files, Path(into))


def _check_options(more: Mapping[str, Any]) -> None:
    """Refuse what would be dropped: a risk tier that is not kept is worse than none."""
    unknown = sorted(set(more) - _OPTIONS)
    if not unknown:
        return
    hints = []
    for name in unknown:
        if name in ASSET_FIELDS:
            hints.append(
                f"`{name}` is the asset's: put it into `metadata`, where it counts if the asset is made by"
                f" this, or set it with `client.assets.edit(ref, {name}=…)`"
            )
        else:
            hints.append(f"`{name}`: a field of the version goes into `metadata`")
    known = ", ".join(
        sorted({"version", "artifact", "metadata", "kind", "owner", "on_progress"} | _OPTIONS)
    )
    raise TypeError(
        f"register() takes no {', '.join(unknown)}; {'; '.join(hints)}. Its options are {known}"
    )


def _load(given: Metadata | None) -> dict[str, Any]:
    return metadata.load(given)


def _body(
    version: SemVer,
    given: dict[str, Any],
    *,
    kind: str | None,
    owner: str | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of a registration without its files.

    A metadata file may also say what is not metadata of the version: what the asset is, should it
    have to be made, and the version's description and tags. Arguments go before the file.
    """
    fields = dict(given)
    asset = {name: fields.pop(name) for name in ASSET_FIELDS if name in fields}
    said: dict[str, Any] = {
        name: fields.pop(name) for name in ("description", "tags") if name in fields
    }
    body: dict[str, Any] = {"version": str(version), "metadata": fields}
    for name in ("tags", "description", "require"):
        value = more.get(name) or said.get(name)
        if value:
            body[name] = value
    if more.get("dry_run"):
        body["dry_run"] = True
    asset.update({name: each for name, each in (("kind", kind), ("owner", owner)) if each})
    if "kind" in asset:
        body["create_asset"] = asset
    return body


def _key(ref: AssetRef, body: Mapping[str, Any]) -> str:
    """Return an Idempotency-Key that a re-run of the same registration has again."""
    return hashlib.sha256(msgspec.json.encode([str(ref), body])).hexdigest()
