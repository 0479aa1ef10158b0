"""Assets: the named things under governance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from muniment.client.paging import all_items
from muniment.client.records import Asset, Change, Page
from muniment.client.transport import Transport, api
from muniment.core.names import AssetRef


def asset_path(ref: AssetRef, *more: str | int) -> str:
    """Return the path of an asset, or of something of it."""
    return api("assets", str(ref.namespace), str(ref.name), *more)


class Assets:
    """Calls about assets. `ref` is `[NAMESPACE/]NAME`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, ref: str, *, kind: str, owner: str | None = None, **fields: Any) -> Asset:
        """Add an asset; `fields` are the others of its record, such as `risk_tier`.

        Raises:
            AlreadyExists: there is one of that name.
            BadMetadata: a field is missing or malformed; `problems` lists all.
        """
        at = AssetRef.parse(ref)
        body = {"namespace": str(at.namespace), "name": str(at.name), "kind": kind, **fields}
        if owner is not None:
            body["owner"] = owner
        return self._transport.send("POST", api("assets"), body, Asset)

    def get(self, ref: str, *, as_of: dt.datetime | None = None) -> Asset:
        """One asset, as it is or as it was."""
        params = {"as_of": as_of.isoformat() if as_of else None}
        return self._transport.get(asset_path(AssetRef.parse(ref)), Asset, params)

    def page(
        self,
        filter_: str | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of: dt.datetime | None = None,
    ) -> Page[Asset]:
        """One page of the assets that match."""
        params = {
            "filter": filter_,
            "order_by": order_by,
            "limit": limit,
            "cursor": cursor,
            "as_of": as_of.isoformat() if as_of else None,
        }
        return self._transport.get(api("assets"), Page[Asset], params)

    def search(self, filter_: str | None = None, **options: Any) -> Iterator[Asset]:
        """Every asset that matches, page after page; options as `page`."""
        return all_items(lambda cursor: self.page(filter_, cursor=cursor, **options))

    def edit(self, ref: str, *, revision: int | None = None, **changes: Any) -> Asset:
        """Change description, owner, tags…; the earlier values stay in the history.

        With `revision`, only if it still has that one. A tag set to None is removed.

        Raises:
            StaleRevision: it changed since. Nothing is written.
        """
        path = asset_path(AssetRef.parse(ref))
        return self._transport.send("PATCH", path, changes, Asset, if_match=revision)

    def history(self, ref: str) -> list[Change]:
        """Every act on the asset and its versions, newest first."""
        return list(all_items(self._history_page(AssetRef.parse(ref))))

    def _history_page(self, ref: AssetRef) -> Any:
        path = asset_path(ref, "history")
        return lambda cursor: self._transport.get(path, Page[Change], {"cursor": cursor})
