"""Rows of evidence, SBOMs' components and signers. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec

from muniment.core.canon import canonical, loads_strict
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import AlreadyExists
from muniment.core.signers import Signer, SignerKind, SignerUse
from muniment.server.evidence.records import (
    Assurance,
    Component,
    Evidence,
    EvidenceKind,
    KnownSigner,
)
from muniment.server.evidence.rules.parsed import component_json
from muniment.server.evidence.rules.purls import read_purl
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

COLUMNS_ALONE: Final[LiteralString] = """
    SELECT e.id, e.subject_kind, e.subject_id, e.subject_name, e.asset_id, e.kind, e.format,
           e.format_version, e.digest, e.size_bytes, e.file_name, e.parsed, e.parsed_digest,
           e.assurance, e.signer, e.context_digest, e.bound::text AS bound, e.flags, e.tool_name,
           e.tool_version, e.produced_at, e.recorded_at, e.actor_kind, e.actor_id, e.entry_id"""
COLUMNS: Final[LiteralString] = COLUMNS_ALONE + " FROM evidence e"


def to_evidence(row: Row) -> Evidence:
    """Return the evidence in `row` (`COLUMNS`)."""
    context = row["context_digest"]
    return Evidence(
        id=row["id"],
        subject_kind=row["subject_kind"],
        subject_id=row["subject_id"],
        subject_name=row["subject_name"],
        asset_id=row["asset_id"],
        kind=EvidenceKind(row["kind"]),
        format=row["format"],
        format_version=row["format_version"],
        digest=Digest(row["digest"]),
        size_bytes=row["size_bytes"],
        file_name=row["file_name"],
        parsed=loads_strict(row["parsed"]),
        parsed_digest=Digest(row["parsed_digest"]),
        assurance=Assurance(row["assurance"]),
        signer=row["signer"],
        context_digest=None if context is None else Digest(context),
        bound=msgspec.json.decode(row["bound"]),
        flags=tuple(row["flags"]),
        tool_name=row["tool_name"],
        tool_version=row["tool_version"],
        produced_at=row["produced_at"],
        recorded_at=row["recorded_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


_INSERT: Final[LiteralString] = """
    INSERT INTO evidence (id, subject_kind, subject_id, subject_name, asset_id, kind, format,
                          format_version, digest, size_bytes, file_name, parsed, parsed_digest,
                          assurance, signer, context_digest, bound, flags, tool_name,
                          tool_version, produced_at, recorded_at, actor_kind, actor_id,
                          entry_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17::text::jsonb, $18, $19, $20, $21, $22, $23, $24, $25)
    ON CONFLICT ON CONSTRAINT evidence_once DO NOTHING"""


async def insert_all(tx: Tx, new: Sequence[Evidence]) -> set[uuid.UUID]:
    """Keep pieces of evidence; return the ids of those that were not there already."""
    if len(new) == 1:
        tag = await tx.execute(_INSERT, *_values(new[0]))
        return {new[0].id} if tag != "INSERT 0 0" else set()
    await tx.executemany(_INSERT, [_values(one) for one in new])
    rows = await tx.fetch(
        "SELECT e.id FROM evidence e WHERE e.id = ANY($1::uuid[])", [one.id for one in new]
    )
    return {row["id"] for row in rows}


def _values(new: Evidence) -> tuple[Any, ...]:
    return (
        new.id,
        new.subject_kind,
        new.subject_id,
        new.subject_name,
        new.asset_id,
        new.kind.value,
        new.format,
        new.format_version,
        new.digest.raw,
        new.size_bytes,
        new.file_name,
        canonical(dict(new.parsed)),
        new.parsed_digest.raw,
        new.assurance.value,
        new.signer,
        None if new.context_digest is None else new.context_digest.raw,
        canonical(dict(new.bound)).decode(),
        list(new.flags),
        new.tool_name,
        new.tool_version,
        new.produced_at,
        new.recorded_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )


async def find_same(tx: Tx, new: Evidence) -> Evidence | None:
    """Return the evidence that is there already: same subject, kind, file, context and voucher."""
    row = await tx.fetchrow(
        COLUMNS
        + """
        WHERE e.subject_kind = $1 AND e.subject_id = $2 AND e.kind = $3 AND e.digest = $4
          AND e.context_digest IS NOT DISTINCT FROM $5 AND e.assurance = $6
          AND e.signer IS NOT DISTINCT FROM $7""",
        new.subject_kind,
        new.subject_id,
        new.kind.value,
        new.digest.raw,
        None if new.context_digest is None else new.context_digest.raw,
        new.assurance.value,
        new.signer,
    )
    return None if row is None else to_evidence(row)


async def insert_components(tx: Tx, new: Evidence, components: Sequence[Component]) -> None:
    """Keep an SBOM's components in their order, each distinct one once in all. Two statements."""
    bodies = [canonical(component_json(one)) for one in components]
    digests = [digest_of(body).raw for body in bodies]
    distinct = {digest: at for at, digest in enumerate(digests)}
    await tx.execute(
        """
        INSERT INTO component (digest, name, version, purl, package, body)
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::text[])
        ORDER BY 1
        ON CONFLICT (digest) DO NOTHING
        """,
        list(distinct),
        [components[at].name for at in distinct.values()],
        [components[at].version for at in distinct.values()],
        [components[at].purl for at in distinct.values()],
        [_package(components[at].purl) for at in distinct.values()],
        [bodies[at].decode() for at in distinct.values()],
    )
    await tx.execute(
        """
        INSERT INTO evidence_component (evidence_id, position, component_id)
        SELECT $1, o.position - 1, c.id
        FROM unnest($2::bytea[]) WITH ORDINALITY AS o (digest, position)
        JOIN component c ON c.digest = o.digest
        """,
        new.id,
        digests,
    )


