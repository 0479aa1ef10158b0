"""The same registry in both servers: `size` versions of `size / 10` assets.

Version n (from 0) of asset a is `model-000aa@1.n.0`, MLflow's number n + 1. Each has a description
and the tags `team` (one of 100, so 1 % match), `framework` and `stage`; each asset's alias
`champion` points at its last version. Ours carry metadata and metrics as well, which MLflow's
cannot.

Ours: the first thousand are registered through the API; the rest are written into the catalog's
tables by SQL, as registering them would have (the ledger does not cover those: `fsck` would say
so; nothing measured here reads the ledger by size). MLflow's are all written by SQL.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

from bench.load import Request, drive
from bench.peers import Mlflow, Muniment
from muniment import Client
from muniment.core.names import SemVer
from muniment.server.catalog.rules.terms import metrics_of, terms
from muniment.server.catalog.rules.versions import json_text, metadata_digest, precedence_key
from muniment.server.ports import embedded_postgres

EACH = 10
BY_API = 1000
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
#: For whoever fills an empty database with the rows below.
NAMESPACE = """
    INSERT INTO namespace (name, created_at, actor_kind, actor_id, mode, production_aliases,
                           updated_at)
    VALUES ('default', now(), 'system', 'bench', 'observe', '{champion}', now())"""
DESCRIPTION = "Scores card payments for the fraud desk."
FORMATS = ["text"]


def asset(at: int) -> str:
    """Name of asset `at`."""
    return f"model-{at:05}"


def tags(at: int) -> dict[str, str]:
    """Tags of version `at`, counted over all assets."""
    return {"team": f"team-{at // EACH % 100}", "framework": "sklearn", "stage": "trial"}


def metadata(at: int) -> dict[str, Any]:
    """What is said of version `at` when it is registered."""
    return {
        "license": "Apache-2.0",
        "training_datasets": [{"name": f"transactions-{at % 50}", "version": "2026-01"}],
        "frameworks": [{"name": "scikit-learn", "version": "1.7.2"}],
        "metrics": {"auc": 0.9 + at % 97 / 1000, "f1": 0.8},
        "hyperparameters": {"max_depth": at % 12},
        "intended_use": "Triage of card fraud by analysts.",
    }


def registration(at: int, version: str, sha256: str) -> dict[str, Any]:
    """Body of a registration of one small file that is held already."""
    return {
        "version": version,
        "files": [{"path": "model.txt", "sha256": sha256, "size_bytes": 16}],
        "metadata": metadata(at),
        "description": DESCRIPTION,
        "tags": tags(at),
        "create_asset": {"kind": "model", "owner": "fraud-desk"},
    }


def first_blob(url: str, token: str, directory: Path) -> str:
    """Send the one small file all versions have; return its SHA-256 in hex."""
    file = directory / "model.txt"
    file.write_bytes(b"sixteen bytes...")
    with Client(url, token) as client:
        # A person moves `champion` here, as in MLflow.
        client.namespaces.create("default", mode="observe")
        made = client.register("seed", version="0.0.1", artifact=file, kind="model", owner="bench")
        manifest = client.artifacts.manifest(client.get(f"{made.name}@0.0.1"))
    return manifest[0].digest.hex


async def register_first(peer: Muniment, sha256: str) -> None:
    """Register the first thousand through the API, asset by asset."""

    def all_of() -> Iterator[Request]:
        for n in range(EACH):
            for a in range(BY_API // EACH):
                path = f"/api/v1/assets/default/{asset(a)}/versions"
                yield Request("POST", path, registration(a * EACH + n, f"1.{n}.0", sha256))
        for a in range(BY_API // EACH):
            path = f"/api/v1/assets/default/{asset(a)}/aliases/champion"
            yield Request("PUT", path, {"version": f"1.{EACH - 1}.0"})

    done = await drive(
        peer.port, all_of(), clients=8, seconds=600, headers=peer.headers, cpu_seconds=lambda: 0.0
    )
    if done.errors:
        raise RuntimeError(f"{done.errors} of {done.requests} registrations were refused")


async def fill_muniment(peer: Muniment, old: int, new: int) -> None:
    """Write versions [old, new) into the tables of a running server."""
    with embedded_postgres.attach_or_start(peer.data) as postgres:
        db = await asyncpg.connect(postgres.owner_url)
    try:
        digest = await db.fetchval("SELECT manifest_digest FROM version LIMIT 1")
        async with db.transaction():
            for table, columns, rows in _our_rows(old, new, digest):
                await db.copy_records_to_table(table, columns=columns.split(), records=rows)
        await db.execute("ANALYZE")
    finally:
        await db.close()


def _our_rows(old: int, new: int, manifest: bytes) -> Iterator[tuple[str, str, list[Any]]]:
    ids = {at: uuid.uuid4() for at in range(old, new)}
    assets = {a: uuid.uuid4() for a in range(old // EACH, new // EACH)}
    who = ("person", "bench")
    state: dict[str, Any] = {"owner": "fraud-desk", "description": "", "tags": {}, "backup_owner": None,
             "escalation_contact": None, "risk_tier": None}  # fmt: skip
    yield (
        "asset",
        """id namespace name kind created_at actor_kind actor_id entry_id revision updated_at
        description owner tags next_number""",
        [
            (id_, "default", asset(a), "model", _at(a * EACH), *who, id_, 1, _at(a * EACH),
             "", "fraud-desk", "{}", EACH + 1)
            for a, id_ in assets.items()
        ],
    )  # fmt: skip
    yield (
        "asset_naming",
        "namespace name asset_id since entry_id",
        [("default", asset(a), id_, _at(a * EACH), id_) for a, id_ in assets.items()],
    )
    yield (
        "version",
        """id asset_id number version precedence manifest_digest size_bytes file_count formats
        executable metadata metadata_digest metrics_at_registration registered_at
        actor_kind actor_id entry_id""",
        [_our_version(at, id_, assets[at // EACH], manifest) for at, id_ in ids.items()],
    )
    yield (
        "version_label",
        "version_id asset_id registered_at actor_id metrics terms revision updated_at description tags",
        [_our_label(at, id_, assets[at // EACH]) for at, id_ in ids.items()],
    )
    yield (
        "annotation",
        """subject_id revision subject_kind asset_id at actor_kind actor_id reason changes state
        entry_id""",
        [
            *((id_, 1, "asset", id_, _at(a * EACH), *who, "", "{}", json.dumps(state), id_)
              for a, id_ in assets.items()),
            *((id_, 1, "version", assets[at // EACH], _at(at), *who, "", "{}",
               json.dumps({"description": DESCRIPTION, "tags": tags(at)}), id_)
              for at, id_ in ids.items()),
        ],
    )  # fmt: skip
    last = [(a, id_, ids[a * EACH + EACH - 1]) for a, id_ in assets.items()]
    yield (
        "alias",
        "asset_id name version_id revision updated_at",
        [(id_, "champion", version, 1, _at(a * EACH)) for a, id_, version in last],
    )
    yield (
        "alias_event",
        "asset_id name revision version_id at actor_kind actor_id reason entry_id act",
        [
            (id_, "champion", 1, version, _at(a * EACH), *who, "", version, "alias.set")
            for a, id_, version in last
        ],
    )


def _our_version(at: int, id_: uuid.UUID, asset_id: uuid.UUID, manifest: bytes) -> tuple[Any, ...]:
    said, version = metadata(at), SemVer(1, at % EACH, 0)
    return (
        id_, asset_id, at % EACH + 1, str(version), precedence_key(version), manifest, 16, 1,
        FORMATS, False, json_text(said), metadata_digest(said).raw, json.dumps(metrics_of(said)),
        _at(at), "person", "bench", id_,
    )  # fmt: skip


def _our_label(at: int, id_: uuid.UUID, asset_id: uuid.UUID) -> tuple[Any, ...]:
    said = metadata(at)
    metrics, found = json.dumps(metrics_of(said)), terms(said, FORMATS)
    return (
        id_, asset_id, _at(at), "bench", metrics, found, 1, _at(at), DESCRIPTION,
        json.dumps(tags(at)),
    )  # fmt: skip


def _at(at: int) -> dt.datetime:
    return START + dt.timedelta(seconds=at)


async def fill_mlflow(peer: Mlflow, old: int, new: int) -> None:
    """Write versions [old, new) into MLflow's tables."""
    db = await asyncpg.connect(peer.database_url)
    try:
        async with db.transaction():
            for table, columns, rows in _their_rows(old, new):
                await db.copy_records_to_table(table, columns=columns.split(), records=rows)
        await db.execute("ANALYZE")
    finally:
        await db.close()


def _their_rows(old: int, new: int) -> Iterator[tuple[str, str, list[Any]]]:
    names = [asset(a) for a in range(old // EACH, new // EACH)]
    yield (
        "registered_models",
        "name creation_time last_updated_time description workspace",
        [(name, _ms(old + n), _ms(old + n), "", "default") for n, name in enumerate(names)],
    )
    yield (
        "model_versions",
        """name version creation_time last_updated_time description current_stage source run_id
        status run_link storage_location workspace""",
        [
            (asset(at // EACH), at % EACH + 1, _ms(at), _ms(at), DESCRIPTION, "None",
             "s3://models/m", "", "READY", "", "s3://models/m", "default")
            for at in range(old, new)
        ],
    )  # fmt: skip
    yield (
        "model_version_tags",
        "key value name version workspace",
        [
            (key, value, asset(at // EACH), at % EACH + 1, "default")
            for at in range(old, new)
            for key, value in tags(at).items()
        ],
    )
    yield (
        "registered_model_aliases",
        "alias version name workspace",
        [("champion", EACH, name, "default") for name in names],
    )


def _ms(at: int) -> int:
    return int(_at(at).timestamp() * 1000)
