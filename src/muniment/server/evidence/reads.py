"""What is asked of evidence: of a version, one by one, its components, and what it needs held."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import msgspec

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.core.errors import NotFound
from muniment.server.catalog.records import Version
from muniment.server.evidence.records import (
    About,
    Component,
    Evidence,
    EvidenceKind,
    KnownSigner,
)
from muniment.server.evidence.rules import signers as signer_rules
from muniment.server.evidence.rules.folding import fold_evidence, payload
from muniment.server.evidence.rules.parsed import component_from, components_digest
from muniment.server.evidence.rules.vouching import REGISTRY
from muniment.server.evidence.store import (
    COLUMNS,
    COLUMNS_ALONE,
    SIGNERS,
    to_evidence,
    to_signer,
)
from muniment.server.ledger.records import Fields, Fold, Key, NeededBlob, Recorded
from muniment.server.ports.db import Row, Tx

#: Earlier than every piece of evidence.
_BEGIN: Final = (dt.datetime(1, 1, 2, tzinfo=dt.UTC), uuid.UUID(int=0))


async def of(
    tx: Tx, version: Version, *, kind: EvidenceKind | None = None, as_of: dt.datetime | None = None
) -> list[Evidence]:
    """Return the evidence recorded of a version itself, oldest first."""
    return await about(tx, "version", str(version.id), kind=kind, as_of=as_of)


async def about(
    tx: Tx,
    subject_kind: str,
    subject_id: str,
    *,
    kind: EvidenceKind | None = None,
    as_of: dt.datetime | None = None,
) -> list[Evidence]:
    """Return the evidence recorded of a subject (a composite by its CVI), oldest first."""
    rows = await tx.fetch(
        _ABOUT,
        subject_kind,
        subject_id,
        None if kind is None else kind.value,
        as_of,
    )
    return [to_evidence(row) for row in rows]


_ABOUT: Final[LiteralString] = COLUMNS + (
    """
    WHERE e.subject_kind = $1 AND e.subject_id = $2
      AND ($3::text IS NULL OR e.kind = $3)
      AND ($4::timestamptz IS NULL OR e.recorded_at <= $4)
    ORDER BY e.recorded_at, e.id"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which evidence of a version: `after` is the position of the last one shown.

    `earlier` adds that of the asset's earlier versions, which may be stale for this one.
    """

    kind: EvidenceKind | None = None
    earlier: bool = False
    after: tuple[dt.datetime, uuid.UUID] = _BEGIN
    limit: int = 50
    as_of: dt.datetime | None = None


async def page(tx: Tx, version: Version, wanted: Wanted) -> list[Evidence]:
    """Return evidence of a version, oldest first; `wanted.limit` and one more."""
    rows = await tx.fetch(
        _PAGE,
        str(version.id),
        version.asset_id,
        wanted.earlier,
        version.number,
        None if wanted.kind is None else wanted.kind.value,
        *wanted.after,
        wanted.limit + 1,
        wanted.as_of,
    )
    return [to_evidence(row) for row in rows]


async def page_about(tx: Tx, subject: About, wanted: Wanted) -> list[Evidence]:
    """Return evidence of a subject itself, oldest first; `wanted.limit` and one more."""
    rows = await tx.fetch(
        COLUMNS
        + """
        WHERE e.subject_kind = $1 AND e.subject_id = $2 AND ($3::text IS NULL OR e.kind = $3)
          AND (e.recorded_at, e.id) > ($4, $5) ORDER BY e.recorded_at, e.id LIMIT $6
        """,
        subject.kind,
        subject.id,
        None if wanted.kind is None else wanted.kind.value,
        *wanted.after,
        wanted.limit + 1,
    )
    return [to_evidence(row) for row in rows]


_PAGE: Final[LiteralString] = (
    COLUMNS  # noqa: S608 -- columns only
    + """
    WHERE (e.subject_kind = 'version' AND e.subject_id = $1
           OR $3 AND e.asset_id = $2 AND e.subject_kind = 'version'
              AND e.subject_id IN (SELECT v.id::text FROM version v
                                   WHERE v.asset_id = $2 AND v.number < $4))
      AND ($5::text IS NULL OR e.kind = $5)
      AND (e.recorded_at, e.id) > ($6, $7)
      AND ($9::timestamptz IS NULL OR e.recorded_at <= $9)
    ORDER BY e.recorded_at, e.id LIMIT $8"""
)


async def bearing(tx: Tx, version: Version) -> list[Evidence]:
    """Return the evidence that may bear on a version, oldest first; scans and matchings are left out.

    That is its own; that of earlier versions of its asset with the same files; and the evaluations
    of the last earlier version that has any, which tell what changed since.
    """
    rows = await tx.fetch(
        _BEARING,
        str(version.id),
        version.asset_id,
        version.number,
        canonical({version.kind.value: str(version.manifest_digest)}).decode(),
    )
    return [to_evidence(row) for row in rows]


_BEARING: Final[LiteralString] = (
    """WITH earlier AS MATERIALIZED (
        SELECT v.id::text AS id, v.number FROM version v WHERE v.asset_id = $2 AND v.number < $3)"""  # noqa: S608 -- columns only
    + COLUMNS
    + """
    WHERE e.subject_kind = 'version' AND e.kind NOT IN ('scan', 'vulnerabilities')
      AND (e.subject_id = $1
           OR e.asset_id = $2 AND e.subject_id IN (SELECT id FROM earlier)
              AND (e.bound @> $4::text::jsonb
                   OR e.kind = 'evaluation' AND e.subject_id = (
                       SELECT o.subject_id FROM evidence o JOIN earlier ON earlier.id = o.subject_id
                       WHERE o.asset_id = $2 AND o.subject_kind = 'version'
                         AND o.kind = 'evaluation'
                       ORDER BY earlier.number DESC LIMIT 1)))
    ORDER BY e.recorded_at, e.id"""
)


async def find_evidence(tx: Tx, about_: About, evidence_id: uuid.UUID) -> Evidence:
    """Return one piece of evidence of a subject.

    Raises:
        NotFound: it has none of that id.
    """
    row = await tx.fetchrow(
        COLUMNS + " WHERE e.id = $1 AND e.subject_kind = $2 AND e.subject_id = $3",
        evidence_id,
        about_.kind,
        about_.id,
    )
    if row is None:
        raise NotFound(f"{about_.name} has no evidence {evidence_id}")
    return to_evidence(row)


async def find_plan(tx: Tx, asset_id: uuid.UUID, plan_id: uuid.UUID | None) -> Evidence:
    """Return a gate plan recorded of any version of an asset: that of an id, or else the newest.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(_PLAN, asset_id, plan_id)
    if row is None:
        raise NotFound(
            "this asset has no such gate plan: add one with `muniment evidence add`"
            " (`muniment/gate-plan/v1`) before its evaluations run"
        )
    return to_evidence(row)


