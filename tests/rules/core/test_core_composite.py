"""The composite version identifier is the published one, and proves its components."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import to_base64
from muniment.core.composite import (
    MAX_COMPONENTS,
    component_leaf_hashes,
    component_proof,
    cvi,
    format_cvi,
    parse_cvi,
    sorted_components,
    verify_component,
)
from muniment.core.errors import BadComposite, BadProof
from muniment.core.merkle import root_hash

# The test vector of requirements §1.5.
VECTOR: dict[str, Any] = json.loads("""
{"schema":"muniment/composite-version/v1","system":"fraud-detector","components":[
 {"kind":"adapter","name":"-","status":"not-applicable","reason":"no adapter in this system"},
 {"kind":"code","name":"serve","ref":"git+https://git.example/fraud/serve@8c13517721d6ae11cac357e58b9c81e988dc86e4","digest":{"gitCommit":"8c13517721d6ae11cac357e58b9c81e988dc86e4"}},
 {"kind":"code","name":"train","ref":"git+https://git.example/fraud/train@5503434ddd753f426f4b38109466949a1217c2bb","digest":{"gitCommit":"5503434ddd753f426f4b38109466949a1217c2bb"}},
 {"kind":"config","name":"decision","ref":"git+https://git.example/fraud/conf@02526f4c1f84a09f8ec3f7e2f0a4a9c6b1d2e3f4#thresholds.yaml","digest":{"sha256":"3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b"}},
 {"kind":"data","name":"train","ref":"dvc+git+https://git.example/fraud/data@41e40c718b7d0f2fa48da707d5aca08f7df5c074#data/train.dvc","digest":{"dvc-md5-dir":"2ab20ac1b58df875a590b07d0e04eb5b.dir"}},
 {"kind":"env","name":"serving-image","ref":"oci://registry.example/fraud-serve","digest":{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},
 {"kind":"model","name":"fraud-detector","ref":"models/fraud-detector/5.2.0","digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},
 {"kind":"prompt","name":"-","status":"not-applicable","reason":"not an LLM system"}]}
""")
VECTOR_CVI = "cvi1-l2cfe475lc64mqfta2f7tz4zipu7tj2tf635pomzlgr6vkx5o5zq"
VECTOR_ROOT = "5e845273fd58bdc640b3068bf9e79943e9f9a7532fb7d7b99959a3eaaafd7773"
VECTOR_LEAVES = [
    "ad70ac665467e7a4af021e5c232ec648f3cb0377b13520fc9c8b18d7b9600d0c",
    "aec70a4e82c4ea9d4515f1dbcf9e5c94dfd74987fd7ae3518fb16ca5751d4706",
    "69a6437398c8767945419488b86f28676fb92e6fc18c2dd19c0480cf9dffc0e2",
    "7532261594831a378d5febe83755f1c30e392aa742a61462d49d0e98aa1cfe29",
    "896eaecb58414f31a3cf913dce570034b3e9bf0b31ae5acc3f646c19fcad4afa",
    "bb8e5fab3d485101449fa1fd1f0b37cc2f36379cf7c4cbbf256dbe0d309b5f53",
    "29bdad061edb7aeacd23408e9679099a8ba0a48c4f3d5d6d8691b2811ffcd45c",
    "a0801f3405c212f2c3961cd72815aea977f21db1d33edb346f00fa8a073c7a94",
    "b2e2c336ec974e6f98eff1a838cfee3b0a4009557719adf87362eb04594a9e4a",
]


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    manifest = copy.deepcopy(VECTOR)
    change(manifest)
    return manifest


def test_the_vector() -> None:
    assert [each.hex() for each in component_leaf_hashes(VECTOR)] == VECTOR_LEAVES
    assert root_hash(component_leaf_hashes(VECTOR)).hex() == VECTOR_ROOT
    assert cvi(VECTOR) == VECTOR_CVI
    assert parse_cvi(VECTOR_CVI).hex() == VECTOR_ROOT
    assert len(VECTOR_CVI) == 57


@given(st.randoms())
def test_the_order_of_components_does_not_matter(chance: random.Random) -> None:
    manifest = copy.deepcopy(VECTOR)
    chance.shuffle(manifest["components"])
    assert cvi(manifest) == VECTOR_CVI
    assert sorted_components(manifest) == VECTOR["components"]


@given(st.binary(min_size=32, max_size=32))
def test_identifiers_are_read_as_written(root: bytes) -> None:
    assert parse_cvi(format_cvi(root)) == root


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cvi1-",
        VECTOR_CVI[:-1],
        VECTOR_CVI[:-1] + "r",
        VECTOR_CVI.upper(),
        "cvi2" + VECTOR_CVI[4:],
        None,
        7,
    ],
)
def test_what_is_no_identifier(text: Any) -> None:
    with pytest.raises(BadComposite):
        parse_cvi(text)


def test_every_component_is_proved_without_the_others() -> None:
    for component in VECTOR["components"]:
        proof = component_proof(VECTOR, component["kind"], component["name"])
        assert len(proof["hashes"]) <= 4
        assert verify_component(VECTOR_CVI, json.loads(json.dumps(proof))) == component


@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    proof = component_proof(VECTOR, "model", "fraud-detector")
    text = json.dumps(proof)
    at = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    try:
        other = json.loads(text[:at] + character + text[at + 1 :])
    except ValueError:
        return
    if other != proof:
        with pytest.raises(BadProof):
            verify_component(VECTOR_CVI, other)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["schema", "component", "index", "size", "hashes", None]),
)
def test_nothing_makes_verifying_a_component_fail_otherwise(junk: Any, member: str | None) -> None:
    proof = component_proof(VECTOR, "model", "fraud-detector")
    with pytest.raises(BadProof):
        verify_component(VECTOR_CVI, {**proof, member: junk} if member else junk)


def test_schema_and_system_are_no_component() -> None:
    proof = component_proof(VECTOR, "adapter", "-")
    head = {"schema": VECTOR["schema"], "system": VECTOR["system"]}
    first = to_base64(bytes.fromhex(VECTOR_LEAVES[1]))
    for forged in ({**proof, "index": 0}, {**proof, "component": head, "index": 0}):
        with pytest.raises(BadProof):
            verify_component(VECTOR_CVI, {**forged, "hashes": [first, *proof["hashes"][1:]]})
    with pytest.raises(BadProof):
        verify_component(VECTOR_CVI, {**proof, "hashes": proof["hashes"] * 20})


def test_only_what_is_there_is_proved() -> None:
    with pytest.raises(BadComposite, match="found none"):
        component_proof(VECTOR, "model", "other")


DIGEST = {"sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(schema="v2"), "expected muniment/composite-version/v1"),
        (lambda m: m.pop("schema"), "missing"),
        (lambda m: m.pop("system"), "missing"),
        (lambda m: m.update(system=""), "name"),
        (lambda m: m.update(system="\ud800"), "name"),
        (lambda m: m.update(system="e\u0301"), "NFC"),
        (lambda m: m.update(extra=1), "not a member"),
        (lambda m: m.update({3: 1}), "not a member"),
        (lambda m: m.update(components=None), "list"),
        (lambda m: m.update(components=[{}] * (MAX_COMPONENTS + 1)), "at most"),
        (lambda m: m["components"].append(7), "found int"),
        (lambda m: m["components"].append({}), "kind"),
        (lambda m: m["components"].append({"kind": ["x"], "name": "a", "digest": DIGEST}), "kind"),
        (lambda m: m["components"].append({"kind": "gpu", "name": "a", "digest": DIGEST}), "kind"),
        (lambda m: m["components"].append({"kind": "code", "name": 3, "digest": DIGEST}), "name"),
        (lambda m: m["components"].append({"kind": "code", "name": "z"}), "digest"),
        (lambda m: m["components"].append({"kind": "code", "name": "z", "digest": {}}), "digest"),
        (lambda m: m["components"].append({"kind": "code", "name": "z", "digest": "x"}), "digest"),
        (lambda m: m["components"][1].update(digest={"sha256": 1}), "digest"),
        (lambda m: m["components"].append(dict(m["components"][1])), "once"),
        (lambda m: m["components"][0].pop("reason"), "reason"),
        (lambda m: m["components"][0].update(status="none"), "status"),
        (lambda m: m["components"][0].update(digest=DIGEST), "status"),
        (lambda m: m["components"].pop(0), "kind adapter"),
        (
            lambda m: m["components"].append({"kind": "adapter", "name": "lora", "digest": DIGEST}),
            "both",
        ),
        (lambda m: m["components"][1].update(weight=0.5), "floating-point"),
        (lambda m: m["components"][1].update(note=["e\u0301"]), "NFC"),
        (lambda m: m["components"][1].update({"e\u0301": 1}), "NFC"),
        (lambda m: m["components"][1].update(note="\ud800"), "surrogate"),
        (lambda m: m["components"][1].update(note="x" * 65_536), "65535"),
        (lambda m: m["components"][1].update(note=object()), "JSON value"),
        (lambda m: m["components"].append({"kind": "provider-model", "name": "p"}), "declared"),
        (
            lambda m: m["components"].append(
                {"kind": "provider-model", "name": "p", "declared": True}
            ),
            "version",
        ),
    ],
)
def test_manifests_that_are_refused(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    with pytest.raises(BadComposite, match=words):
        cvi(changed(change))


@pytest.mark.parametrize("manifest", [None, 7, "x", [], [VECTOR]])
def test_what_is_no_manifest(manifest: Any) -> None:
    with pytest.raises(BadComposite, match="expected an object"):
        cvi(manifest)


def test_deep_records_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(BadComposite, match="levels"):
        cvi(changed(lambda m: m["components"][1].update(note=deep)))


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(BadComposite) as caught:
        cvi(changed(lambda m: (m.pop("system"), m["components"].pop(0), m["components"].append(1))))
    fields = [problem["field"] for problem in caught.value.problems]
    assert fields == ["system", "system", "components[7]", "components"]


def test_a_model_behind_a_provider_is_declared() -> None:
    record = {"kind": "provider-model", "name": "p", "declared": True, "version": "2026-01"}
    with_provider = changed(lambda m: m["components"].append(record))
    assert cvi(with_provider) != VECTOR_CVI
    by_digest = changed(
        lambda m: m["components"].append({"kind": "provider-model", "name": "p", "digest": DIGEST})
    )
    assert cvi(by_digest) != cvi(with_provider)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["kind", "name", "digest", "status", "reason", "declared", "other"]),
)
def test_nothing_makes_reading_a_manifest_fail_otherwise(junk: Any, member: str) -> None:
    for manifest in (
        junk,
        {**VECTOR, "system": junk},
        {**VECTOR, "components": junk},
        changed(lambda m: m["components"][1].update({member: junk})),
    ):
        try:
            cvi(manifest)
        except BadComposite:
            continue
