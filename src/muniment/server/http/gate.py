"""Who calls, and may they: decided before the body is read and before a handler runs.

1. An operation for anybody asks nothing.
2. A bearer token known from a moment ago costs no query.
3. An address that keeps presenting bad tokens is told to wait. Its good ones still pass: behind a
   proxy everybody has one address, and nobody may lock out the others.
4. The verb is checked in the operation's scope. Who may not even read there is told that there is
   nothing, so that names cannot be probed.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from typing import Any, Protocol

from muniment.core.errors import NotAllowed, NotAuthenticated
from muniment.server.http.limits import Buckets
from muniment.server.http.operation import Call, ScopeFrom
from muniment.server.http.records import EVERYTHING, Caller, Scope, Verb

_BEARER = "bearer "
_BASIC = "basic "


class Authenticator(Protocol):
    """Knows whose token it is. `identity.TokenCache`."""

    def known(self, bearer: str, now: dt.datetime) -> Caller | None:
        """Return whose token it is if that was looked up a moment ago. No I/O."""
        ...

    async def authenticate(self, bearer: str, now: dt.datetime) -> Caller:
        """Return whose token it is.

        Raises:
            NotAuthenticated: nobody's, or no longer.
        """
        ...


class Gate:
    """Lets requests in, or not."""

    def __init__(self, authenticator: Authenticator) -> None:
        """Start with no failed try on record."""
        self._authenticator = authenticator
        self._failures = Buckets(capacity=20, refill=dt.timedelta(seconds=3))
        self._guesses = Buckets(capacity=10, refill=dt.timedelta(seconds=6))

    async def caller(
        self, scope: Mapping[str, Any], authorization: str | None, now: dt.datetime
    ) -> Caller:
        """Return who sends the request.

        Raises:
            NotAuthenticated: no token, or not a valid one.
            TooManyRequests: this address presented too many bad ones.
        """
        bearer = bearer_of(authorization)
        known = self._authenticator.known(bearer, now)
        if known is not None:
            return known
        try:
            return await self._authenticator.authenticate(bearer, now)
        except NotAuthenticated:
            self._failures.check(address_of(scope), now)
            self._failures.take(address_of(scope), now)
            raise

    def guard(self, scope: Mapping[str, Any], now: dt.datetime) -> None:
        """Count one try at a secret.

        Raises:
            TooManyRequests: this address made too many.
        """
        address = address_of(scope)
        self._guesses.check(address, now)
        self._guesses.take(address, now)


def bearer_of(authorization: str | None) -> str:
    """Return the token of an Authorization header: Bearer, or the password of Basic.

    Tools that only know user and password send a token so; the user name is not looked at.

    Raises:
        NotAuthenticated: there is none, or it is of another scheme.
    Source: RFC 6750 §2.1; RFC 7617 §2.
    """
    given = authorization or ""
    if given[:7].lower() == _BEARER:
        return given[7:].strip()
    if given[:6].lower() != _BASIC:
        raise NotAuthenticated
    try:
        pair = base64.b64decode(given[6:].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise NotAuthenticated from None
    return pair.partition(":")[2]


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the client's address, empty over a Unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def authorise(call: Call) -> None:
    """Go on only if the caller has the operation's verb in the operation's scope.

    Raises:
        NotAllowed, NotFound: see `Call.require`.
    """
    verb = call.operation.needs
    match call.operation.scope:
        case ScopeFrom.PATH:
            call.require(verb, scope_of(call.path))
        case ScopeFrom.EVERYTHING:
            call.require(verb, EVERYTHING)
        case ScopeFrom.ANYWHERE:
            _somewhere(call, verb)
        case ScopeFrom.HANDLER:
            pass


def scope_of(path: dict[str, str]) -> Scope:
    """Return the scope path parameters name: an asset, a namespace, or everything."""
    namespace = path.get("namespace")
    return EVERYTHING if namespace is None else Scope(namespace, path.get("name"))


def _somewhere(call: Call, verb: Verb) -> None:
    if call.may(verb, EVERYTHING) or any(call.may(verb, g.scope) for g in call.caller.grants):
        return
    raise NotAllowed(f"none of your roles lets you {verb.value}; ask an administrator")
