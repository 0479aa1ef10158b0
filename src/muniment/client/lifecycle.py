"""The lifecycle of versions: deprecate, retire, quarantine, promote, withdraw; stages, deployments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from muniment.client import advice
from muniment.client.assets import asset_path
from muniment.client.consumers import Ending
from muniment.client.deployment_records import Deployment, Promoted, StageOf
from muniment.client.paging import all_items
from muniment.client.records import Asset, Page, Version
from muniment.client.transport import Transport, api
from muniment.client.versions import Versions, version_path
from muniment.core.names import AssetRef


def is_cvi(ref: str) -> bool:
    """Say whether something is named as a composite is, by its identifier."""
    return ref.startswith("cvi1-") and "@" not in ref


class Lifecycle:
    """Calls about what may run where. `ref` is `[NAMESPACE/]NAME@VERSION`, `…@alias` or `…@7`.

    To `promote`, `withdraw`, `why_not` and `deployments` it may be a composite's identifier, `cvi1-…`.
    """

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport = transport
        self._versions = versions

    def deprecate(
        self,
        ref: str,
        *,
        reason: str = "",
        replacement: str | None = None,
        sunset: dt.date | None = None,
        dry_run: bool = False,
    ) -> Ending:
        """Announce the end of a version's use, with a reason or what replaces it; say who uses it.

        `sunset` is the day it ends, 90 days from now unless given. Existing use goes on. With `dry_run`
        nothing changes.

        Raises:
            LifecycleConflict: it is retired, or its replacement is.
        """
        body = {
            "reason": reason,
            "replacement": replacement,
            "sunset": None if sunset is None else sunset.isoformat(),
            "dry_run": dry_run,
        }
        return self._end(ref, "deprecate", body)

    def reinstate(self, ref: str, *, reason: str) -> Version:
        """Take a deprecation back."""
        return self._do(ref, "reinstate", {"reason": reason})

    def retire(self, ref: str, *, reason: str = "", dry_run: bool = False) -> Ending:
        """End a version's use for good: it is not found, not downloaded; all of it is kept.

        The answer says who uses it. With `dry_run` nothing changes.

        Raises:
            LifecycleConflict: it is deployed or approved.
        """
        return self._end(ref, "retire", {"reason": reason, "dry_run": dry_run})

    def quarantine(self, ref: str, *, reason: str) -> Version:
        """Stop a version from being handed out, at once."""
        return self._do(ref, "quarantine", {"reason": reason})

    def release(self, ref: str, *, reason: str) -> Version:
        """End a version's quarantine."""
        return self._do(ref, "release", {"reason": reason})

    def _do(self, ref: str, verb: str, body: dict[str, Any]) -> Version:
        path = version_path(self._versions.get(ref), verb)
        return self._transport.send("POST", path, body, Version)

    def _end(self, ref: str, verb: str, body: dict[str, Any]) -> Ending:
        path = version_path(self._versions.get(ref), verb)
        return self._transport.send("POST", path, body, Ending)

    def promote(
        self,
        ref: str,
        environment: str,
        *,
        alias: str | None = None,
        mode: str = "full",
        reason: str = "",
        decision: str | None = None,
        dry_run: bool = False,
    ) -> Promoted:
        """Deploy a version; in production, move the alias through which it is found as well.

        Of a composite that is done for every version in it, or for none.

        `decision` is the id of the one it is to rest on, which must be the one that stands. With
        `dry_run` nothing changes, and the answer says what would be.

        Raises:
            Refused: the rules do not allow it; `extra["verdict"]` has what each rule says. The
                subclass says what would help: `EvidenceMissing`, `ApprovalPending`.
        """
        body = {
            "environment": environment,
            "alias": alias,
            "mode": mode,
            "reason": reason,
            "decision": decision,
            "dry_run": dry_run,
        }
        return self._transport.send("POST", self._path(ref, "promote"), body, Promoted)

    def _path(self, ref: str, verb: str) -> str:
        if is_cvi(ref):
            return api("composites", ref, verb)
        return version_path(self._versions.get(ref), verb)

    def rollback(
        self,
        name: str,
        environment: str,
        *,
        reason: str,
        to: str | None = None,
        alias: str | None = None,
        dry_run: bool = False,
    ) -> Promoted:
        """Have an environment go back to a version of `[NAMESPACE/]NAME` that it had before.

        `to` is a version (`1.2.0`) or a composite (`cvi1-…`), which is gone back to whole; without it,
        the last that was there and may be gone back to: a composite where one is there. `alias` says
        which, where several versions are found there.

        Raises:
            LifecycleConflict: nothing is deployed there, or there is nothing to go back to.
            Refused: the rules do not allow it: production goes back only to what is approved now.
        """
        body = {
            "environment": environment,
            "reason": reason,
            "to": to,
            "alias": alias,
            "dry_run": dry_run,
        }
        path = asset_path(AssetRef.parse(name), "rollback")
        return self._transport.send("POST", path, body, Promoted)

    def of(self, version: Version) -> advice.LifecycleOf:
        """Ask what a version may do now, and why not more: computed then, and not recorded."""
        return self._transport.get(version_path(version, "lifecycle"), advice.LifecycleOf)

    def why_not(self, ref: str, environment: str = "production") -> advice.WhyNot:
        """Say what stands between a version, or a composite, and an environment, and who can mend it.

        Nothing is recorded. Who is no pipeline is told what is in the way of the one that is trusted.
        """
        return advice.why_not(self._transport, self._path(ref, "why-not"), environment)

    def withdraw(self, ref: str, environment: str, *, reason: str) -> list[Deployment]:
        """Take a version, or a composite, out of an environment, at once; return the deployments that ended."""
        path = self._path(ref, "withdraw")
        body = {"environment": environment, "reason": reason}
        answer = self._transport.send("POST", path, body, dict[str, Any])
        return [Deployment.from_json(one) for one in answer["ended"]]

    def stage(self, ref: str, *, as_of: dt.datetime | None = None) -> StageOf:
        """The stage of a version, derived from its lifecycle and its deployments."""
        params = {"as_of": as_of.isoformat() if as_of else None}
        path = version_path(self._versions.get(ref, as_of=as_of), "stage")
        return self._transport.get(path, StageOf, params)

    def deployments(
        self,
        ref: str,
        *,
        environment: str | None = None,
        live: bool = False,
        as_of: dt.datetime | None = None,
    ) -> Iterator[Deployment]:
        """Where the versions of the asset `[NAMESPACE/]NAME` are and were deployed, latest first.

        Or a composite (`cvi1-…`): a deployment for each version in it.
        """
        whole = is_cvi(ref)
        path = api("composites", ref, "deployments") if whole else asset_path(AssetRef.parse(ref), "deployments")  # fmt: skip
        params = {
            "environment": environment,
            "live": "true" if live else None,
            "as_of": as_of.isoformat() if as_of else None,
        }

        def page_at(cursor: str | None) -> Page[Deployment]:
            return self._transport.get(path, Page[Deployment], {**params, "cursor": cursor})

        return all_items(page_at)

    def rename(self, ref: str, name: str, *, reason: str = "") -> Asset:
        """Call the asset `[NAMESPACE/]NAME` something else; the old name stays reserved for it.

        Raises:
            NameReserved: something has, or had, that name.
        """
        path = asset_path(AssetRef.parse(ref), "rename")
        return self._transport.send("POST", path, {"name": name, "reason": reason}, Asset)
