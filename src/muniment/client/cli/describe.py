"""Records as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from muniment.client.cli.screen import amount, fields, files_and_size, safe, table
from muniment.client.manifests import ManifestFile
from muniment.client.records import Asset, Change, Completeness, Fetch, Version

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.advice import ApprovedFor, LifecycleOf
    from muniment.client.consumers import Counts

_FILES_SHOWN = 50


def ref_of(namespace: str, name: str) -> str:
    """Return `[NAMESPACE/]NAME`."""
    return name if namespace == "default" else f"{namespace}/{name}"


def asset_fields(asset: Asset) -> RenderableType:
    """Return one asset."""
    return fields(
        [
            ("Asset", ref_of(asset.namespace, asset.name)),
            ("Kind", asset.kind),
            ("Description", asset.description),
            ("Former names", asset.former_names),
            ("Deleted through MLflow", asset.tombstoned_at),
            ("Owner", asset.owner),
            ("Backup owner", asset.backup_owner),
            ("Escalation contact", asset.escalation_contact),
            ("Risk tier", asset.risk_tier),
            ("Tags", asset.tags),
            ("Created", asset.created_at),
            ("Updated", asset.updated_at),
            ("Revision", asset.revision),
        ]
    )


def version_fields(version: Version, now: LifecycleOf | None = None) -> RenderableType:
    """Return one version; with `now`, what it may do and where it is or was approved for."""
    return fields(
        [
            ("Version", version.ref),
            ("Number", version.number),
            ("Kind", version.kind),
            ("Lifecycle", version.lifecycle if now is None else now.lifecycle),
            ("No candidate, because", [] if now is None else reason_lines(now)),
            ("Quarantined", "yes" if version.quarantined else None),
            ("Approved", [] if now is None else [approval_line(one) for one in now.approvals]),
            *standing_fields(version.standing or {}),
            ("Aliases", version.aliases),
            ("Description", version.description),
            ("Tags", version.tags),
            ("Metrics at registration", version.metrics_at_registration),
            ("Formats", version.formats),
            ("Runs code when loaded", "yes" if version.executable else None),
            ("Manifest", version.manifest_digest),
            ("Size", files_and_size(version.file_count, version.size_bytes)),
            ("Registered", version.registered_at),
            ("Registered by", version.registered_by.get("name") or version.registered_by.get("id")),
            ("Log entry", version.entry_id),
        ]
    )


def reason_lines(now: LifecycleOf) -> list[str]:
    """Return what keeps a draft from being a candidate; its metadata is told of elsewhere."""
    return [f"{one.code}: {one.message}" for one in now.reasons if one.code != "metadata"]


def approval_line(one: ApprovedFor) -> str:
    """Return in words whether a version is approved for an environment, as of now."""
    if one.holds:
        return f"for {one.environment} until {one.expires_at:%Y-%m-%d} ({one.decision_id})"
    why = "; ".join(each.message for each in one.reasons)
    return f"not for {one.environment}: {why}"


def consumers_line(found: Counts, ref: str) -> list[str]:
    """Return how many consumers there are, and the command that lists them; nothing if there is none."""
    if not found.consumers:
        return []
    due = f", {found.unacknowledged} to be acknowledged" if found.unacknowledged else ""
    return [f"Consumers: {found.consumers}{due} (`muniment consumer list {ref}`)"]


def standing_fields(standing: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return what was said of a version's use."""
    names = ("reason", "replacement", "sunset", "quarantine_reason")
    return [(name.replace("_", " ").capitalize(), standing.get(name)) for name in names]


def fetch_fields(fetch: Fetch) -> RenderableType:
    """Return one registration whose bytes are fetched first."""
    ref = f"{ref_of(fetch.namespace, fetch.name)}@{fetch.number}"
    return fields(
        [
            ("Version", ref),
            ("State", fetch.state),
            ("Reason", fetch.reason),
            ("Source", fetch.source),
            ("Run", fetch.run_id),
            ("Logged model", fetch.model_id),
            ("Asked for", fetch.asked_at),
            ("Asked by", fetch.asked_by.get("name") or fetch.asked_by.get("id")),
            ("Ended", fetch.ended_at),
            ("Fetch", fetch.id),
            ("Log entry", fetch.entry_id),
        ]
    )


def versions_table(versions: Iterable[Version]) -> RenderableType:
    """Return versions, one a line."""
    columns = ("Version", "No.", "Kind", "Lifecycle", "Aliases", "Size", "Registered")
    rows = (
        (
            version.ref,
            version.number,
            version.kind,
            version.lifecycle,
            version.aliases,
            amount(version.size_bytes),
            version.registered_at,
        )
        for version in versions
    )
    return table(columns, rows)


def assets_table(assets: Iterable[Asset]) -> RenderableType:
    """Return assets, one a line."""
    rows = (
        (ref_of(asset.namespace, asset.name), asset.kind, asset.owner, asset.risk_tier, asset.tags)
        for asset in assets
    )
    return table(("Asset", "Kind", "Owner", "Risk tier", "Tags"), rows)


def files_table(files: Sequence[ManifestFile]) -> list[RenderableType]:
    """Return the files of a version, the first ones if there are very many."""
    rows = [(file.path, amount(file.size_bytes), file.digest.hex) for file in files[:_FILES_SHOWN]]
    shown: list[RenderableType] = [table(("File", "Size", "SHA-256"), rows)]
    if len(files) > _FILES_SHOWN:
        shown.append(f"… and {len(files) - _FILES_SHOWN} more; `--json` lists all")
    return shown


def completeness_lines(found: Completeness | None) -> list[str]:
    """Return how complete a version is, and each gap with how to fill it."""
    if found is None:
        return []
    present, verified = found.present_percent, found.verified_percent
    lines = [f"Complete for candidate: {present:.0f} % present, {verified:.0f} % verified"]
    if found.gaps:
        lines.append("Missing:")
    for gap in found.gaps:
        lines.append(f"  - `{safe(gap.field)}`: {safe(gap.why)}")
        if gap.fix:
            lines.append(f"    Fix: {safe(gap.fix)}")
    return lines


def changes_table(changes: Iterable[Change]) -> RenderableType:
    """Return a history, newest first."""
    rows = (
        (
            change.at,
            change.act,
            change.subject,
            change.actor.get("name") or change.actor.get("id"),
            _what_changed(change),
            change.reason,
            change.entry_id,
        )
        for change in changes
    )
    return table(("At", "Act", "Subject", "By", "Change", "Reason", "Log entry"), rows)


def _what_changed(change: Change) -> str:
    if change.version or change.previous_version:
        return f"{change.previous_version or 'nothing'} → {change.version or 'nothing'}"
    parts = []
    for field, value in change.changes.items():
        if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 -- before, after
            parts.append(f"{field}: {value[0]!r} → {value[1]!r}")
        else:
            parts.append(f"{field}: {value!r}")
    return "; ".join(parts)
