"""Assets and versions made in a line, for tests of the catalog and of what stands on it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.names import Alias, AssetRef, SemVer
from muniment.server import catalog, ledger
from muniment.server.catalog.records import (
    AliasMove,
    Asset,
    AssetState,
    Kind,
    NewVersion,
    Pointer,
    Version,
    VersionState,
)
from muniment.server.identity import By
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Tx

ADA = Actor("person", "ada")

#: Metadata in which everything is given that any kind of asset can be asked for.
FULL_METADATA: Mapping[str, Any] = {
    "frameworks": [{"name": "scikit-learn", "version": "1.7.2"}],
    "libraries": [{"name": "numpy", "version": "2.3.1"}],
    "training_date": "2026-02-09",
    "base_models": [{"name": "acme/base", "version": "1.2.0", "digest": "sha256:" + "a" * 64}],
    "fine_tuning": {"method": "lora", "relation": "adapter"},
    "training_datasets": [
        {
            "name": "transactions",
            "version": "2026-01",
            "digest": "sha256:" + "b" * 64,
            "window": {"start": "2025-01-01", "end": "2025-12-31"},
            "quality": {"complete": 0.99},
        }
    ],
    "evaluation_datasets": [
        {
            "name": "holdout",
            "version": "2026-02",
            "digest": "sha256:" + "c" * 64,
            "window": {"start": "2026-01-01", "end": "2026-01-31"},
        }
    ],
    "license": "Apache-2.0 OR MIT",
    "allowed_use_cases": ["card-fraud-triage"],
    "prohibited_use_cases": ["credit-decisions"],
    "risk": {"rating": "medium", "controls": [{"id": "c-1"}], "review_date": "2026-12-01"},
    "code": {"repository": "https://git.example/fraud", "commit": "d" * 40, "dirty": False},
    "run": {"id": "run-1", "tracker_uri": "https://mlflow.example"},
    "pipeline": {"provider": "github", "run_id": "21561244697", "run_attempt": 1},
    "hyperparameters": {"max_depth": 6, "eta": 0.3, "booster": "gbtree", "early": True},
    "metrics": {"auc": 0.94, "log_loss": {"value": 0.2, "ci": [0.18, 0.22], "n": 2000}},
    "fairness_metrics": {"demographic_parity_ratio": 0.87},
    "environment": {"lock_file": "requirements.txt", "lock_digest": "sha256:" + "e" * 64},
    "signature": {
        "inputs": [{"name": "amount", "type": "float64"}],
        "outputs": [{"type": "float64", "shape": [-1]}],
    },
    "generative": True,
    "intended_use": "Triage of card fraud by analysts.",
    "limitations": ["Not evaluated on accounts younger than 30 days."],
    "out_of_scope": "Credit decisions.",
    "ethical_considerations": "False declines.",
    "model_card": {"uri": "https://docs.example/card.md", "digest": "sha256:" + "f" * 64},
    "features": [{"name": "card_velocity", "version": "3"}],
    "rollback_plan": {"description": "Point champion at 1.3.0.", "tested_at": "2026-01-15"},
    "deployment_notes": "Needs 2 GiB.",
    "prompt": {"template": "Summarise {{text}}.", "variables": [{"name": "text"}]},
    "extra": {"wiki": "https://wiki.example"},
}


@dataclass
class Catalog:
    """The catalog's verbs with everything they need filled in; the clock moves a second each time."""

    clock: FixedClock = field(default_factory=FixedClock)
    actor: Actor = ADA

    def by(self) -> By:
        self.clock.advance(dt.timedelta(seconds=1))
        return By(self.actor, self.clock.now(), self.clock.new_id)

    async def asset(
        self, tx: Tx, name: str = "fraud", kind: Kind = Kind.MODEL, **state: Any
    ) -> Asset:
        state = {"owner": "risk-ml", **state}
        return await catalog.create_asset(
            tx, AssetRef.parse(name), kind, AssetState(**state), self.by()
        )

    def new(
        self, version: str, metadata: Mapping[str, Any] | None = None, **more: Any
    ) -> NewVersion:
        by = self.by()
        metadata = {} if metadata is None else metadata
        new = NewVersion(
            id=by.new_id(),
            version=SemVer.parse(version),
            manifest_digest=digest_of(version.encode()),
            size_bytes=1000,
            file_count=2,
            formats=("onnx",),
            executable=False,
            metadata=metadata,
            metadata_json=canonical(metadata),
            metrics_at_registration=catalog.metrics_of(metadata),
            actor=by.actor,
            at=by.at,
            entry_id=by.new_id(),
        )
        return dataclasses.replace(new, **more)

    async def version(
        self, tx: Tx, name: str = "fraud", version: str = "1.0.0", **more: Any
    ) -> Version:
        """Register as `artifacts` does: lock the asset, add the row, append the entry."""
        state = VersionState(more.pop("description", ""), more.pop("tags", {}))
        asset = await catalog.lock_asset(tx, AssetRef.parse(name))
        made = await catalog.add_version(tx, asset, self.new(version, state=state, **more))
        subject = Subject("version", str(made.id), made.name, asset.id)
        payload = catalog.version_payload(made)
        digests: tuple[Digest, ...] = (made.manifest_digest,)
        at, act = made.registered_at, "version.register"
        await ledger.append(
            tx, Entry(made.entry_id, at, act, made.registered_by, subject, payload, digests)
        )
        return made

    async def point(
        self, tx: Tx, alias: str, to: str | int | None, name: str = "fraud", **more: Any
    ) -> Pointer:
        target = SemVer.parse(to) if isinstance(to, str) else to
        move = AliasMove(AssetRef.parse(name), Alias(alias), target, **more)
        return await catalog.set_alias(tx, move, self.by())
