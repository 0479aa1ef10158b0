"""People, services and workloads, and their roles."""

from __future__ import annotations

from muniment.client.paging import all_items
from muniment.client.records import Page, Principal
from muniment.client.transport import Transport, api


class Principals:
    """Calls about principals; most need the role `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def whoami(self) -> Principal:
        """Who this client's token belongs to."""
        return self._transport.get(api("whoami"), Principal)

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


def grant_of(role: str, scope: str | None) -> dict[str, str | None]:
    """Return a role for everything, a `NAMESPACE` or one `NAMESPACE/NAME`, as the API takes it."""
    namespace, _, asset = (scope or "").partition("/")
    return {"role": role, "namespace": namespace or None, "asset": asset or None}
