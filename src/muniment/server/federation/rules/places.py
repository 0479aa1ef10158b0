"""Where bytes lie elsewhere, and what of a listing from there is believed: nothing about paths.

1. `s3://BUCKET/PREFIX` and `gs://…` is a place in a bucket, if an operator allowed that bucket.
2. `mlflow-artifacts:/PATH` is below the artifact root of the tracking server an operator configured;
   `http(s)://HOST/api/2.0/mlflow-artifacts/artifacts/PATH` below that of HOST.
3. Everything else (`file:`, local paths, other schemes) is refused: nothing of this machine is read.
4. A listing names entries of one directory. A name that is a path, goes up, or would after
   decoding ends the fetch.

Source: CVE-2023-6831, CVE-2023-6977, CVE-2024-3848, CVE-2024-8859 (files through `source`); CVE-2023-6018,
CVE-2024-0520 (paths in listings of a foreign server).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from muniment.core.errors import BadRequest
from muniment.server.federation.records import Entry, RemoteFile
from muniment.server.tracking import check_artifact_path

PROXY: Final = "/api/2.0/mlflow-artifacts/artifacts/"
FILES_MAX: Final = 100_000
DEPTH_MAX: Final = 32
_BUCKET: Final = re.compile(
    r"(?:s3|gs)://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*))?", re.DOTALL
)
_ROOTED: Final = re.compile(r"mlflow-artifacts:/(?!/)(.+)", re.DOTALL)
_HOSTED: Final = re.compile(r"mlflow-artifacts://([^/]+)/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InBucket:
    """A prefix of a bucket."""

    scheme: str
    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class OnServer:
    """A directory below the artifact root of a server; `base_url` None is the tracking server."""

    base_url: str | None
    path: str


Place = InBucket | OnServer


def parse_place(text: str, *, server_url: str | None) -> Place:
    """Read where bytes lie; `server_url` is the tracking server's address, if there is one.

    Raises:
        BadRequest: it is nowhere we read from.
        BadPath: its path goes up, or is none.
    """
    if matched := _BUCKET.fullmatch(text):
        prefix = (matched[2] or "").strip("/")
        if prefix:
            check_artifact_path(prefix)
        return InBucket(text.partition(":")[0], matched[1], prefix)
    if matched := _ROOTED.fullmatch(text):
        return OnServer(None, check_artifact_path(unquote(matched[1]).strip("/")))
    if matched := _HOSTED.fullmatch(text):
        if server_url is None or urlsplit(server_url).netloc != matched[1]:
            raise elsewhere(text, f"{matched[1][:100]} is not the tracking server")
        return OnServer(None, check_artifact_path(unquote(matched[2]).strip("/")))
    if text.startswith(("http://", "https://")):
        base, found, path = text.partition(PROXY)
        if not found or "?" in text or "#" in text:
            raise elsewhere(text, f"an http source ends in {PROXY}PATH")
        path = check_artifact_path(unquote(path).strip("/"))
        ours = server_url is not None and base.rstrip("/") == server_url.rstrip("/")
        return OnServer(None if ours else base, path)
    raise elsewhere(text, "local paths and other schemes are never read")


def inside(place: Place, path: str) -> Place:
    """Return the place at `path` below another; empty is the place itself.

    Raises:
        BadPath: it goes up, or is none.
    """
    if not path:
        return place
    if isinstance(place, InBucket):
        joined = check_artifact_path(f"{place.prefix}/{path}" if place.prefix else path)
        return replace(place, prefix=joined)
    return replace(place, path=check_artifact_path(f"{place.path}/{path}"))


def is_within(place: Place, root: Place) -> bool:
    """Say whether a place is another one, or below it."""
    if isinstance(place, InBucket) and isinstance(root, InBucket):
        same = (place.scheme, place.bucket) == (root.scheme, root.bucket)
        return same and f"{place.prefix}/".startswith(f"{root.prefix}/" if root.prefix else "")
    if isinstance(place, OnServer) and isinstance(root, OnServer):
        same = place.base_url == root.base_url
        return same and f"{place.path}/".startswith(f"{root.path}/")
    return False


def is_tracked(place: Place) -> bool:
    """Say whether a place is on the tracking server, which knows whose it is."""
    return isinstance(place, OnServer) and place.base_url is None


def elsewhere(text: str, why: str) -> BadRequest:
    """Return the refusal of a source."""
    return BadRequest(
        f"Invalid model version source: {text[:200]!a} cannot be fetched: {why}. This registry"
        " fetches from the tracking server, hosts and buckets that an administrator configured"
        " (MUNIMENT_MLFLOW_URL, MUNIMENT_FETCH_HOSTS, MUNIMENT_FETCH_BUCKETS)"
    )


def check_bucket(place: InBucket, allowed: Sequence[str]) -> None:
    """Go on only if an operator allowed the place: its bucket, or a prefix of it.

    Raises:
        BadRequest: nobody did.
    """
    wanted = f"{place.scheme}://{place.bucket}/{place.prefix}/"
    if not any(wanted.startswith(each.rstrip("/") + "/") for each in allowed):
        shown = f"{place.scheme}://{place.bucket}/{place.prefix}"
        raise elsewhere(shown, "that bucket is not in MUNIMENT_FETCH_BUCKETS")


def below(directory: str, entry: Entry) -> str:
    """Return the path of an entry of `directory` (empty: the place itself).

    Raises:
        BadRequest: its name is not that of an entry, or it lies too deep.
    """
    if "/" in entry.name or not entry.name:
        raise _hostile(entry.name)
    path = f"{directory}/{entry.name}" if directory else entry.name
    return checked_path(path)


def checked_path(path: str) -> str:
    """Return a path that another side told, below its place.

    Raises:
        BadRequest: it goes up, is absolute, or lies too deep, as it is or decoded.
    """
    try:
        check_artifact_path(path)
    except BadRequest:
        raise _hostile(path) from None
    if path.count("/") >= DEPTH_MAX:
        raise BadRequest(f"the other server's listing is more than {DEPTH_MAX} directories deep")
    return path


def _hostile(name: str) -> BadRequest:
    return BadRequest(
        f"the other server lists {name[:120]!a}, which is no plain path; nothing is taken"
    )


def checked_listing(files: Sequence[RemoteFile], *, max_bytes: int) -> list[RemoteFile]:
    """Return what another side lists, by path.

    Raises:
        BadRequest: nothing, too many, too much, or one path twice.
    """
    if not files:
        raise BadRequest("there are no files at the source")
    if len(files) > FILES_MAX:
        raise BadRequest(f"there are more than {FILES_MAX} files at the source")
    if len({one.path for one in files}) < len(files):
        raise BadRequest("the other server lists one path twice; nothing is taken")
    if sum(one.size_bytes or 0 for one in files) > max_bytes:
        raise BadRequest(f"there are more than {max_bytes} bytes at the source")
    return sorted(files, key=lambda one: one.path)
