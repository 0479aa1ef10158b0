"""People, services and workloads, and their roles."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from urllib.parse import urlencode

from muniment.client.logins import WhoAmI
from muniment.client.paging import all_items
from muniment.client.records import Page, Principal, Record
from muniment.client.transport import Transport, api

_NAMES_AT_ONCE = 200


class _Named(Record, frozen=True, kw_only=True):
    id: str
    name: str
    display_name: str | None = None


class Principals:
    """Calls about principals; most need the role `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def whoami(self) -> WhoAmI:
        """Who this client's token belongs to, and until when it holds."""
        return self._transport.get(api("whoami"), WhoAmI)

    def create(self, name: str, *, kind: str = "person") -> Principal:
        """Add a principal of `kind` (person, service, workload)."""
        return self._transport.send(
            "POST", api("principals"), {"name": name, "kind": kind}, Principal
        )

    def list_(self) -> list[Principal]:
        """Every principal."""

        def page_at(cursor: str | None) -> Page[Principal]:
            return self._transport.get(api("principals"), Page[Principal], {"cursor": cursor})

        return list(all_items(page_at))

    def get(self, principal_id: str) -> Principal:
        """One principal with its roles."""
        return self._transport.get(api("principals", principal_id), Principal)

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        """What principals are called, by id; ids of nobody, and of the registry's parts, are not in it.

        One request for each 200 different ids, none if there is none.
        """
        asked = sorted({text for text in ids if _is_uuid(text)})
        named: dict[str, str] = {}
        for start in range(0, len(asked), _NAMES_AT_ONCE):
            query = [("id", each) for each in asked[start : start + _NAMES_AT_ONCE]]
            path = f"{api('principal-names')}?{urlencode(query)}"
            items = self._transport.get(path, Page[_Named]).items
            named |= {each.id: each.display_name or each.name for each in items}
        return named

    def grant(self, principal_id: str, role: str, *, scope: str | None = None) -> None:
        """Give `role` for everything, a `NAMESPACE` or one `NAMESPACE/NAME`."""
        self._change(principal_id, "roles", role, scope)

    def revoke(self, principal_id: str, role: str, *, scope: str | None = None) -> None:
        """Take `role` away; it must have been given for exactly `scope`."""
        self._change(principal_id, "roles/revoke", role, scope)

    def disable(self, principal_id: str) -> None:
        """Refuse every token of the principal from now on."""
        self._transport.send("POST", api("principals", principal_id, "disable"), None)

    def enable(self, principal_id: str) -> None:
        """Let a disabled principal in again, with its roles; it needs new tokens."""
        self._transport.send("POST", api("principals", principal_id, "enable"), None)

    def _change(self, principal_id: str, verb: str, role: str, scope: str | None) -> None:
        path = f"{api('principals', principal_id)}/{verb}"
        self._transport.send("POST", path, grant_of(role, scope))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def grant_of(role: str, scope: str | None) -> dict[str, str | None]:
    """Return a role for everything, a `NAMESPACE` or one `NAMESPACE/NAME`, as the API takes it."""
    namespace, _, asset = (scope or "").partition("/")
    return {"role": role, "namespace": namespace or None, "asset": asset or None}
