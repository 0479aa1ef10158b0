"""From what is asked for to a manifest: pinned versions, digests that are found, what evidence binds."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from muniment.core.composite import cvi
from muniment.core.digest import Digest
from muniment.core.errors import BadComposite
from muniment.core.names import AssetRef, VersionRef
from muniment.server.composites.records import Composite, Pinned
from muniment.server.composites.rules import pinning
from muniment.server.evidence.rules.binding import about_composite
from muniment.server.ledger.records import Actor

A, B = "a" * 64, "b" * 64


def absent(*kinds: str) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"} for kind in kinds
    ]


def test_pinned_versions_become_records() -> None:
    asked = [
        {"pin": "team/fraud@1.0.0"}, {"pin": "rules@7", "name": "rules"},
        *absent("code", "data", "adapter", "config", "env"),
    ]  # fmt: skip
    assert pinning.pins(asked) == {
        0: VersionRef.parse("team/fraud@1.0.0"),
        1: VersionRef.parse("rules@7"),
    }
    pinned = {
        0: Pinned(AssetRef.parse("team/fraud"), "model", "1.0.0", A),
        1: Pinned(AssetRef.parse("rules"), "prompt", "2.0.0", B),
    }
    identifier, manifest = pinning.manifest_of("fraud", asked, pinned)
    assert identifier == cvi(manifest)
    records = [one for one in manifest["components"] if "digest" in one]
    assert records == [
        {"kind": "model", "name": "team/fraud", "ref": "muniment:team/fraud@1.0.0", "digest": {"sha256": A}},
        {"kind": "prompt", "name": "rules", "ref": "muniment:default/rules@2.0.0", "digest": {"sha256": B}},
    ]  # fmt: skip
    assert [one["kind"] for one in manifest["components"]] == sorted(
        one["kind"] for one in manifest["components"]
    )
    assert pinning.manifest_of("fraud", manifest["components"], {})[0] == identifier
    assert pinning.digests_of(manifest) == [f"sha256:{A}", f"sha256:{B}"]
    assert pinning.behaviour(manifest) == {
        "model:team/fraud": f"sha256:{A}",
        "prompt:rules": f"sha256:{B}",
    }
    [found] = pinning.having(manifest, frozenset({f"sha256:{B}"}))
    assert found["name"] == "rules"


def test_all_that_is_written_wrong_is_said() -> None:
    with pytest.raises(BadComposite) as caught:
        pinning.pins([{"pin": "fraud"}, {"pin": "fraud@1.0.0", "kind": "model"}, {"pin": 7}, {}])
    fields = [one["field"] for one in caught.value.problems]
    assert fields == ["components[0]", "components[1]", "components[2]"]
    assert "2 more" in caught.value.message
    assert "more, see" not in pinning.refused([pinning.problem(0, "wrong", "mend it")]).message
    with pytest.raises(BadComposite):
        pinning.manifest_of("fraud", [], {})


def test_the_first_digest_is_what_evidence_is_bound_to_and_long_ones_are_not_looked_for() -> None:
    manifest = {"components": [
        {"kind": "data", "name": "tx", "digest": {"dvc-md5": "1", "sha256": A}},
        {"kind": "code", "name": "x", "digest": {"gitCommit": "c" * 501}},
    ]}  # fmt: skip
    assert pinning.digests_of(manifest) == ["dvc-md5:1", f"sha256:{A}"]
    assert pinning.behaviour(manifest) == {"data:tx": "dvc-md5:1"}


def test_evidence_of_a_composite_is_about_its_components() -> None:
    components = [
        {"kind": "data", "name": "tx", "digest": {"sha256": A}},
        {"kind": "env", "name": "image", "digest": {"sha256": "odd"}},
    ]
    one = Composite(
        cvi="cvi1-x", id=uuid.UUID(int=1), namespace="default", system="fraud",
        manifest={"components": components}, registered_at=dt.datetime(2026, 6, 1, tzinfo=dt.UTC),
        actor=Actor("person", "ada"), entry_id=uuid.UUID(int=2),
    )  # fmt: skip
    about = about_composite(one)
    assert (about.kind, about.id, about.name, about.asset_id) == (
        "composite",
        "cvi1-x",
        "fraud",
        None,
    )
    assert about.components == {"data:tx": f"sha256:{A}", "env:image": "sha256:odd"}
    assert about.digests == {Digest.parse(f"sha256:{A}")}
