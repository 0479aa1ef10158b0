"""Versions: find, read, annotate, compare."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from muniment.client.assets import asset_path
from muniment.client.paging import all_items
from muniment.client.records import Change, Completeness, Page, Version
from muniment.client.transport import Transport, api
from muniment.core.errors import BadReference
from muniment.core.names import Alias, AssetRef, VersionRef


def version_path(version: Version, *more: str) -> str:
    """Return the path of a version, or of something of it."""
    return api("assets", version.namespace, version.name, "versions", version.version, *more)


class Versions:
    """Calls about versions. `ref` is `[NAMESPACE/]NAME@VERSION`, `…@alias` or `…@7`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, ref: str, *, as_of: dt.datetime | None = None) -> Version:
        """One version; an alias is followed to where it points, or pointed at `as_of`.

        Raises:
            NotFound: there is no such version, or the alias points to nothing.
            BadReference: it is no reference of a version, or a composite.
        """
        if ref.startswith("cvi1-"):
            raise BadReference(f"expected a version (NAME@1.2.0), found the composite {ref[:80]}")
        at = VersionRef.parse(ref)
        params = {"as_of": as_of.isoformat() if as_of else None}
        if isinstance(at.at, Alias):
            return self._transport.get(api("resolve"), Version, {**params, "ref": ref})
        return self._transport.get(asset_path(at.asset, "versions", str(at.at)), Version, params)

    def page(
        self,
        filter_: str | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of: dt.datetime | None = None,
    ) -> Page[Version]:
        """One page of the versions that match, over all assets."""
        params = {
            "filter": filter_,
            "order_by": order_by,
            "limit": limit,
            "cursor": cursor,
            "as_of": as_of.isoformat() if as_of else None,
        }
        return self._transport.get(api("versions"), Page[Version], params)

    def search(self, filter_: str | None = None, **options: Any) -> Iterator[Version]:
        """Every version that matches, page after page; options as `page`."""
        return all_items(lambda cursor: self.page(filter_, cursor=cursor, **options))

    def of(self, ref: str) -> Iterator[Version]:
        """Every version of the asset `[NAMESPACE/]NAME`, newest first."""
        path = asset_path(AssetRef.parse(ref), "versions")

        def page_at(cursor: str | None) -> Page[Version]:
            return self._transport.get(path, Page[Version], {"cursor": cursor})

        return all_items(page_at)

    def edit(self, ref: str, *, revision: int | None = None, **changes: Any) -> Version:
        """Change description or tags (a tag set to None is removed); history is kept.

        Raises:
            StaleRevision: `revision` is given and no longer its own. Nothing is written.
        """
        path = version_path(self.get(ref))
        return self._transport.send("PATCH", path, changes, Version, if_match=revision)

    def history(self, ref: str) -> list[Change]:
        """Every act on the version, newest first."""
        path = version_path(self.get(ref), "history")

        def page_at(cursor: str | None) -> Page[Change]:
            return self._transport.get(path, Page[Change], {"cursor": cursor})

        return list(all_items(page_at))

    def completeness(self, version: Version, *, step: str = "candidate") -> Completeness:
        """How much of what `step` needs is there, and what is missing."""
        path = version_path(version, "completeness")
        return self._transport.get(path, Completeness, {"step": step})

    def receipt(self, version: Version, *, wait: dt.timedelta | None = None) -> dict[str, Any]:
        """The receipt of the version's registration, as JSON.

        Raises:
            LogBusy: the log has not included it within `wait`.
        """
        params = {"wait_ms": int(wait.total_seconds() * 1000) if wait else None}
        return self._transport.get(version_path(version, "receipt"), dict[str, Any], params)

    def signing_statement(self, version: Version) -> dict[str, Any]:
        """The OpenSSF Model Signing bundle or statement of the version's files, as JSON."""
        return self._transport.get(version_path(version, "signing-statement"), dict[str, Any])

    def compare(self, left: str, right: str) -> dict[str, Any]:
        """What differs between two versions: metadata, metrics, files, signature."""
        return self._transport.get(api("compare"), dict[str, Any], {"left": left, "right": right})
