"""Policies: bundles, what another would change, who brings one into force, what was said of acts."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from muniment.client.paging import all_items
from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api, decode
from muniment.client.versions import Versions
from muniment.core.errors import BadPath, BadPolicy, Unavailable
from muniment.core.names import AssetRef

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0
_MAX_BYTES, _MAX_FILES = 8 * 1024 * 1024, 1000


class PolicyBundle(Record, frozen=True, kw_only=True):
    """A bundle the registry holds; `active`: it is in force. One that is shown has its `rules`."""

    digest: str
    active: bool = False
    rule_count: int = 0
    added_at: dt.datetime | None = None
    added_by: dict[str, Any] = msgspec.field(default_factory=dict)
    entry_id: str | None = None
    created: bool | None = None
    rules: list[dict[str, Any]] = msgspec.field(default_factory=list)
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    criteria: str = ""


class PolicyDifferences(Record, frozen=True, kw_only=True):
    """How a bundle differs from another: `what`, `change` and `detail` of each thing."""

    before: str
    after: str
    differences: list[dict[str, str]]


class SimulationResult(Record, frozen=True, kw_only=True):
    """What a bundle would change. `to_acknowledge`: safety rules that whoever approves it names."""

    digest: str
    verdict_count: int
    unreadable_count: int = 0
    differing_count: int = 0
    blocked_count: int = 0
    let_through_count: int = 0
    changed_count: int = 0
    live_count: int = 0
    approval_count: int = 0
    safety_count: int = 0
    safety: list[str] = msgspec.field(default_factory=list)
    weakened: list[str] = msgspec.field(default_factory=list)
    to_acknowledge: list[str] = msgspec.field(default_factory=list)
    fixtures: dict[str, list[str]] = msgspec.field(default_factory=dict)
    rules: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    differences_sha256: str = ""


class PolicySimulation(Record, frozen=True, kw_only=True):
    """A simulation: `due`, `done` with its result, or `failed` with the problem."""

    id: str
    digest: str
    against: str
    state: str
    total_count: int = 0
    done_count: int = 0
    result: SimulationResult | None = None
    problem: str | None = None
    asked_at: dt.datetime | None = None
    done_at: dt.datetime | None = None


class PolicyActivation(Record, frozen=True, kw_only=True):
    """A bundle that is to be in force, was or is: `open`, `scheduled`, `effective`, `withdrawn`."""

    id: str
    digest: str
    state: str
    active: bool = False
    proposed: dict[str, Any] = msgspec.field(default_factory=dict)
    effective_from: dt.datetime | None = None
    approved: dict[str, Any] | None = None
    effective_at: dt.datetime | None = None
    withdrawn: dict[str, Any] | None = None
    simulation_id: str | None = None
    simulation: SimulationResult | None = None


class PolicyVerdict(Record, frozen=True, kw_only=True):
    """What a bundle said of an act. One that is shown has every result, and the document."""

    id: str
    at: dt.datetime
    subject: str
    step: str
    environment: str | None = None
    decision: str
    failed: list[str] = msgspec.field(default_factory=list)
    carried_out: bool = False
    policy_digest: str = ""
    input_digest: str = ""
    engine: str = ""
    engine_version: str = ""
    duration_us: int = 0
    entry_id: str | None = None
    results: list[dict[str, Any]] = msgspec.field(default_factory=list)
    document: dict[str, Any] = msgspec.field(default_factory=dict)


class Replay(Record, frozen=True, kw_only=True):
    """A verdict's question asked again; `same`: the answer has the same bytes."""

    verdict_id: str
    same: bool
    decision: str
    differences: list[dict[str, Any]] = msgspec.field(default_factory=list)
    engine: str = ""
    engine_version: str = ""
    duration_us: int = 0


