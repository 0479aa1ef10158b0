"""What follows from a version alone: its place in the order, its lifecycle, its rows.

1. Versions sort by SemVer precedence; build metadata plays no part, so `1.0.0+a` and `1.0.0+b` are
   the same version for ever. Source: SemVer 2.0.0 §10, §11; R-027.
2. The rows a registration writes follow from its ledger entry. Source: design §1, promise 5.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from muniment.core.canon import MAX_INTEGER, canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadRequest
from muniment.core.names import AssetRef, SemVer
from muniment.server.catalog.records import (
    AliasEvent,
    Annotation,
    Asset,
    AssetState,
    HigherAct,
    Kind,
    NewVersion,
    RiskTier,
    Version,
    VersionState,
)

#: Of an integer: the digits after a point may be as many as they are.
_MANY = 16
_MANY_DIGITS = re.compile(r"(?<![0-9.])[0-9]{16}")
#: Lower than every character of a SemVer identifier, so that `alpha` sorts before `alpha-1`.
_END = "!"
#: Higher than the end mark: a release sorts after its prereleases.
_RELEASE = "~"


def precedence_key(version: SemVer) -> str:
    """Return text whose order by code point is SemVer precedence; equal for equal precedence.

    Source: SemVer 2.0.0 §11.
    """
    core = "".join(_number(part) for part in (version.major, version.minor, version.patch))
    if not version.prerelease:
        return core + _RELEASE
    return core + _END + "".join(_identifier(part) for part in version.prerelease.split("."))


def _number(number: int) -> str:
    digits = str(number)
    return f"{len(digits):03d}{digits}"


def _identifier(text: str) -> str:
    return (f"0{_number(int(text))}" if text.isdigit() else f"1{text}") + _END


def timestamp(at: dt.datetime) -> str:
    """Write `at` as RFC 3339 in UTC with six fractional digits and `Z`."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_as_of(text: str) -> dt.datetime:
    """Read the time an answer is to hold: RFC 3339, or a date, which means its end. UTC if unsaid.

    Raises:
        BadRequest: it is neither.
    """
    try:
        if len(text) == len("2026-01-31"):
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time.max, dt.UTC)
        at = dt.datetime.fromisoformat(text.replace(" ", "+"))  # a `+` that a query string lost
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        message = f"expected a time (2026-04-20T08:00:00Z) or a date, found {text[:80]!a}"
        problem = {"field": "as_of", "message": message}
        raise BadRequest(message, problems=[problem]) from None


def json_text(value: Any) -> str:
    """Write `value` as canonical JSON text.

    Raises:
        BadJson: `value` has no canonical form.
    """
    return canonical(value).decode()


def metadata_digest(metadata: Mapping[str, Any]) -> Digest:
    """Return the SHA-256 of the canonical JSON of `metadata`. Source: RFC 8785."""
    return digest_of(canonical(metadata))


def asset_state_json(state: AssetState) -> dict[str, Any]:
    """Return all that is said of an asset, as JSON under the columns' names."""
    return {
        "owner": state.owner,
        "description": state.description,
        "tags": dict(state.tags),
        "backup_owner": state.backup_owner,
        "escalation_contact": state.escalation_contact,
        "risk_tier": state.risk_tier.value if state.risk_tier else None,
    }


def asset_state_from(fields: Mapping[str, Any]) -> AssetState:
    """Read what `asset_state_json` wrote."""
    tier = fields["risk_tier"]
    return AssetState(
        owner=fields["owner"],
        description=fields["description"],
        tags=fields["tags"],
        backup_owner=fields["backup_owner"],
        escalation_contact=fields["escalation_contact"],
        risk_tier=RiskTier(tier) if tier is not None else None,
    )


def version_state_json(state: VersionState) -> dict[str, Any]:
    """Return all that is said of a version, as JSON under the columns' names."""
    return {"description": state.description, "tags": dict(state.tags)}


