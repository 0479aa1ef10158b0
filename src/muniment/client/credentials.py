"""Which registry to talk to, and with which token.

In this order: arguments, `MUNIMENT_URL` and `MUNIMENT_TOKEN`, the credentials file. The file holds
one token per registry and names the default one; it must be readable by its owner only.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from muniment.client import places
from muniment.core.errors import BadRequest, NotAuthenticated

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Credentials(NamedTuple):
    """A registry and what opens it; `token` is None when none is known for `url`."""

    url: str
    token: str | None


def path() -> Path:
    """Where the credentials file is, whether it exists or not."""
    return places.config_home() / "credentials.json"


def clean_url(url: str) -> str:
    """Return `url` without a trailing slash.

    Raises:
        BadRequest: it is not an `http://` or `https://` address.
    """
    if not url.startswith(("http://", "https://")):
        msg = f"expected an address such as `https://registry.example`, found `{url}`"
        raise BadRequest(msg)
    return url.rstrip("/")


def find(url: str | None = None, token: str | None = None) -> Credentials:
    """Say which registry and token to use.

    Raises:
        NotAuthenticated: no registry is named anywhere.
        BadRequest: the address or the credentials file cannot be used.
    """
    url = url or os.environ.get("MUNIMENT_URL")
    token = token or os.environ.get("MUNIMENT_TOKEN")
    if url and token:
        return Credentials(clean_url(url), token)
    saved = load()
    url = url or saved.get("default")
    if not url:
        msg = (
            "no registry is known: run `muniment login URL`, or set `MUNIMENT_URL` and"
            " `MUNIMENT_TOKEN`"
        )
        raise NotAuthenticated(msg)
    url = clean_url(url)
    return Credentials(url, token or saved["servers"].get(url, {}).get("token"))


def load() -> dict[str, Any]:
    """Read the file: `{"default": url | None, "servers": {url: {"token": …}}}`.

    Raises:
        BadRequest: others may read it, or it is not what `save` writes.
    """
    empty: dict[str, Any] = {"default": None, "servers": {}}
    try:
        descriptor = os.open(path(), os.O_RDONLY)
    except FileNotFoundError:
        return empty
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if os.name == "posix" and os.fstat(descriptor).st_mode & _OTHERS:
            msg = f"`{path()}` can be read by others; run `chmod 600 {path()}`"
            raise BadRequest(msg)
        try:
            saved = json.load(file)
        except ValueError as error:
            msg = f"`{path()}` is not JSON ({error}); remove it and run `muniment login` again"
            raise BadRequest(msg) from error
    if not isinstance(saved, dict) or not isinstance(saved.get("servers"), dict):
        msg = f"`{path()}` does not list servers; remove it and run `muniment login` again"
        raise BadRequest(msg)
    return {**empty, **saved}


def save(url: str, token: str, *, default: bool = True) -> Path:
    """Keep `token` for `url`, replacing an older one; with `default`, use `url` from now on.

    A first registry becomes the default in any case. Returns the file's path.

    Raises:
        BadRequest: the address or the existing file cannot be used. Nothing is written.
    """
    url = clean_url(url)
    saved = load()
    saved["servers"][url] = {"token": token}
    if default or not saved["default"]:
        saved["default"] = url
    places.write_private(path(), saved)
    return path()