class Policies:
    """Calls about policies."""

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport, self._versions = transport, versions

    def push(self, path: str | os.PathLike[str]) -> PolicyBundle:
        """Send a bundle: a folder or a `.tar.gz`. The same again is there once.

        Raises:
            BadPath: there is nothing that could be sent. Nothing is sent.
            BadPolicy: something is wrong with it; `problems` name each place. Nothing is kept.
        """
        data = packed(Path(path))
        headers = {"Content-Type": "application/gzip"}
        answer = self._transport.request(
            "POST", api("policy", "bundles"), headers=headers, content=lambda: data
        )
        return decode(answer, PolicyBundle)

    def bundles(self) -> list[PolicyBundle]:
        """Every bundle the registry holds, the latest first."""
        return list(self._all(api("policy", "bundles"), PolicyBundle))

    def bundle(self, digest: str = "active") -> PolicyBundle:
        """One bundle with its rules and criteria; `active` is that in force."""
        return self._transport.get(api("policy", "bundles", digest), PolicyBundle)

    def download(self, digest: str = "active") -> bytes:
        """A bundle as an Open Policy Agent takes it: a `.tar.gz`."""
        path = api("policy", "bundles", digest, "content")
        return self._transport.request("GET", path).content

    def differences(self, digest: str, before: str = "active") -> PolicyDifferences:
        """How a bundle differs from another."""
        path = api("policy", "bundles", digest, "differences")
        return self._transport.get(path, PolicyDifferences, {"from": before})

    def simulate(
        self,
        digest: str,
        *,
        timeout: float = 3600.0,
        told: Callable[[PolicySimulation], None] = lambda _: None,
    ) -> PolicySimulation:
        """Ask a bundle about every verdict there is, and wait for what that comes to.

        `told` hears how far it is.

        Raises:
            Unavailable: it is not done after `timeout` seconds (it goes on), or cannot be done.
        """
        path, body = api("policy", "simulations"), {"digest": digest}
        found = self._transport.send("POST", path, body, PolicySimulation)
        until, wait = time.monotonic() + timeout, _FIRST_WAIT_SECONDS
        while found.state == "due":
            if time.monotonic() + wait > until:
                raise Unavailable(
                    f"the simulation {found.id} is not done yet; ask again later. Without workers"
                    " (`muniment worker`, or `serve` with jobs) nothing simulates"
                )
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT_SECONDS)
            found = self.simulation(found.id)
            told(found)
        if found.state == "failed":
            raise Unavailable(f"the simulation {found.id} cannot be done: {found.problem}")
        return found

    def simulation(self, simulation_id: str) -> PolicySimulation:
        """How far a simulation is, and what it came to."""
        return self._transport.get(api("policy", "simulations", simulation_id), PolicySimulation)

    def simulated(self, simulation_id: str) -> Iterator[dict[str, Any]]:
        """Yield every verdict of which a simulated bundle says something else, the oldest first."""
        return self._all(api("policy", "simulations", simulation_id, "differences"), dict[str, Any])

    def propose(
        self,
        digest: str,
        *,
        reason: str,
        effective_from: dt.datetime | None = None,
        simulation_id: str | None = None,
    ) -> PolicyActivation:
        """Propose that a bundle be in force; somebody else approves it.

        Raises:
            LifecycleConflict: it was not simulated against what is in force.
            Refused: you are no person.
        """
        body = {
            "digest": digest,
            "reason": reason,
            "effective_from": effective_from,
            "simulation_id": simulation_id,
        }
        return self._transport.send("POST", api("policy", "activations"), body, PolicyActivation)

    def activations(self, *, only_open: bool = False) -> list[PolicyActivation]:
        """What was proposed and activated, the latest first."""
        path = api("policy", "activations")
        return list(self._all(path, PolicyActivation, open="true" if only_open else None))

    def activation(self, activation_id: str) -> PolicyActivation:
        """One proposal, with its simulation and what became of it."""
        return self._transport.get(api("policy", "activations", activation_id), PolicyActivation)

    def approve(
        self, activation_id: str, *, reason: str, weakens: Sequence[str] = ()
    ) -> PolicyActivation:
        """Approve what somebody else proposed; `weakens` names the safety rules that it weakens.

        Raises:
            Refused: you proposed it, or sent the bundle. The attempt is in the log.
            LifecycleConflict: it is not open, or what was in force changed since.
        """
        body = {"reason": reason, "weakens": list(weakens)}
        path = api("policy", "activations", activation_id, "approve")
        return self._transport.send("POST", path, body, PolicyActivation)

    def withdraw(self, activation_id: str, *, reason: str) -> PolicyActivation:
        """Withdraw a proposal that is not in force."""
        path = api("policy", "activations", activation_id, "withdraw")
        return self._transport.send("POST", path, {"reason": reason}, PolicyActivation)

    def verdicts(
        self, ref: str | None = None, *, step: str | None = None, decision: str | None = None
    ) -> Iterator[PolicyVerdict]:
        """Yield what policies said of acts, the latest first.

        If asked, of one asset, of a version alone (`NAME@1.2.0`), or of a composite (`cvi1-…`).
        """
        query: dict[str, str | int | None] = {"step": step, "decision": decision}
        if ref is not None and ref.startswith("cvi1-"):
            query |= {"composite": ref}
        elif ref is not None and "@" in ref:
            version = self._versions.get(ref)
            query |= {"namespace": version.namespace, "name": version.name}
            query |= {"version": str(version.version)}
        elif ref is not None:
            asset = AssetRef.parse(ref)
            query |= {"namespace": str(asset.namespace), "name": str(asset.name)}
        return self._all(api("policy", "verdicts"), PolicyVerdict, **query)

    def verdict(self, verdict_id: str) -> PolicyVerdict:
        """One verdict, with every result and the document."""
        return self._transport.get(api("policy", "verdicts", verdict_id), PolicyVerdict)

    def replay(self, verdict_id: str) -> Replay:
        """Ask a verdict's question again; nothing is recorded."""
        path = api("policy", "verdicts", verdict_id, "replay")
        return self._transport.send("POST", path, None, Replay)

    def _all(self, path: str, kind: Any, **query: str | int | None) -> Iterator[Any]:
        def page_at(cursor: str | None) -> Page[Any]:
            return self._transport.get(path, Page[kind], {**query, "cursor": cursor})

        return all_items(page_at)


def packed(place: Path) -> bytes:
    """Return a bundle as it is sent: a `.tar.gz` as it is, the files of a folder packed as one.

    Names that start with a full stop are passed over.

    Raises:
        BadPath: there is neither.
        BadPolicy: there are links, or more than a bundle may have.
    """
    if place.is_file():
        return place.read_bytes()
    if not place.is_dir():
        raise BadPath(f"expected a folder or a .tar.gz, found none at `{place}`")
    held = io.BytesIO()
    size_bytes = 0
    with (
        gzip.GzipFile(fileobj=held, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for number, path in enumerate(_files(place), 1):
            size_bytes += path.stat().st_size
            if number > _MAX_FILES or size_bytes > _MAX_BYTES:
                raise BadPolicy(
                    f"expected at most {_MAX_FILES} files and {_MAX_BYTES:,} bytes, found more"
                )
            member = tarfile.TarInfo(path.relative_to(place).as_posix())
            data = path.read_bytes()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def _files(place: Path) -> Iterator[Path]:
    for path in sorted(place.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(place).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadPolicy(f"expected plain files, found a link or the like: `{path}`")
        if path.is_file():
            yield path