_PLAN: Final[LiteralString] = (
    COLUMNS
    + """
    WHERE e.asset_id = $1 AND e.kind = 'gate' AND e.format = 'gate-plan'
      AND ($2::uuid IS NULL OR e.id = $2)
    ORDER BY e.recorded_at DESC, e.id DESC LIMIT 1"""
)


async def find_plan_for(
    tx: Tx, cvi: str, assets: Sequence[uuid.UUID], plan_id: uuid.UUID | None
) -> Evidence:
    """Return a gate plan for a composite: that of an id, or else the newest of its own.

    Else that of the first of `assets` that has one. An id must be of one of these, too.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(_PLAN_FOR, cvi, list(assets), plan_id)
    if row is None:
        raise NotFound(
            "neither this composite nor an asset of it has such a gate plan: add one with"
            " `muniment evidence add` (`muniment/gate-plan/v1`) before its evaluations run"
        )
    return to_evidence(row)


_PLAN_FOR: Final[LiteralString] = (
    COLUMNS
    + """
    WHERE (e.subject_kind = 'composite' AND e.subject_id = $1 OR e.asset_id = ANY($2::uuid[]))
      AND e.kind = 'gate' AND e.format = 'gate-plan' AND ($3::uuid IS NULL OR e.id = $3)
    ORDER BY e.subject_kind = 'composite' DESC, array_position($2::uuid[], e.asset_id),
             e.recorded_at DESC, e.id DESC
    LIMIT 1"""
)


async def held_files(tx: Tx, about_: About, digests: Sequence[Digest]) -> dict[Digest, int]:
    """Return those of `digests` that are files of the subject's evidence already, with their sizes."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT e.digest, e.size_bytes FROM evidence e
        WHERE e.subject_kind = $1 AND e.subject_id = $2 AND e.digest = ANY($3::bytea[])
        UNION
        SELECT DISTINCT e.context_digest, b.size_bytes
        FROM evidence e JOIN blob b ON b.digest = e.context_digest
        WHERE e.subject_kind = $1 AND e.subject_id = $2 AND e.context_digest = ANY($3::bytea[])
        """,
        about_.kind,
        about_.id,
        [digest.raw for digest in digests],
    )
    return {Digest(row["digest"]): row["size_bytes"] for row in rows}


async def components(
    tx: Tx, evidence_id: uuid.UUID, *, after: int = -1, limit: int = 500
) -> list[Component]:
    """Return an SBOM's components after a position, in the order of its file."""
    rows = await tx.fetch(
        """
        SELECT c.body FROM evidence_component x JOIN component c ON c.id = x.component_id
        WHERE x.evidence_id = $1 AND x.position > $2 ORDER BY x.position LIMIT $3
        """,
        evidence_id,
        after,
        limit,
    )
    return [component_from(msgspec.json.decode(row["body"])) for row in rows]


