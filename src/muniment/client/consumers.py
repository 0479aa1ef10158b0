"""Consumers: which systems use an asset, at which endpoint and for what, and how that stands now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec

from muniment.client.assets import asset_path
from muniment.client.paging import all_items
from muniment.client.records import Page, Record, Version
from muniment.client.transport import Transport, api
from muniment.core.names import AssetRef, VersionRef


class Binding(Record, frozen=True, kw_only=True):
    """A consumer's use of an asset, from `bound_at` until `ended_at` (None: it is current).

    `version` is the one it is bound to; None: it follows what `environment` finds, else the newest.
    `uses` is the version that is now. `standing` (`state`, `why`) and `notice` are computed when it is
    asked; both are None in the answer to binding.
    """

    id: str
    name: str
    system: str
    endpoint: str
    use_case: str
    namespace: str = "default"
    version: str | None = None
    uses: str = ""
    environment: str | None = None
    reason: str = ""
    bound_at: dt.datetime | None = None
    by: dict[str, Any] = msgspec.field(default_factory=dict)
    entry_id: str | None = None
    ended_at: dt.datetime | None = None
    ended_as: str | None = None
    ended_by: dict[str, Any] | None = None
    ended_reason: str | None = None
    ended_entry_id: str | None = None
    standing: dict[str, Any] | None = None
    notice: dict[str, Any] | None = None

    @property
    def ref(self) -> str:
        """`[NAMESPACE/]NAME@VERSION` of the version it uses."""
        name = self.name if self.namespace == "default" else f"{self.namespace}/{self.name}"
        return f"{name}@{self.uses}"


class Bound(Record, frozen=True, kw_only=True):
    """A binding that was made; with `dry_run` it would be, with `created` false it stood already.

    `would_have_been_refused`: the rules did not allow it, and the namespace does not enforce them.
    `replaced` is the id of the binding of the same use that ended with it.
    """

    binding: Binding
    verdict: dict[str, Any] | None = None
    enforcement: str = ""
    would_have_been_refused: bool = False
    warnings: list[str] = msgspec.field(default_factory=list)
    replaced: str | None = None
    created: bool = False
    dry_run: bool = False


class Counts(Record, frozen=True, kw_only=True):
    """How many consumers there are now, for how many a notice is to be acknowledged, and by version."""

    consumers: int = 0
    unacknowledged: int = 0
    by_version: dict[str, int] = msgspec.field(default_factory=dict)


class Ending(Version, frozen=True, kw_only=True):
    """A version whose use ends, and who uses it: how many, and the first of them."""

    consumer_count: int = 0
    consumers: list[dict[str, Any]] = msgspec.field(default_factory=list)
    dry_run: bool = False


class Consumers:
    """Calls about consumers. `ref` is `[NAMESPACE/]NAME`, of an asset."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def bind(
        self,
        ref: str,
        *,
        system: str,
        endpoint: str,
        use_case: str,
        environment: str | None = None,
        version: str | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Bound:
        """Say that a system uses an asset at an endpoint for a use case; the same again is the same.

        Without `version` it uses what the environment finds, else the newest. The endpoint is text: it
        is never called. With `dry_run` nothing changes, and the answer says what would be.

        Raises:
            Refused: the rules do not allow that use; `extra["verdict"]` has what each rule says, and
                `extra["ways"]` who can help.
        """
        body = {
            "system": system,
            "endpoint": endpoint,
            "use_case": use_case,
            "environment": environment,
            "version": version,
            "reason": reason,
            "dry_run": dry_run,
        }
        path = asset_path(AssetRef.parse(ref), "consumers")
        return self._transport.send("POST", path, body, Bound)

    def get(self, binding_id: str, *, as_of: dt.datetime | None = None) -> Binding:
        """One binding, and how it stands now, or stood."""
        params = {"as_of": as_of.isoformat() if as_of else None}
        return self._transport.get(api("consumers", binding_id), Binding, params)

    def list_(
        self,
        ref: str | None = None,
        *,
        system: str | None = None,
        use_case: str | None = None,
        environment: str | None = None,
        unacknowledged: bool = False,
        ended: bool = False,
        as_of: dt.datetime | None = None,
    ) -> Iterator[Binding]:
        """Bindings, newest first: all you may read, or of an asset, or that use a version (`NAME@1.2.0`).

        `unacknowledged`: only those whose version ends and nobody said that they know. `ended`: those
        too that have ended.
        """
        which = None if ref is None else "version" if "@" in ref else "asset"
        if ref is not None:
            (VersionRef if which == "version" else AssetRef).parse(ref)
        query: dict[str, str | None] = {
            "system": system,
            "use_case": use_case,
            "environment": environment,
            "unacknowledged": "true" if unacknowledged else None,
            "ended": "true" if ended else None,
            "as_of": as_of.isoformat() if as_of else None,
            **({} if which is None else {which: ref}),
        }

        def page_at(cursor: str | None) -> Page[Binding]:
            return self._transport.get(api("consumers"), Page[Binding], {**query, "cursor": cursor})

        return all_items(page_at)

    def count(self, ref: str, *, as_of: dt.datetime | None = None) -> Counts:
        """How many consumers an asset has, or one of its versions (`NAME@1.2.0`); now, or then."""
        name, _, version = ref.partition("@")
        path = asset_path(AssetRef.parse(name), "consumers", "count")
        when = as_of.isoformat() if as_of else None
        return self._transport.get(path, Counts, {"version": version or None, "as_of": when})

    def end(self, binding_id: str, *, reason: str) -> Binding:
        """End a binding; one that has ended stays as it is.

        Raises:
            NotAllowed: you did not make it, do not own the asset, and do not govern there.
        """
        path = api("consumers", binding_id, "end")
        return self._transport.send("POST", path, {"reason": reason}, Binding)

    def acknowledge(self, binding_id: str, *, note: str = "") -> Binding:
        """Say for a consumer that you know that the version it uses ends.

        Raises:
            LifecycleConflict: it does not, or the binding has ended.
        """
        path = api("consumers", binding_id, "acknowledge")
        return self._transport.send("POST", path, {"note": note}, Binding)
