"""Namespaces: how each enforces its rules, and what they said no to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from muniment.client.paging import all_items
from muniment.client.records import Change, Page, Record
from muniment.client.transport import Transport, api


class Namespace(Record, frozen=True, kw_only=True):
    """Who shares assets and rules: its enforcement mode, and the aliases production resolves.

    `required_fields` are the members of `extra` it asks for beside what everybody does.
    """

    namespace: str
    mode: str
    production_aliases: list[str] = msgspec.field(default_factory=list)
    required_fields: list[dict[str, Any]] = msgspec.field(default_factory=list)
    revision: int = 1
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None


class Enforcement(Record, frozen=True, kw_only=True):
    """What the rules of a namespace said no to: in all, and each rule."""

    namespace: str
    mode: str
    refused: int = 0
    would_have_been_refused: int = 0
    by_rule: dict[str, int] = msgspec.field(default_factory=dict)
    last_at: dt.datetime | None = None


class Attempt(Record, frozen=True, kw_only=True):
    """What the rules did not allow (`step`: `promote` or `bind`); `carried_out` if not enforced."""

    at: dt.datetime
    subject: str
    environment: str | None = None
    step: str = "promote"
    composite: str | None = None
    actor: dict[str, Any] = msgspec.field(default_factory=dict)
    enforcement: str = ""
    carried_out: bool = False
    rules: list[str] = msgspec.field(default_factory=list)
    entry_id: str | None = None


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
        required_fields: Sequence[Mapping[str, Any]] | None = None,
        revision: int | None = None,
    ) -> Namespace:
        """Change the enforcement mode, the aliases production resolves, or the fields of its own.

        `required_fields` are all members of `extra` it asks for: `field`, `why`, `step`, `kinds`,
        `risk_tiers`. The change is kept.

        Raises:
            NotAllowed: you are neither administrator nor governance approver there.
            StaleRevision: `revision` is given and no longer its own. Nothing is written.
        """
        body: dict[str, Any] = {"reason": reason}
        if mode is not None:
            body["mode"] = mode
        if production_aliases is not None:
            body["production_aliases"] = list(production_aliases)
        if required_fields is not None:
            body["required_fields"] = [dict(one) for one in required_fields]
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
