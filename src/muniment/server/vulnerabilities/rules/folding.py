"""How the tables of vulnerabilities follow from the log. Source: design §1 (promise 5), §5.6."""

from __future__ import annotations

from typing import Any, Final

from muniment.core.entry import time_text
from muniment.server.ledger.records import Fields, Key, Recorded
from muniment.server.vulnerabilities.records import Database, Matching, Vex

IMPORT: Final = "vulnerabilities.import"
VEX: Final = "vulnerabilities.vex"
MATCH: Final = "vulnerabilities.match"
#: What is said of the records of the newest snapshot, and of those before it.
AS_DIGESTED: Final = "as digested"
REPLACED: Final = "replaced"


def database_payload(database: Database) -> Fields:
    """Return the payload of `vulnerabilities.import`: all that its row holds but the entry's own."""
    return {
        "ecosystem": database.ecosystem,
        "number": database.number,
        "digest": database.digest.hex,
        "rows_digest": database.rows.hex,
        "dated_at": time_text(database.dated_at),
        "record_count": database.record_count,
        "withdrawn_count": database.withdrawn_count,
        "source_digest": database.source_digest.hex,
        "source_bytes": database.source_bytes,
        "source_name": database.source_name,
    }


def fold_database(rows: dict[Key, Any], entry: Recorded) -> None:
    """Apply `vulnerabilities.import`. The newest snapshot's records must be as digested."""
    if entry.act != IMPORT or entry.payload is None:
        return
    for row in rows.values():
        if row["ecosystem"] == entry.payload["ecosystem"]:
            row["records"] = REPLACED
    rows[entry.subject.id] = {
        **entry.payload,
        "recorded_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
        "records": AS_DIGESTED,
    }


def vex_payload(vex: Vex) -> Fields:
    """Return the payload of `vulnerabilities.vex`: all that its row holds but the entry's own."""
    return {
        "evidence_id": str(vex.evidence_id),
        "subject_kind": vex.subject_kind,
        "subject_id": vex.subject_id,
        "subject_name": vex.subject_name,
        "asset_id": None if vex.asset_id is None else str(vex.asset_id),
        "expires_at": time_text(vex.expires_at),
    }


def fold_vex(rows: dict[Key, Any], entry: Recorded) -> None:
    """Apply `vulnerabilities.vex`."""
    if entry.act != VEX or entry.payload is None:
        return
    rows[entry.subject.id] = {
        **entry.payload,
        "added_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
    }


def matching_payload(matching: Matching) -> Fields:
    """Return the payload of `vulnerabilities.match`: all that its row holds but the entry's own."""
    return {
        "ruleset_id": matching.ruleset_id,
        "databases": dict(matching.databases),
        "component_count": matching.component_count,
        "subject_count": matching.subject_count,
        "changed_count": matching.changed_count,
        "results_digest": matching.results_digest.hex,
        "started_at": time_text(matching.started_at),
        "ended_at": time_text(matching.ended_at),
    }


def fold_matching(rows: dict[Key, Any], entry: Recorded) -> None:
    """Apply `vulnerabilities.match`."""
    if entry.act == MATCH and entry.payload is not None:
        rows[entry.subject.id] = {**entry.payload, "entry_id": str(entry.id)}
