"""Registrations whose bytes the registry fetches from elsewhere."""

from __future__ import annotations

from muniment.client.paging import all_items
from muniment.client.records import Fetch, Page
from muniment.client.transport import Transport, api


class Fetches:
    """Calls about fetches."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list_(self, *, asset: str | None = None, state: str | None = None) -> list[Fetch]:
        """Every fetch that is `pending`, `registered` or `failed`, newest first."""

        def page_at(cursor: str | None) -> Page[Fetch]:
            query = {"asset": asset, "state": state, "cursor": cursor}
            return self._transport.get(api("fetches"), Page[Fetch], query)

        return list(all_items(page_at))

    def get(self, fetch_id: str) -> Fetch:
        """One fetch."""
        return self._transport.get(api("fetches", fetch_id), Fetch)

    def of(self, asset: str, number: int) -> Fetch | None:
        """The fetch that holds a number of an asset, if there is one."""
        query = {"asset": asset, "number": str(number)}
        found = self._transport.get(api("fetches"), Page[Fetch], query).items
        return found[0] if found else None
