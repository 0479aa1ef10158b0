"""Whom a registry believes of pipelines, and which pipelines an asset trusts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muniment.client.assets import asset_path
from muniment.client.paging import all_items
from muniment.client.records import Page
from muniment.client.transport import Transport, api
from muniment.client.trusted import Issuer, Publisher, Tested
from muniment.core.names import AssetRef


class Publishers:
    """Calls about issuers and trusted publishers. `ref` is `[NAMESPACE/]NAME`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add_issuer(self, name: str, url: str, *, provider: str = "generic") -> Issuer:
        """Believe what an issuer says; `url` is exactly the `iss` of its tokens."""
        body = {"name": name, "url": url, "provider": provider}
        return self._transport.send("POST", api("issuers"), body, Issuer)

    def issuers(self) -> list[Issuer]:
        """Every issuer there is or was."""
        return self._transport.get(api("issuers"), Page[Issuer]).items

    def remove_issuer(self, name: str) -> Issuer:
        """Believe an issuer no more; its publishers are removed with it."""
        return self._transport.send("POST", api("issuers", name, "remove"), None, Issuer)

    def add(
        self, ref: str, *, issuer: str, permits: Sequence[str], rule: Mapping[str, Any]
    ) -> Publisher:
        """Trust a pipeline for an asset, which need not exist yet.

        `rule` has `repository_id` and, as the issuer's provider has them, `owner_id`,
        `repository`, `workflow` (pinned), `environment`, `ref`, `protected`, `events`, `claims`.

        Raises:
            BadBody: it pins too little, or cannot be; `problems` lists all.
        """
        body = {"issuer": issuer, "rule": dict(rule), "permits": list(permits)}
        return self._transport.send("POST", self._path(ref), body, Publisher)

    def list_(self, ref: str | None = None) -> list[Publisher]:
        """The publishers of an asset, removed ones too, newest first; without `ref` of all."""
        path = api("publishers") if ref is None else self._path(ref)

        def page_at(cursor: str | None) -> Page[Publisher]:
            return self._transport.get(path, Page[Publisher], {"cursor": cursor})

        return list(all_items(page_at))

    def get(self, ref: str, publisher_id: str) -> Publisher:
        """One publisher of an asset, and when it was last used."""
        return self._transport.get(self._path(ref, publisher_id), Publisher)

    def remove(self, ref: str, publisher_id: str) -> Publisher:
        """Trust a pipeline no more; its tokens stop working at once. May be repeated."""
        return self._transport.send(
            "POST", self._path(ref, publisher_id, "remove"), None, Publisher
        )

    def test(
        self, ref: str, *, id_token: str | None = None, claims: Mapping[str, Any] | None = None
    ) -> Tested:
        """Say line by line what of an ID token, or of claims alone, matches; uses nothing up."""
        body = {"id_token": id_token} if id_token is not None else {"claims": dict(claims or {})}
        return self._transport.send("POST", self._path(ref, "test"), body, Tested)

    @staticmethod
    def _path(ref: str, *more: str) -> str:
        return asset_path(AssetRef.parse(ref), "publishers", *more)
