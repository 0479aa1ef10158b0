"""Receipts as files: what a stranger needs to check a version without the registry."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muniment.client.manifests import manifest_value
from muniment.client.records import Version

if TYPE_CHECKING:
    from muniment.client.client import Client

PATIENCE = dt.timedelta(seconds=2)  # for one try; the transport repeats it


def version_receipt(client: Client, version: Version) -> dict[str, Any]:
    """Return the receipt of a version's registration, its manifest beside it as `manifest`.

    Raises:
        LogBusy: the log has not included the registration within several seconds.
    """
    receipt = client.versions.receipt(version, wait=PATIENCE)
    return {**receipt, "manifest": manifest_value(client.artifacts.manifest(version))}


def entry_receipt(client: Client, entry_id: str) -> dict[str, Any]:
    """Return the receipt of any entry.

    Raises:
        LogBusy: the log has not included it within several seconds.
    """
    return client.log.receipt(entry_id, wait=PATIENCE)


def save_receipt(client: Client, version: Version, path: Path) -> None:
    """Write `version_receipt` to a file, replacing it."""
    text = json.dumps(version_receipt(client, version), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