def version_state_from(fields: Mapping[str, Any]) -> VersionState:
    """Read what `version_state_json` wrote."""
    return VersionState(description=fields["description"], tags=fields["tags"])


def asset_payload(asset: Asset) -> dict[str, Any]:
    """Return the payload of `asset.create`: all that its rows hold."""
    return {
        "namespace": str(asset.ref.namespace),
        "name": str(asset.ref.name),
        "kind": asset.kind.value,
        "state": asset_state_json(asset.state),
    }


def version_payload(version: Version) -> dict[str, Any]:
    """Return the payload of `version.register`: all that its rows hold.

    What follows from the rest (`precedence`, `terms`, `metadata_digest`) is left out; who and when
    are the entry's own. The verb that registers may add members of its own beside `version`.
    """
    return {
        "version": {
            "id": str(version.id),
            "asset_id": str(version.asset_id),
            "number": version.number,
            "version": str(version.version),
            "manifest_digest": version.manifest_digest.hex,
            "size_bytes": version.size_bytes,
            "file_count": version.file_count,
            "formats": list(version.formats),
            "executable": version.executable,
            "metadata": version.metadata,
            "metrics_at_registration": dict(version.metrics_at_registration),
        },
        "state": version_state_json(version.state),
    }


def registered(
    new: NewVersion, asset: AssetRef, kind: Kind, asset_id: uuid.UUID, number: int
) -> Version:
    """Return the version that registering `new` as an asset's `number` makes."""
    return Version(
        id=new.id,
        asset_id=asset_id,
        asset=asset,
        kind=kind,
        number=number,
        version=new.version,
        manifest_digest=new.manifest_digest,
        size_bytes=new.size_bytes,
        file_count=new.file_count,
        formats=new.formats,
        executable=new.executable,
        metadata=new.metadata,
        metadata_digest=digest_of(new.metadata_json),
        metrics_at_registration=new.metrics_at_registration,
        state=new.state,
        revision=1,
        registered_at=new.at,
        registered_by=new.actor,
        entry_id=new.entry_id,
    )


def annotation_payload(said: Annotation) -> dict[str, Any]:
    """Return the payload of `asset.annotate` and `version.annotate`: all that its rows hold."""
    return {
        "asset_id": str(said.asset_id),
        "revision": said.revision,
        "reason": said.reason,
        "changes": {name: list(pair) for name, pair in said.changes.items()},
        "state": dict(said.state),
    }


def alias_payload(event: AliasEvent) -> dict[str, Any]:
    """Return the payload of `alias.set`: all that its rows hold. No version: it was unset.

    An act that moves aliases beside what else it does has these under `alias_moves`.
    """
    return {
        "asset_id": str(event.asset_id),
        "alias": str(event.alias),
        "revision": event.revision,
        "version_id": _id_text(event.version_id),
        "previous_version_id": _id_text(event.previous_version_id),
        "reason": event.reason,
    }


def higher_payload(act: HigherAct) -> dict[str, Any]:
    """Return the member `event` of the payload of an act of a slice above."""
    return {
        "asset_id": str(act.asset_id),
        "version_ids": None if act.version_ids is None else [str(one) for one in act.version_ids],
        "subject": act.subject,
        "reason": act.reason,
        "changes": {name: list(pair) for name, pair in act.changes.items()},
    }


def _id_text(identity: uuid.UUID | None) -> str | None:
    return None if identity is None else str(identity)


def parse_json(text: str) -> Any:
    """Read JSON that the registry keeps in the database.

    The database writes a large number out (1e+300 with all its digits): an integer beyond 2**53,
    which canonical JSON does not have, is read as the float it was.
    """
    if has_many_digits(text):
        return json.loads(text, parse_int=_integer)
    return msgspec.json.decode(text)


def has_many_digits(text: str) -> bool:
    """Say whether JSON `text` may hold an integer that a double cannot, as `parse_json` reads it."""
    return len(text) >= _MANY and _MANY_DIGITS.search(text) is not None


def _integer(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) <= MAX_INTEGER else float(digits)
