"""Namespaces: how each enforces its rules, and what they said no to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from muniment.client.paging import all_items
from muniment.client.records import Attempt, Change, Enforcement, Namespace, Page
from muniment.client.transport import Transport, api


class Namespaces:
    """Calls about namespaces, by name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, *, mode: str = "enforce") -> Namespace:
        """Add a namespace; `mode` is `observe`, `warn` or `enforce`.

        Raises:
            AlreadyExists: there is one of that name.
            NotAllowed: it would not enforce, and you may not govern it.
        """
        body = {"namespace": name, "mode": mode}
        return self._transport.send("POST", api("namespaces"), body, Namespace)

    def list_(self) -> list[Namespace]:
        """Every namespace you may read in, by name."""
        return self._transport.get(api("namespaces"), Page[Namespace]).items

    def get(self, name: str) -> Namespace:
        """One namespace."""
        return self._transport.get(api("namespaces", name), Namespace)

    def govern(
        self,
        name: str,
        *,
        reason: str,
        mode: str | None = None,
        production_aliases: Sequence[str] | None = None,
        revision: int | None = None,
    ) -> Namespace:
        """Change the enforcement mode, or the aliases production resolves; the change is kept.

        Raises:
            NotAllowed: you are neither administrator nor governance approver there.
            StaleRevision: `revision` is given and no longer its own. Nothing is written.
        """
        body: dict[str, Any] = {"reason": reason}
        if mode is not None:
            body["mode"] = mode
        if production_aliases is not None:
            body["production_aliases"] = list(production_aliases)
        path = api("namespaces", name)
        return self._transport.send("PATCH", path, body, Namespace, if_match=revision)

    def history(self, name: str) -> list[Change]:
        """Every change of how the namespace is governed, newest first."""
        return self._transport.get(api("namespaces", name, "history"), Page[Change]).items

    def enforcement(self, name: str) -> Enforcement:
        """How often its rules said no, and how often each did."""
        return self._transport.get(api("namespaces", name, "enforcement"), Enforcement)

    def attempts(self, name: str) -> list[Attempt]:
        """Every promotion its rules did not allow, newest first."""
        path = api("namespaces", name, "attempts")

        def page_at(cursor: str | None) -> Page[Attempt]:
            return self._transport.get(path, Page[Attempt], {"cursor": cursor})

        return list(all_items(page_at))
