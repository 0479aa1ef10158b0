"""Whether an ID token is what it says: its issuer asked, its signature and times checked."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Mapping
from typing import Any, Final

from muniment.core.errors import IdTokenRefused
from muniment.server.http.limits import Buckets
from muniment.server.http.operation import Call
from muniment.server.identity.actions.exchanging import Proven
from muniment.server.identity.actions.logins import Login
from muniment.server.identity.plugins.issuers import issuer_keys
from muniment.server.identity.rules import id_tokens
from muniment.server.identity.rules import issuer_keys as key_rules
from muniment.server.identity.rules import logins as login_rules
from muniment.server.identity.rules.providers import PROVIDERS
from muniment.server.identity.store import logins as login_store
from muniment.server.identity.store import trust as store
from muniment.server.ports.db import Database

#: An address that sends only what is refused may do so thirty times, then once a second.
_TRIES: Final = 30
_REFILL: Final = dt.timedelta(seconds=1)
_FAILED: weakref.WeakKeyDictionary[Database, Buckets] = weakref.WeakKeyDictionary()


def failed_tries(call: Call) -> Buckets:
    """Return who sent ID tokens that were refused, by address: of pipelines and people together."""
    return _FAILED.setdefault(call.deps.db, Buckets(_TRIES, _REFILL))


def audience(call: Call) -> str:
    """Return for whom ID tokens must be made: this registry, as set or by its log's name."""
    return call.deps.settings.oidc_audience or call.deps.settings.origin


async def prove(call: Call, text: str) -> Proven:
    """Return what an ID token says, now that it may be believed. Nothing is used up.

    Raises:
        IdTokenRefused: it may not.
        DestinationDown: its issuer's keys cannot be had.
    """
    token = id_tokens.read(text)
    async with call.deps.db.transaction(read_only=True) as tx:
        issuer = await store.find_issuer(tx, token.issuer)
    if issuer is None:
        raise id_tokens.refused(
            "issuer",
            f"{token.issuer[:200]!r} is not among the issuers this registry believes",
        )
    key = await issuer_keys(call.deps).key(issuer, token.key_id, call.now)
    key_rules.verify(token, key)
    known_by, expires_at = id_tokens.check(
        token,
        audience=audience(call),
        now=call.now,
        single_use=PROVIDERS[issuer.provider].single_use,
    )
    return Proven(issuer, token, known_by, expires_at)


async def prove_person(call: Call, text: str) -> Login:
    """Return what a person's ID token says, now that it may be believed. Nothing is used up.

    Raises:
        IdTokenRefused: it may not.
        DestinationDown: its issuer's keys cannot be had.
    """
    token = id_tokens.read(text)
    async with call.deps.db.transaction(read_only=True) as tx:
        issuer = await login_store.find_issuer(tx, token.issuer)
    if issuer is None:
        raise id_tokens.refused(
            "issuer", f"nobody comes in by {token.issuer[:200]!r}: it is no login issuer here"
        )
    key = await issuer_keys(call.deps).key(issuer, token.key_id, call.now)
    key_rules.verify(token, key)
    known_by, expires_at = login_rules.check(token, client_id=issuer.client_id, now=call.now)
    return Login(issuer, token, known_by, expires_at)


def claims_of(text: str) -> Mapping[str, Any]:
    """Return what an ID token says, believed or not; nothing if it cannot be read."""
    try:
        return id_tokens.read(text).claims
    except IdTokenRefused:
        return {}
