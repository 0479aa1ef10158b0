"""What the routes of evidence share: the version a path names, evidence as it is shown."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

import msgspec

from muniment.core.errors import NotFound
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.catalog.records import Version
from muniment.server.evidence.records import Evidence, Freshness
from muniment.server.evidence.rules.parsed import said_by
from muniment.server.http.operation import Call
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx

ONE: Final = "/api/v1/assets/{namespace}/{name}/versions/{version}"
TAG: Final = "evidence"


async def version_of(call: Call, tx: Tx) -> Version:
    """Return the version the path names.

    Raises:
        NotFound: there is none.
    """
    asset = AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))
    return await catalog.get_version(tx, VersionRef(asset, parse_version(call.path["version"])))


def evidence_id_of(call: Call) -> uuid.UUID:
    """Return the id the path names.

    Raises:
        NotFound: it is none.
    """
    try:
        return uuid.UUID(call.path["evidence_id"])
    except ValueError:
        raise NotFound(f"there is no evidence {call.path['evidence_id'][:80]!r}") from None


class ChangeBody(msgspec.Struct, frozen=True):
    """A component that is not what the evidence was bound to; null: not there."""

    component: str
    was: str | None
    now: str | None


class EvidenceItem(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence in a list. `stale` says whether it tells of something else than this version.

    `assurance_reason` says of a signed statement who vouches for it, or why nobody does.
    """

    id: uuid.UUID | None
    subject: str
    kind: str
    format: str
    file_name: str
    digest: str
    size_bytes: int
    assurance: str
    assurance_reason: str | None
    signer: str | None
    flags: tuple[str, ...]
    bound: dict[str, str]
    stale: bool
    changes: list[ChangeBody]
    tool: dict[str, str]
    summary: dict[str, Any]
    produced_at: dt.datetime | None
    recorded_at: dt.datetime
    recorded_by: Actor
    context_digest: str | None
    entry_id: uuid.UUID | None


class EvidenceBody(EvidenceItem, frozen=True, kw_only=True):
    """Evidence with all that was read from its file.

    `said_by` tells for each thing known of the run who says it: the `file`, its `context`, `both`,
    or that they `differ`.
    """

    parsed: dict[str, Any]
    parsed_digest: str
    said_by: dict[str, str]


def item(evidence: Evidence, fresh: Freshness, *, recorded: bool = True) -> EvidenceItem:
    """Return evidence as a list shows it."""
    return EvidenceItem(**_shown(evidence, fresh, recorded=recorded))


def body(evidence: Evidence, fresh: Freshness, *, recorded: bool = True) -> EvidenceBody:
    """Return evidence as it is shown alone."""
    parsed = dict(evidence.parsed)
    return EvidenceBody(
        **_shown(evidence, fresh, recorded=recorded),
        parsed=parsed,
        parsed_digest=str(evidence.parsed_digest),
        said_by=said_by(parsed.get("run", {}), parsed.get("context", {})),
    )


def _shown(evidence: Evidence, fresh: Freshness, *, recorded: bool) -> dict[str, Any]:
    tool = {"name": evidence.tool_name, "version": evidence.tool_version}
    context = evidence.context_digest
    return {
        "id": evidence.id if recorded else None,
        "subject": evidence.subject_name,
        "kind": evidence.kind.value,
        "format": evidence.format,
        "file_name": evidence.file_name,
        "digest": str(evidence.digest),
        "size_bytes": evidence.size_bytes,
        "assurance": evidence.assurance.value,
        "assurance_reason": evidence.parsed.get("assurance_reason"),
        "signer": evidence.signer,
        "flags": evidence.flags,
        "bound": dict(evidence.bound),
        "stale": fresh.stale,
        "changes": [ChangeBody(one.component, one.was, one.now) for one in fresh.changes],
        "tool": {name: value for name, value in tool.items() if value is not None},
        "summary": _summary(evidence),
        "produced_at": evidence.produced_at,
        "recorded_at": evidence.recorded_at,
        "recorded_by": evidence.actor,
        "context_digest": None if context is None else str(context),
        "entry_id": evidence.entry_id if recorded else None,
    }


def _summary(evidence: Evidence) -> dict[str, Any]:
    """The few numbers that say what is in it."""
    parsed = evidence.parsed
    dimensions = {metric.get("dimension") for metric in parsed.get("metrics", ())} - {None}
    found = {
        "components": parsed.get("components", {}).get("count"),
        "metrics": len(parsed.get("metrics", ())),
        "dimensions": sorted(dimensions),
    }
    return {name: value for name, value in found.items() if value}
