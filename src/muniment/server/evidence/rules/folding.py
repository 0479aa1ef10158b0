"""How the evidence table follows from the log. Source: design §1 (promise 5), §5.6."""

from __future__ import annotations

from muniment.core.entry import time_text
from muniment.server.evidence.records import Evidence
from muniment.server.ledger.records import Fields, Key, Recorded

ACT = "evidence.add"
PREDICATE_TYPE = "https://muniment.dev/attestation/evidence/v1"


def payload(evidence: Evidence) -> Fields:
    """Return the payload of `evidence.add`: all that its row holds but the entry's own.

    What was read from the file is there by its digest: the file says it again.
    """
    return {
        "subject_kind": evidence.subject_kind,
        "subject_id": evidence.subject_id,
        "subject_name": evidence.subject_name,
        "asset_id": None if evidence.asset_id is None else str(evidence.asset_id),
        "kind": evidence.kind.value,
        "format": evidence.format,
        "format_version": evidence.format_version,
        "digest": evidence.digest.hex,
        "size_bytes": evidence.size_bytes,
        "file_name": evidence.file_name,
        "parsed_digest": evidence.parsed_digest.hex,
        "assurance": evidence.assurance.value,
        "signer": evidence.signer,
        "context_digest": None if evidence.context_digest is None else evidence.context_digest.hex,
        "bound": dict(evidence.bound),
        "flags": list(evidence.flags),
        "tool_name": evidence.tool_name,
        "tool_version": evidence.tool_version,
        "produced_at": None if evidence.produced_at is None else time_text(evidence.produced_at),
    }


def fold_evidence(rows: dict[Key, Fields], entry: Recorded) -> None:
    """Apply `evidence.add`. What is kept of the file and its components must be as digested."""
    if entry.act != ACT or entry.payload is None:
        return
    rows[entry.subject.id] = {
        **entry.payload,
        "recorded_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
        "parsed": "as digested",
        "components": "as digested",
    }