async def named_blobs(tx: Tx, digests: Sequence[Digest]) -> set[Digest]:
    """Return which of `digests` are the file or the context of some evidence."""
    rows = await tx.fetch(
        """
        SELECT digest FROM evidence WHERE digest = ANY($1::bytea[])
        UNION SELECT context_digest FROM evidence WHERE context_digest = ANY($1::bytea[])
        """,
        [digest.raw for digest in digests],
    )
    return {Digest(row["digest"]) for row in rows}


async def required_blobs(tx: Tx) -> AsyncIterator[NeededBlob]:
    """Yield every blob some evidence needs: its file and its context."""
    async for row in tx.cursor(
        """
        SELECT e.digest, e.size_bytes, e.subject_name, e.file_name FROM evidence e
        UNION ALL
        SELECT e.context_digest, b.size_bytes, e.subject_name, e.file_name || ' (context)'
        FROM evidence e LEFT JOIN blob b ON b.digest = e.context_digest
        WHERE e.context_digest IS NOT NULL
        """
    ):
        what_for = f"evidence of {row['subject_name']}: {row['file_name']}"
        yield NeededBlob(Digest(row["digest"]), row["size_bytes"] or 0, what_for)


class EvidenceFold:
    """`evidence`, and whether what was read from each file is still what the log has the digest of."""

    table = "evidence"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `evidence.add`."""
        fold_evidence(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row; whether its components are those in `parsed` is a field."""
        async for row in tx.cursor(_STORED, prefetch=50):
            yield str(row["id"]), _fields(row)


_STORED: Final[LiteralString] = (
    COLUMNS_ALONE  # noqa: S608 -- columns only
    + """, ARRAY(SELECT c.body FROM evidence_component x JOIN component c ON c.id = x.component_id
                 WHERE x.evidence_id = e.id ORDER BY x.position) AS components
    FROM evidence e ORDER BY e.id"""
)


def _fields(row: Row) -> Fields:
    evidence = to_evidence(row)
    parsed = evidence.parsed
    bodies = [msgspec.json.decode(body) for body in row["components"]]
    said = parsed.get("components", {"count": 0, "sha256": components_digest(()).hex})
    components_agree = said == {"count": len(bodies), "sha256": components_digest(bodies).hex}
    from_log: dict[str, Any] = payload(evidence)
    return {
        **from_log,
        "parsed": "as digested"
        if digest_of(row["parsed"]) == evidence.parsed_digest == digest_of(canonical(parsed))
        else "not as digested",
        "components": "as digested" if components_agree else "not as digested",
        "recorded_at": time_text(evidence.recorded_at),
        "actor_kind": evidence.actor.kind,
        "actor_id": evidence.actor.id,
        "entry_id": str(evidence.entry_id),
    }


async def signers(tx: Tx, *, removed: bool = False) -> list[KnownSigner]:
    """Return whose signatures are believed, by name; `removed` adds who was, last."""
    rows = await tx.fetch(
        SIGNERS
        + " WHERE $1 OR s.removed_at IS NULL ORDER BY s.removed_at IS NOT NULL, s.name, s.id",
        removed,
    )
    return [to_signer(row) for row in rows]


async def registry_signature(tx: Tx, version: Version) -> Evidence | None:
    """Return the registry's own signature of a version, None if it has not signed it."""
    row = await tx.fetchrow(
        COLUMNS
        + """
        WHERE e.subject_kind = 'version' AND e.subject_id = $1 AND e.kind = 'signature'
          AND e.signer = $2 ORDER BY e.recorded_at, e.id LIMIT 1""",
        str(version.id),
        REGISTRY,
    )
    return None if row is None else to_evidence(row)


class SignerFold:
    """`signer`: who was added, and removed."""

    table = "signer"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `signer.add` and `signer.remove`."""
        signer_rules.fold_signer(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row."""
        async for row in tx.cursor(SIGNERS + " ORDER BY s.id"):
            yield signer_rules.row(to_signer(row))


#: How this slice's tables follow from the log.
FOLDS: Final[tuple[Fold, ...]] = (EvidenceFold(), SignerFold())
