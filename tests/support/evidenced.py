"""A version with all the evidence that the starter bundle asks for, brought as pipelines bring it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muniment.core.digest import Digest, digest_of
from muniment.core.statement import sign_bundle, statement
from muniment.server.evidence.rules.contexts import PREDICATE_TYPE, SCHEMA
from muniment.server.http.records import Role
from tests.support.artifacts import House, Sender, fine, sha256
from tests.support.catalog import FULL_METADATA
from tests.support.evidence import added
from tests.support.signing import BUILDER, envelope_of, p256, pem_of, provenance_of
from tests.support.vulnerabilities import imported, made, sbom, work

SAFE = (Path(__file__).parents[1] / "samples" / "models" / "tiny.safetensors").read_bytes()
TREE = {"model.safetensors": SAFE}
OWNER = "ada"
ASSET = {
    "kind": "model", "owner": OWNER, "backup_owner": "bob", "escalation_contact": "on-call",
    "risk_tier": "high",
}  # fmt: skip
METADATA = {
    **{name: value for name, value in FULL_METADATA.items() if name not in {"prompt", "base_models", "fine_tuning"}},
    "generative": False,
}  # fmt: skip
GATES = ("baseline", "performance", "fairness", "security")
PLAN = {
    "schema": "muniment/gate-plan/v1",
    "gates": [
        {"gate": name, "checks": [{"metric": "accuracy", "direction": "higher", "threshold": 0.5}]}
        for name in GATES
    ],
}
SUPPLIED = {
    "metadata": {"timestamp": "2026-11-21T09:00:00Z", "tools": {"components": [{"type": "application", "name": "cyclonedx-py", "version": "7.0.0"}]}},
    "dependencies": [{"ref": "c0", "dependsOn": []}],
}  # fmt: skip
BOM = sbom("pkg:pypi/numpy@2.3.1", **SUPPLIED)


def evaluation(at: dt.datetime, **more: Any) -> bytes:
    """An evaluation of everything a classifier can be evaluated for, of a run that began at `at`."""
    metrics = [
        {"metric": "accuracy", "value": 0.94, "n": 2000, "dimension": "quality", "higher_is_better": True},
        {"metric": "demographic_parity_ratio", "value": 0.9, "dimension": "bias", "higher_is_better": True},
        {"metric": "latency_p95", "value": 12.0, "unit": "ms", "dimension": "latency", "higher_is_better": False},
        {"metric": "cost_per_call", "value": 0.01, "unit": "EUR", "dimension": "cost", "higher_is_better": False},
    ]  # fmt: skip
    value = {
        "schema": "muniment/evaluation/v1",
        "tool": {"name": "own-eval", "version": "2.1"},
        "run": {"started": at.isoformat(), "ended": (at + dt.timedelta(minutes=1)).isoformat()},
        "metrics": metrics,
        "not_applicable": {
            "toxicity": "it classifies transactions and writes no text",
            "jailbreak": "it takes no instructions",
        },
        **more,
    }
    return json.dumps(value).encode()


def signed_context(house: House, file: bytes, subject: str) -> bytes:
    """What CI says of how a file came to be, signed with a key the registry believes."""
    now = house.registry.deps.clock.now().isoformat()
    predicate = {
        "schema": SCHEMA,
        "original": {"sha256": sha256(file), "bytes": len(file)},
        "subject": {"digests": [subject]},
        "tool": {"name": "cyclonedx-py", "version": "7.0.0"},
        "run": {"started": now, "ended": now},
    }
    said = statement([("file", digest_of(file))], PREDICATE_TYPE, predicate)
    key = house.keys.record
    return json.dumps(sign_bundle(said, key.sign, key.public_key_der)[0]).encode()


async def add_signed(  # noqa: PLR0917 -- what is asked
    sender: Sender, name: str, version: str, file: bytes, about: bytes, file_name: str
) -> Any:
    """Add a file with its context."""
    upload_id = await sender.send(file, about)
    listed = [{"name": file_name, "sha256": sha256(file), "context_sha256": sha256(about)}]
    body = {"upload_id": upload_id, "files": listed}
    return fine(await sender.client.post(sender.url(name, version, "/evidence"), json=body))


def pipeline(house: House) -> Sender:
    """The pipeline that is trusted with the asset."""
    return Sender(house.registry.workload(Role.PUBLISHER))


async def believe(house: House) -> None:
    """Have the registry believe the builder of the pipeline, and hold today's vulnerabilities."""
    signer = {"name": "ci", "pem": pem_of(p256(2)), "uses": ["provenance"], "builders": [BUILDER]}
    fine(await house.registry.as_(Role.ADMIN).post("/api/v1/signers", json=signer))
    now = house.registry.deps.clock.now()
    await imported(house, [made("PYSEC-1", "numpy", fixed="1.0")], dated_at=now.isoformat())


async def evidenced(
    house: House,
    name: str = "fraud",
    version: str = "1.0.0",
    *,
    tree: Mapping[str, bytes] = TREE,
    metadata: Mapping[str, Any] = METADATA,
    asset: Mapping[str, Any] = ASSET,
    without: frozenset[str] = frozenset(),
    bom: bytes = BOM,
    **run: Any,
) -> str:
    """Register a version and bring all its evidence but that of `without`; return its digest.

    `sbom`, `signed` (the SBOM), `provenance`, `evaluation`, `gates`, `scan`. The registry believes the
    pipeline's builder already (`believe`). `run` are members of the evaluation.
    """
    clock: Any = house.registry.deps.clock
    sender = pipeline(house)
    done = await sender.registered(
        tree, version, name=name, metadata=dict(metadata), create_asset=dict(asset)
    )
    manifest: str = done["manifest_digest"]
    of = {"name": name, "version": version}
    if "sbom" not in without:
        if "signed" in without:
            await added(sender, {"bom.json": bom}, **of)
        else:
            about = signed_context(house, bom, manifest)
            await add_signed(sender, name, version, bom, about, "bom.json")
    if "provenance" not in without:
        built = envelope_of(provenance_of(Digest.parse(manifest)), p256(2))
        await added(sender, {"provenance.json": json.dumps(built).encode()}, **of)
    if "gates" not in without:
        await added(sender, {"plan.json": json.dumps(PLAN).encode()}, **of)
    clock.advance(dt.timedelta(minutes=1))
    if "evaluation" not in without:
        await added(sender, {"evaluation.json": evaluation(clock.now(), **run)}, **of)
    clock.advance(dt.timedelta(minutes=2))
    if "gates" not in without:
        fine(await sender.client.post(sender.url(name, version, "/gates"), json={}))
    if "scan" not in without:
        await work(house)
    return manifest
