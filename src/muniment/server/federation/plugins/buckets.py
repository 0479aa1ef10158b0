"""Buckets as we read them: S3 and what speaks it, and GCS, through obstore."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import obstore
from obstore import exceptions as theirs
from obstore.store import GCSStore, S3Store

from muniment.core.errors import BadRequest, DestinationDown, DestinationRefused, NotFound
from muniment.server.federation.records import RemoteFile
from muniment.server.federation.rules import places
from muniment.server.federation.rules.places import InBucket
from muniment.server.settings import Settings

_PIECE_BYTES: Final = 4 << 20


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the library's errors into ours.

    Raises:
        NotFound: there is no such object or bucket, or it lets us not.
        DestinationDown: anything else.
    """
    try:
        yield
    except (
        theirs.NotFoundError,
        theirs.PermissionDeniedError,
        theirs.UnauthenticatedError,
        FileNotFoundError,
    ) as error:
        raise NotFound(f"the bucket has no {what} for us") from error
    except (theirs.BaseError, OSError, TimeoutError) as error:
        raise DestinationDown(f"the bucket does not answer for {what}") from error


class Bucket:
    """A prefix of a bucket."""

    def __init__(self, place: InBucket, settings: Settings) -> None:
        """Connect to nothing yet; credentials are those of the settings, else the environment's."""
        self._place = place
        self._store = _store(place, settings)

    async def list_files(self) -> list[RemoteFile]:
        """Return every object below the prefix, paths from there on; empty directory marks left out.

        Raises:
            BadRequest: a key is no plain path, or there are too many.
        """
        prefix = f"{self._place.prefix}/" if self._place.prefix else ""
        files: list[RemoteFile] = []
        with _translated(f"objects below {prefix}"):
            async for page in obstore.list(self._store, prefix or None, chunk_size=1000):
                for found in page:
                    key = found["path"]
                    if not key.startswith(prefix) or key.endswith("/"):
                        continue
                    path = places.checked_path(key.removeprefix(prefix))
                    files.append(RemoteFile(path, found["size"], found["e_tag"] or ""))
                if len(files) > places.FILES_MAX:
                    raise BadRequest(f"there are more than {places.FILES_MAX} files at the source")
        return files

    async def read(self, file: RemoteFile, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a listed object, those of its mark.

        Raises:
            NotFound: it is gone. DestinationDown: it was replaced meanwhile.
            DestinationRefused: there are more than `max_bytes`.
        """
        key = f"{self._place.prefix}/{file.path}" if self._place.prefix else file.path
        size_bytes = 0
        options: Any = {"if_match": file.mark} if file.mark else None
        with _translated(f"object {key[-200:]}"):
            found = await obstore.get_async(self._store, key, options=options)
            async for chunk in found.stream(min_chunk_size=_PIECE_BYTES):
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise DestinationRefused(
                        f"the object has more than {max_bytes} bytes; reading stopped there"
                    )
                yield bytes(chunk)


def _store(place: InBucket, settings: Settings) -> S3Store | GCSStore:
    if place.scheme == "gs":
        return GCSStore(place.bucket)
    config: Any = {"region": settings.fetch_region}
    if settings.fetch_endpoint:
        config |= {"endpoint": settings.fetch_endpoint, "virtual_hosted_style_request": False}
    if settings.fetch_access_key:
        config |= {
            "access_key_id": settings.fetch_access_key,
            "secret_access_key": settings.fetch_secret_key,
        }
    options: Any = {
        "allow_http": (settings.fetch_endpoint or "").startswith("http://"),
        "connect_timeout": dt.timedelta(seconds=10),
        "read_timeout": dt.timedelta(seconds=60),
        "timeout": dt.timedelta(hours=6),
    }
    return S3Store(place.bucket, config=config, client_options=options)