# --- signers -------------------------------------------------------------------------------------

SIGNERS: Final[LiteralString] = """
    SELECT s.id, s.name, s.kind, s.pem, s.uses, s.builders, s.identities, s.issuer, s.added_at, s.removed_at
    FROM signer s"""


def to_signer(row: Row) -> KnownSigner:
    """Return the signer in `row` (`SIGNERS`)."""
    signer = Signer(
        name=row["name"],
        kind=SignerKind(row["kind"]),
        pem=row["pem"],
        uses=frozenset(map(SignerUse, row["uses"])),
        builders=tuple(row["builders"]),
        identities=tuple(row["identities"]),
        issuer=row["issuer"],
    )
    return KnownSigner(row["id"], signer, row["added_at"], row["removed_at"])


async def insert_signer(tx: Tx, new: KnownSigner) -> None:
    """Keep a signer.

    Raises:
        AlreadyExists: there is one of that name. Nothing is written.
    """
    signer = new.signer
    made = await tx.fetchval(
        """
        INSERT INTO signer (id, name, kind, pem, uses, builders, identities, issuer, added_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (name) WHERE removed_at IS NULL DO NOTHING RETURNING true
        """,
        new.id,
        signer.name,
        signer.kind.value,
        signer.pem,
        sorted(signer.uses),
        list(signer.builders),
        list(signer.identities),
        signer.issuer,
        new.added_at,
    )
    if not made:
        raise AlreadyExists(
            f"there is a signer called {signer.name!r} already, and it is another: remove it first,"
            " or choose another name"
        )


async def remove_signer(tx: Tx, name: str, at: dt.datetime) -> uuid.UUID | None:
    """End the signer of that name for good; return its id, None if there is none."""
    found: uuid.UUID | None = await tx.fetchval(
        "UPDATE signer SET removed_at = $2 WHERE name = $1 AND removed_at IS NULL RETURNING id",
        name,
        at,
    )
    return found


async def lock_signature(tx: Tx, version_id: uuid.UUID) -> None:
    """Have whoever else signs this version with the registry's key wait until `tx` ends."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('signature ' || $1::text, 0))",
        str(version_id),
    )


def _package(purl: str | None) -> str | None:
    """Return what other purls of the same package share; None where a component has no purl."""
    found = None if purl is None else read_purl(purl)
    return None if found is None else found.key
