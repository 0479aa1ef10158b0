"""The ledger as its readers see it. Hashes travel as base64."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

from muniment.client.records import Entry, LogCheckpoint, LogKeys, Page, Proof
from muniment.client.transport import Transport, api


class Log:
    """Calls about the ledger."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def checkpoint(self) -> LogCheckpoint:
        """The latest signed tree head. Its signature is not checked here: see `verify`, `monitor`."""
        return self._transport.get(api("log", "checkpoint"), LogCheckpoint)

    def keys(self) -> LogKeys:
        """The public keys the registry says it signs with. Pin them: `client.trust`."""
        return self._transport.get(api("log", "keys"), LogKeys)

    def entry(self, entry_id: str) -> Entry:
        """One act."""
        return self._transport.get(api("log", "entries", entry_id), Entry)

    def page(self, after: int | None = None, *, limit: int | None = None) -> Page[Entry]:
        """Entries in leaf order, those with an index greater than `after`."""
        params = {"after": after, "limit": limit}
        return self._transport.get(api("log", "entries"), Page[Entry], params)

    def entries(self, after: int | None = None) -> Iterator[Entry]:
        """Every placed entry after index `after`, until there are no more."""
        while True:
            items = self.page(after).items
            if not items:
                return
            yield from items
            after = items[-1].index

    def receipt(self, entry_id: str, *, wait: dt.timedelta | None = None) -> dict[str, Any]:
        """The receipt of one act, as JSON; waits up to `wait` for the log to include it.

        Raises:
            LogBusy: not included yet.
        """
        params = {"wait_ms": int(wait.total_seconds() * 1000) if wait else None}
        return self._transport.get(
            api("log", "entries", entry_id, "receipt"), dict[str, Any], params
        )

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Hashes that prove leaf `index` is in the tree of `size` leaves; bottom-up, 32 raw bytes."""
        return self._hashes("inclusion", {"index": index, "size": size})

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Hashes that prove the tree of `new` leaves extends that of `old`; 32 raw bytes each."""
        return self._hashes("consistency", {"old": old, "new": new})

    def tile(self, path: str) -> bytes:
        """A C2SP tile, entry bundle (`tile/…`) or the signed `checkpoint`, byte for byte."""
        return self._transport.request("GET", f"/log/{path}", headers={"Accept": "*/*"}).content

    def _hashes(self, kind: str, params: dict[str, str | int | None]) -> list[bytes]:
        proof = self._transport.get(api("log", kind), Proof, params)
        return [base64.b64decode(text) for text in proof.hashes]
