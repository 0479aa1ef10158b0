"""All places this registry may fetch from, as the settings have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, Self
from urllib.parse import urlsplit

from muniment.core.errors import BadRequest
from muniment.server.federation.plugins.mlflow import Login, MlflowServer
from muniment.server.federation.records import RemoteFile
from muniment.server.federation.rules import places
from muniment.server.federation.rules.places import InBucket, OnServer, Place
from muniment.server.ports.outbound import Outbound, Reach
from muniment.server.settings import Settings


class Files(Protocol):
    """The files of one place."""

    async def list_files(self) -> list[RemoteFile]:
        """Return every file, paths from the place on."""
        ...

    def read(self, file: RemoteFile, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a listed file."""
        ...


def reach_of(settings: Settings) -> Reach:
    """Return whom fetches may call: hosts of the list, and the tracking server, wherever it is."""
    private = list(settings.outbound_private)
    if settings.mlflow_url is not None:
        at = urlsplit(settings.mlflow_url)
        host = f"[{at.hostname}]" if ":" in (at.hostname or "") else at.hostname
        port = at.port or (443 if at.scheme == "https" else 80)
        private.append(f"{host}:{port}")
    return Reach(hosts=settings.fetch_hosts, private=private)


def check_source(text: str, settings: Settings) -> Place:
    """Return where a source is, if this registry may fetch from there; nothing is sent to find out.

    Raises:
        BadRequest: it may not, or it is nowhere (`file:`, a local path).
        DestinationRefused: its host is private, or not among those allowed.
    """
    place = places.parse_place(text, server_url=settings.mlflow_url)
    if isinstance(place, InBucket):
        places.check_bucket(place, settings.fetch_buckets)
    elif place.base_url is not None:
        reach_of(settings).check(place.base_url)
    elif settings.mlflow_url is None:
        raise places.elsewhere(text, "no tracking server is configured")
    return place


class Elsewhere:
    """The places and servers of one fetch. Close it, or use it in a block."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._outbound = Outbound(reach_of(settings))

    @property
    def tracking(self) -> MlflowServer:
        """The tracking server.

        Raises:
            BadRequest: none is configured.
        """
        if self._settings.mlflow_url is None:
            raise BadRequest(
                "runs are tracked elsewhere, and this registry does not know where: an"
                " administrator sets MUNIMENT_MLFLOW_URL"
            )
        settings = self._settings
        login = Login(settings.mlflow_token, settings.mlflow_user, settings.mlflow_password)
        return MlflowServer(self._outbound, self._settings.mlflow_url, login)

    def files_at(self, place: Place) -> Files:
        """Return the files of a place.

        Raises:
            BadRequest: nobody allowed that bucket, or no tracking server is configured.
        """
        if isinstance(place, OnServer):
            if place.base_url is None:
                return _OnServer(self.tracking, place.path)
            server = MlflowServer(self._outbound, place.base_url, Login())
            return _OnServer(server, place.path)
        places.check_bucket(place, self._settings.fetch_buckets)
        # obstore is only loaded where a bucket is read.
        from muniment.server.federation.plugins.buckets import Bucket  # noqa: PLC0415

        return Bucket(place, self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._outbound.close()


class _OnServer:
    """A directory of a server's artifacts."""

    def __init__(self, server: MlflowServer, root: str) -> None:
        self._server, self._root = server, root

    async def list_files(self) -> list[RemoteFile]:
        """Return every file, paths from the directory on."""
        return await self._server.list_files(self._root)

    def read(self, file: RemoteFile, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a listed file."""
        return self._server.read(f"{self._root}/{file.path}", max_bytes=max_bytes)
