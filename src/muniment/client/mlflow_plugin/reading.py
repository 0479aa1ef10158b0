"""A registered version, or a file or directory of it, as `artifacts` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from muniment.client.client import Client
from muniment.client.download import Download
from muniment.client.manifests import ManifestFile
from muniment.client.mlflow_plugin.addresses import parse_version_address
from muniment.client.mlflow_plugin.errors import in_mlflows_terms
from muniment.client.mlflow_plugin.opening import opened, watched
from muniment.client.records import Version
from muniment.core.errors import NotFound


class Reading:
    """The files of `version` at and below `path` (empty: all of them)."""

    def __init__(
        self, client: Client, version: Version, files: Sequence[ManifestFile], path: str
    ) -> None:
        self._client, self._version, self._path = client, version, path
        self._single = [file for file in files if file.path == path]
        above = f"{path}/" if path else ""
        self._below = [file for file in files if file.path.startswith(above)]

    def listed(self) -> list[tuple[str, int | None]]:
        """Return what lies directly in the directory: names, with the size in bytes of files."""
        found: dict[str, int | None] = {}
        for file in self._below:
            name, slash, _ = self._inside(file).partition("/")
            found[name] = None if slash else file.size_bytes
        return sorted(found.items())

    def download(self, to: Path) -> None:
        """Have the file at `to`, or the directory's files below it, every byte checked.

        Raises:
            NotFound: the version has no such file or directory.
            DigestMismatch: the bytes are not those registered. That file is not there.
        """
        files = self._single or self._below
        if not files:
            raise NotFound(f"`{self._version.name}` has no file `{self._path}` in this version")
        into = to.parent if self._single else to
        names = [self._inside(file) or to.name for file in files]
        with watched() as on_progress:
            Download(self._client.transport, self._version, on_progress).run(
                files, into, names=names
            )

    def _inside(self, file: ManifestFile) -> str:
        return file.path[len(self._path) :].lstrip("/")


@contextmanager
def opened_version(address: str, below: str) -> Iterator[Reading]:
    """Give what lies at `below` of the version at `address`; its manifest is checked first."""
    with in_mlflows_terms():
        at = parse_version_address(address, below)
    with opened(at.url) as client:
        version = client.get(at.ref)
        yield Reading(client, version, client.artifacts.manifest(version), at.path)
