"""API tokens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from muniment.client.paging import all_items
from muniment.client.principals import grant_of
from muniment.client.records import Page, Token
from muniment.client.transport import Transport, api


class Tokens:
    """Calls about API tokens."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        label: str,
        *,
        principal_id: str | None = None,
        lifetime: dt.timedelta | None = None,
        roles: Sequence[str] = (),
    ) -> Token:
        """Make a token; its text (`token`) is in this answer and never again.

        Without `principal_id` it is the caller's own. `roles` (`ROLE`, `ROLE:NAMESPACE` or
        `ROLE:NAMESPACE/NAME`) narrow what it may do below what the principal may.
        """
        body: dict[str, object] = {"label": label}
        if principal_id:
            body["principal_id"] = principal_id
        if lifetime:
            body["expires_at"] = dt.datetime.now(dt.UTC) + lifetime
        if roles:
            body["limits"] = [grant_of(*role.partition(":")[::2]) for role in roles]
        return self._transport.send("POST", api("tokens"), body, Token)

    def list_(self) -> list[Token]:
        """Every token the caller may see, revoked and expired ones included."""

        def page_at(cursor: str | None) -> Page[Token]:
            return self._transport.get(api("tokens"), Page[Token], {"cursor": cursor})

        return list(all_items(page_at))

    def revoke(self, token_id: str) -> None:
        """End a token at once. May be repeated."""
        self._transport.send("POST", api("tokens", token_id, "revoke"), None)
