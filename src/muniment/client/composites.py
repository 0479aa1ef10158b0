"""What runs together under one identifier: register it, show it, prove what is in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from muniment.client.paging import all_items
from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api
from muniment.core.composite import cvi, verify_component
from muniment.core.errors import DigestMismatch


class Composite(Record, frozen=True, kw_only=True):
    """A composite. In a list it comes without `manifest` and `components`.

    `components` has each record with the versions here that have its digest. `registered_at` is None
    of one that was only computed.
    """

    cvi: str
    namespace: str = "default"
    system: str = ""
    component_count: int = 0
    registered_at: dt.datetime | None = None
    registered_by: dict[str, str] | None = None
    entry_id: str | None = None
    manifest: dict[str, Any] = msgspec.field(default_factory=dict)
    components: list[dict[str, Any]] = msgspec.field(default_factory=list)
    created: bool | None = None


class Composites:
    """Calls about composites."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        system: str,
        components: Iterable[Mapping[str, Any]],
        *,
        namespace: str = "default",
        dry_run: bool = False,
    ) -> Composite:
        """Register what runs together, or with `dry_run` only compute its identifier.

        `components` are records as a manifest has them, and versions as `{"pin": "NAME@1.2.0"}`. May
        be repeated: the same manifest is the same composite. The identifier is computed here too.

        Raises:
            BadComposite: a rule is broken; `problems` names every one.
            DigestMismatch: the identifier is not the manifest's.
        """
        body = {
            "system": system,
            "components": [dict(one) for one in components],
            "namespace": namespace,
            "dry_run": dry_run,
        }
        return _checked(self._transport.send("POST", api("composites"), body, Composite))

    def get(self, identifier: str) -> Composite:
        """The composite of an identifier, checked against it.

        Raises:
            NotFound: there is none, or you may not see it.
            DigestMismatch: the manifest is another one's.
        """
        return _checked(self._transport.get(api("composites", identifier), Composite))

    def list_(
        self,
        *,
        namespace: str | None = None,
        system: str | None = None,
        contains: str | None = None,
    ) -> Iterator[Composite]:
        """Composites, the newest first; `contains` is a version (`NAME@1.2.0`) or a digest."""

        def page_at(cursor: str | None) -> Page[Composite]:
            query = {
                "namespace": namespace, "system": system, "contains": contains, "cursor": cursor,
            }  # fmt: skip
            return self._transport.get(api("composites"), Page[Composite], query)

        return all_items(page_at)

    def prove(self, identifier: str, kind: str, name: str) -> dict[str, Any]:
        """A proof that one component is in a composite, checked; it shows none of the others.

        Raises:
            BadComposite: there is no such component.
            BadProof: it leads elsewhere.
        """
        query = {"kind": kind, "name": name}
        path = api("composites", identifier, "proof")
        proof = self._transport.get(path, dict[str, Any], query)
        verify_component(identifier, proof)
        return proof


def _checked(one: Composite) -> Composite:
    found = cvi(one.manifest)
    if found != one.cvi:
        raise DigestMismatch(f"expected the manifest of {one.cvi}, found that of {found}")
    return one


def record_of(kind: str, name: str, digest: str, ref: str | None = None) -> dict[str, Any]:
    """Return a record; `digest` is `ALGORITHM:VALUE`."""
    algorithm, _, value = digest.partition(":")
    more = {} if ref is None else {"ref": ref}
    return {"kind": kind, "name": name, **more, "digest": {algorithm: value}}


def absent(kinds: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    """Return records of kinds that there is nothing of, by kind and the reason why."""
    return [
        {"kind": kind, "name": "-", "status": "not-applicable", "reason": reason}
        for kind, reason in kinds.items()
    ]
