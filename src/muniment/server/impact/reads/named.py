"""Versions and runs that are here, by what they are named by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import msgspec

from muniment.core.digest import Digest
from muniment.core.names import AssetName, AssetRef, Namespace, SemVer, VersionRef
from muniment.server import catalog
from muniment.server.impact.records import Node, NodeKind, Said, Subject, Voucher
from muniment.server.ports.db import Row, Tx

COLUMNS: Final[LiteralString] = """
    SELECT v.id, a.namespace, a.name, a.kind, v.version, v.number, v.manifest_digest,
           v.metadata::text AS metadata, v.registered_at, v.actor_kind, v.actor_id,
           ARRAY(SELECT x.name FROM asset_naming x WHERE x.asset_id = a.id ORDER BY x.since) AS names
    FROM version v JOIN asset a ON a.id = v.asset_id"""


async def find_subject(tx: Tx, ref: VersionRef) -> Subject:
    """Return the version that `ref` names, whatever its standing.

    Raises:
        NotFound: there is none.
    """
    version = await catalog.find_version(tx, ref.asset, ref.at)
    if version is None:
        version = await catalog.get_version(tx, ref)
    [one] = await subjects_of(tx, COLUMNS + " WHERE v.id = $1", version.id)
    return one


async def subjects_of(tx: Tx, sql: LiteralString, *args: object) -> list[Subject]:
    """Return the versions of a query, with their provenance."""
    rows = await tx.fetch(sql, *args)
    vouchers: dict[str, list[Voucher]] = {}
    ids = [str(row["id"]) for row in rows]
    for row in await tx.fetch(_VOUCHERS, ids) if ids else ():
        vouchers.setdefault(row["subject_id"], []).append(_voucher(row))
    return [subject_of(row, tuple(vouchers.get(str(row["id"]), ()))) for row in rows]


_VOUCHERS: Final[LiteralString] = """
    SELECT e.id, e.subject_id, e.assurance, e.signer, e.parsed FROM evidence e
    WHERE e.subject_kind = 'version' AND e.subject_id = ANY($1::text[]) AND e.kind = 'provenance'
    ORDER BY e.assurance DESC, e.recorded_at, e.id"""


def _voucher(row: Row) -> Voucher:
    details = msgspec.json.decode(row["parsed"])["details"]
    materials = tuple((one["uri"], one["digest"]) for one in details.get("materials", ()))
    verified = row["assurance"] == "verified"
    return Voucher(row["id"], verified, row["signer"], details.get("invocation", ""), materials)


def subject_of(row: Row, vouchers: tuple[Voucher, ...] = ()) -> Subject:
    """Return a row of `COLUMNS` as a version."""
    return Subject(
        id=row["id"],
        asset=AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
        kind=row["kind"],
        version=row["version"],
        number=row["number"],
        manifest=str(Digest(row["manifest_digest"])),
        metadata=msgspec.json.decode(row["metadata"]),
        registered_at=row["registered_at"],
        registered_by=f"{row['actor_kind']}:{row['actor_id']}",
        assets=tuple(AssetRef(Namespace(row["namespace"]), AssetName(x)) for x in row["names"]),
        vouchers=vouchers,
    )


@dataclass(frozen=True, slots=True)
class Here:
    """Versions of this registry that are named: by reference, and by the digest of their files."""

    named: dict[str, Subject]
    digests: dict[str, list[Subject]]


async def versions_named(tx: Tx, every: Sequence[Said]) -> Here:
    """Return which of the things named are versions here."""
    wanted = [one.reference for one in every if one.reference is not None]
    named = await subjects_of(
        tx,
        _BY_NAME,
        [str(ref.asset.namespace) for ref in wanted],
        [str(ref.asset.name) for ref in wanted],
        [catalog.precedence_key(ref.at) if isinstance(ref.at, SemVer) else None for ref in wanted],
        [ref.at if isinstance(ref.at, int) else None for ref in wanted],
    ) if wanted else []  # fmt: skip
    by_name: dict[str, Subject] = {}
    for one in named:
        precedence = catalog.precedence_key(SemVer.parse(one.version))
        for asset in one.assets:
            by_name[f"{asset}@{precedence}"] = by_name[f"{asset}@{one.number}"] = one
    digests = {one.node.digest for one in every if one.node.kind in _FILES and one.node.digest}
    raw = [bytes.fromhex(each[7:]) for each in digests if _is_sha256(each)]
    held = (
        await subjects_of(tx, COLUMNS + " WHERE v.manifest_digest = ANY($1::bytea[])", raw)
        if raw
        else []
    )
    by_digest: dict[str, list[Subject]] = {}
    for one in held:
        by_digest.setdefault(one.manifest, []).append(one)
    return Here(by_name, by_digest)


_FILES: Final = frozenset({NodeKind.BASE_MODEL, NodeKind.MATERIAL})
_BY_NAME: Final[LiteralString] = (
    COLUMNS  # noqa: S608 -- columns only
    + """
    JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS r(namespace, name, precedence, number)
      ON a.id = (SELECT x.asset_id FROM asset_naming x WHERE x.namespace = r.namespace AND x.name = r.name)
     AND (v.precedence = r.precedence OR v.number = r.number)"""
)


def _is_sha256(text: str) -> bool:
    hexed = text.removeprefix("sha256:")
    return text != hexed and len(hexed) == 64 and all(c in "0123456789abcdef" for c in hexed)  # noqa: PLR2004 -- hex digits


def key_of(ref: VersionRef) -> str:
    """Return by what a version is found in `Here.named`."""
    at = catalog.precedence_key(ref.at) if isinstance(ref.at, SemVer) else ref.at
    return f"{ref.asset}@{at}"


async def tracked_runs(tx: Tx, ids: Sequence[str]) -> dict[str, Node]:
    """Return those runs that are tracked here, by id."""
    if not ids:
        return {}
    rows = await tx.fetch(
        """
        SELECT r.id, r.name, r.status, r.user_name, r.experiment_id,
               r.tags->>'mlflow.source.git.commit' AS commit
        FROM tracking_run r WHERE r.id = ANY($1::text[])
        """,
        list(set(ids)),
    )
    return {row["id"]: _run_node(row) for row in rows}


def _run_node(row: Row) -> Node:
    about = {
        "run_id": row["id"],
        "status": row["status"],
        "user": row["user_name"],
        "experiment": str(row["experiment_id"]),
        "commit": row["commit"] or "",
    }
    about = {name: text for name, text in about.items() if text}
    label = row["name"] or row["id"]
    return Node(NodeKind.RUN, row["id"], label, None, about, frozenset({row["id"]}))
