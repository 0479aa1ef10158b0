"""How people log in: issuers that say who they are, and what their groups are here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from muniment.client.records import Page, Principal, Record
from muniment.client.transport import Transport, api


class WhoAmI(Principal, frozen=True, kw_only=True):
    """Whose token it is, what it may do, and until when."""

    token_id: str | None = None
    token_expires_at: dt.datetime | None = None


class LoginChoice(Record, frozen=True, kw_only=True):
    """An issuer by which people may log in, and what the registry is to it."""

    name: str
    url: str
    client_id: str
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid"])


class LoginChoices(Record, frozen=True, kw_only=True):
    """By which issuers people may log in, by name."""

    issuers: list[LoginChoice]


class LoginIssuer(LoginChoice, frozen=True, kw_only=True):
    """An issuer by which people log in, and what its groups are here."""

    id: str
    groups_claim: str = "groups"
    roles: list[dict[str, Any]] = msgspec.field(default_factory=list)
    created_at: dt.datetime | None = None
    removed_at: dt.datetime | None = None


class LoggedIn(Record, frozen=True, kw_only=True):
    """A person's token, until `expires_at`."""

    token: str
    expires_at: dt.datetime
    principal: Principal
    token_id: str | None = None


class LoginIssuers:
    """Calls about login issuers. A role of a group is `{"group", "role", "namespace", "asset"}`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add(
        self,
        name: str,
        url: str,
        *,
        client_id: str,
        groups_claim: str = "groups",
        scopes: Sequence[str] = ("openid", "profile"),
        roles: Sequence[Mapping[str, Any]] = (),
    ) -> LoginIssuer:
        """Let people log in by an issuer; `url` is exactly the `iss` of its tokens."""
        body = {
            "name": name,
            "url": url,
            "client_id": client_id,
            "groups_claim": groups_claim,
            "scopes": list(scopes),
            "roles": [dict(each) for each in roles],
        }
        return self._transport.send("POST", api("login-issuers"), body, LoginIssuer)

    def list_(self) -> list[LoginIssuer]:
        """Every login issuer there is or was."""
        return self._transport.get(api("login-issuers"), Page[LoginIssuer]).items

    def set_roles(self, name: str, roles: Sequence[Mapping[str, Any]]) -> LoginIssuer:
        """Replace what an issuer's groups are: for each person from their next login."""
        body = {"roles": [dict(each) for each in roles]}
        return self._transport.send("POST", api("login-issuers", name, "roles"), body, LoginIssuer)

    def remove(self, name: str) -> LoginIssuer:
        """Let nobody log in by an issuer any more: what its groups gave, and all tokens, end."""
        return self._transport.send("POST", api("login-issuers", name, "remove"), None, LoginIssuer)
