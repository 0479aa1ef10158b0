"""Aliases: names that point to a version and may be moved, with history."""

from __future__ import annotations

import datetime as dt

from muniment.client.assets import asset_path
from muniment.client.paging import all_items
from muniment.client.records import Alias, Change, Page, Version
from muniment.client.transport import Transport
from muniment.core.names import AssetRef


class Aliases:
    """Calls about aliases. `ref` is `[NAMESPACE/]NAME` of the asset."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def set(self, ref: str, alias: str, version: str, *, reason: str | None = None) -> Alias:
        """Point `alias` at `version` (SemVer or number); the move is in the history."""
        return self._put(ref, alias, {"version": version, "reason": reason})

    def unset(self, ref: str, alias: str, *, reason: str | None = None) -> None:
        """Point `alias` at nothing; its history stays."""
        path = asset_path(AssetRef.parse(ref), "aliases", alias)
        self._transport.send("PUT", path, {"version": None, "reason": reason})

    def get(self, ref: str, alias: str, *, as_of: dt.datetime | None = None) -> Version:
        """Return the version `alias` points to, or pointed to at `as_of`.

        Raises:
            NotFound: it pointed to nothing.
        """
        path = asset_path(AssetRef.parse(ref), "aliases", alias)
        params = {"as_of": as_of.isoformat() if as_of else None}
        return self._transport.get(path, Version, params)

    def list_(self, ref: str) -> list[Alias]:
        """Every alias of the asset."""
        path = asset_path(AssetRef.parse(ref), "aliases")
        return self._transport.get(path, Page[Alias]).items

    def history(self, ref: str, alias: str) -> list[Change]:
        """Every move of `alias`, newest first."""
        path = asset_path(AssetRef.parse(ref), "aliases", alias, "history")

        def page_at(cursor: str | None) -> Page[Change]:
            return self._transport.get(path, Page[Change], {"cursor": cursor})

        return list(all_items(page_at))

    def _put(self, ref: str, alias: str, body: dict[str, str | None]) -> Alias:
        path = asset_path(AssetRef.parse(ref), "aliases", alias)
        return self._transport.send("PUT", path, body, Alias)
