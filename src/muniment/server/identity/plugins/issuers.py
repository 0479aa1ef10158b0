"""The keys of trusted issuers, fetched when they are needed and kept for an hour.

1. Only issuers that an administrator trusts are called, through the guard of `ports/outbound`:
   https and public addresses, others only where the operator named the host.
2. A token that names an unknown key has the issuer asked again, but not more than once a minute.
3. An issuer that does not answer is not in the way of keys it showed within the last day.

Source: requirements §5.2 (2).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from dataclasses import dataclass, field
from typing import Final

import jwt

from muniment.core.errors import DestinationDown, DestinationRefused
from muniment.server.http.operation import Deps
from muniment.server.identity.records import Issuer, LoginIssuer
from muniment.server.identity.rules import issuer_keys as rules
from muniment.server.identity.rules.id_tokens import refused
from muniment.server.ports.db import Database
from muniment.server.ports.outbound import Ask, Outbound, Reach

FRESH: Final = dt.timedelta(hours=1)
STALE: Final = dt.timedelta(days=1)
PAUSE: Final = dt.timedelta(seconds=60)
_SECONDS: Final = 10.0
_HTTP_OK: Final = 200


@dataclass(slots=True)
class _Kept:
    """What is known of one issuer, and when it was asked."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: rules.Keys = field(default_factory=dict)
    fetched_at: dt.datetime | None = None
    asked_at: dt.datetime | None = None
    failed: DestinationDown | None = None

    def younger_than(self, age: dt.timedelta, now: dt.datetime) -> bool:
        return self.fetched_at is not None and now - self.fetched_at < age


class IssuerKeys:
    """Keys of issuers. One for each server process."""

    def __init__(self, private: tuple[str, ...]) -> None:
        """Know none; `private` are hosts that may be private (`settings.outbound_private`)."""
        self._reach = Reach(private=private)
        self._kept: dict[str, _Kept] = {}

    async def key(self, issuer: Issuer | LoginIssuer, key_id: str, now: dt.datetime) -> jwt.PyJWK:
        """Return the key of that name of `issuer`, asking it if need be.

        Raises:
            IdTokenRefused: it has none of that name.
            DestinationDown: it cannot be asked, or shows no key set.
        """
        kept = self._kept.setdefault(issuer.url, _Kept())
        if key_id in kept.keys and kept.younger_than(FRESH, now):
            return kept.keys[key_id]
        async with kept.lock:
            if not (key_id in kept.keys and kept.younger_than(FRESH, now)):
                await self._refresh(issuer.url, kept, now)
        if key_id in kept.keys and kept.younger_than(STALE, now):
            return kept.keys[key_id]
        if kept.failed is not None:
            raise DestinationDown(kept.failed.message)
        raise refused("unknown_key", f"{issuer.url} shows no key {key_id[:100]!r} that signs")

    async def _refresh(self, url: str, kept: _Kept, now: dt.datetime) -> None:
        if kept.asked_at is not None and now - kept.asked_at < PAUSE:
            return
        kept.asked_at = now
        try:
            kept.keys = await self._fetch(url)
        except DestinationDown as error:
            kept.failed = error
        except DestinationRefused as error:
            kept.failed = DestinationDown(
                f"the keys of the issuer {url} cannot be had: {error.message}"
            )
        else:
            kept.fetched_at, kept.failed = now, None

    async def _fetch(self, url: str) -> rules.Keys:
        async with Outbound(self._reach) as outbound:
            document = await self._get(
                outbound, f"{url}/.well-known/openid-configuration", rules.DISCOVERY_MAX_BYTES
            )
            where = rules.read_discovery(url, document)
            return rules.read_keys(url, await self._get(outbound, where, rules.KEYS_MAX_BYTES))

    @staticmethod
    async def _get(outbound: Outbound, url: str, max_bytes: int) -> bytes:
        answer = await outbound.ask(Ask(url=url, max_bytes=max_bytes, seconds=_SECONDS))
        if answer.status != _HTTP_OK:
            raise DestinationDown(f"{url} answered {answer.status}")
        return answer.body


_OF: weakref.WeakKeyDictionary[Database, IssuerKeys] = weakref.WeakKeyDictionary()


def issuer_keys(deps: Deps) -> IssuerKeys:
    """Return this server's keys of issuers: the same as long as its database is open."""
    found = _OF.get(deps.db)
    if found is None:
        found = _OF[deps.db] = IssuerKeys(deps.settings.outbound_private)
    return found
