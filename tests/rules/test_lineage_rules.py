"""What versions say they were made from, who vouches, what dangles; how far a lineage is followed."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadReference
from muniment.core.names import AssetRef, VersionRef
from muniment.server.impact.records import (
    Lineage,
    Link,
    LinkKind,
    Node,
    NodeKind,
    Subject,
    Voucher,
    Way,
)
from muniment.server.impact.rules import exporting
from muniment.server.impact.rules import lineage as rules
from muniment.server.impact.rules.walking import Walk
from tests.support.catalog import FULL_METADATA

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
EVIDENCE = uuid.UUID(int=7)
B64, C64 = "b" * 64, "c" * 64


def subject(metadata: Mapping[str, Any], *vouchers: Voucher) -> Subject:
    return Subject(
        uuid.UUID(int=1), AssetRef.parse("fraud"), "model", "1.0.0", 3, f"sha256:{C64}", metadata,
        NOW, "service:ci", (AssetRef.parse("fraud"),), vouchers,
    )  # fmt: skip


def voucher(
    *materials: tuple[str, Mapping[str, str]], verified: bool = True, invocation: str = ""
) -> Voucher:
    signer = "signer:ci" if verified else None
    return Voucher(EVIDENCE, verified, signer, invocation, materials)


def test_everything_that_metadata_names() -> None:
    found = rules.said_by(subject(FULL_METADATA))
    assert [(one.kind.value, one.node.kind.value, one.node.label) for one in found] == [
        ("built_from", "commit", "d" * 40),
        ("trained_on", "dataset", "transactions@2026-01"),
        ("evaluated_on", "dataset", "holdout@2026-02"),
        ("tuned_from", "base_model", "acme/base@1.2.0"),
        ("uses_feature", "feature", "card_velocity@3"),
        ("made_by", "run", "run-1"),
        ("made_by", "pipeline", "21561244697"),
    ]
    assert not any(one.verified for one in found)
    assert str(found[3].reference) == "acme/base@1.2.0"
    assert rules.said_by(subject({})) == []


def test_a_link_is_verified_where_provenance_names_the_same_digest() -> None:
    proof = voucher(
        ("git", {"gitCommit": "d" * 40}), ("data", {"sha256": B64}), ("x", {"sha256": "9" * 64}),
        ("again", {"sha256": "9" * 64}), ("", {"md5": "12345678", "zz": "1"}), ("none", {}),
        invocation="https://ci.example/runs/21561244697/attempts/1",
    )  # fmt: skip
    found = rules.said_by(subject(FULL_METADATA, proof))
    verified = [one.node.label for one in found if one.verified]
    assert verified == [
        "d" * 40, "transactions@2026-01", "21561244697", "x", "md5:12345678",
    ]  # fmt: skip
    assert {one.evidence for one in found if one.verified} == {EVIDENCE}
    unsigned = rules.said_by(subject(FULL_METADATA, voucher(*proof.materials, verified=False)))
    assert not any(one.verified for one in unsigned)
    assert unsigned[0].evidence == EVIDENCE
    # A run's number that only begins alike is another run.
    near = voucher(invocation="https://ci.example/runs/215612446970")
    assert not any(one.verified for one in rules.said_by(subject(FULL_METADATA, near)))


@pytest.mark.parametrize(
    ("field", "said", "rule", "fix"),
    [
        ("training_datasets", {"name": "d"}, "no_digest", "digest"),
        ("training_datasets", {"name": "d", "type": "dvc"}, "no_digest", "dvc-md5"),
        ("training_datasets", {"name": "d", "type": "dvc", "digest": "dvc-md5:0123456789.dir"}, None, ""),
        ("training_datasets", {"name": "d", "type": "delta", "version": "7"}, "no_digest", "_delta_log"),
        ("training_datasets", {"name": "d", "type": "croissant"}, "no_digest", "FileObject"),
        ("training_datasets", {"name": "d", "type": "huggingface", "version": "main"}, "no_digest", "commit"),
        ("training_datasets", {"name": "d", "type": "huggingface", "version": "a" * 40}, None, ""),
        ("base_models", {"name": "bert"}, "no_digest", "register the base model"),
        ("features", {"name": "f", "version": "1"}, "no_digest", "digest"),
        ("code", {"commit": "d" * 40, "repository": "https://x", "dirty": True}, "dirty", "commit"),
        ("code", {"commit": "d" * 40}, "no_repository", "code.repository"),
        ("code", {"commit": "d" * 40, "repository": "https://x"}, None, ""),
        ("run", {"id": "r"}, None, ""),
    ],
)  # fmt: skip
def test_what_dangles(field: str, said: dict[str, Any], rule: str | None, fix: str) -> None:
    value: Any = said if field in {"code", "run"} else [said]
    [one] = rules.said_by(subject({field: value}))
    found = rules.dangling(one.node)
    assert (found.rule if found else None) == rule
    assert fix in (found.fix if found else "")


def test_what_should_be_here() -> None:
    said = rules.said_by(subject({"derived_from": ["a@1.0.0", "a@champion", "?@"]}))
    assert [str(one.reference) for one in said] == ["a@1.0.0", "a@champion", "None"]
    found = [rules.not_found(one.node, one.reference) for one in said]
    assert [one.rule for one in found] == ["not_found", "moving", "not_found"]
    run = rules.said_by(subject({"run": {"id": "r", "tracker_uri": "https://t"}}))[0].node
    assert "https://t" in rules.not_found(run, None).fix
    assert "tracker_uri" in rules.not_found(Node(NodeKind.RUN, "r", "r"), None).fix
    # An alias moves: a base model is never followed through one.
    [base] = rules.said_by(subject({"base_models": [{"name": "a", "version": "champion"}]}))
    assert base.reference is None
    [foreign] = rules.said_by(subject({"base_models": [{"name": "a/b/c"}]}))
    assert foreign.reference is None


def test_a_version_here_that_is_not_the_one_meant() -> None:
    here = rules.version_node(subject({}))
    for digest, rule in (
        (None, None),
        (f"sha256:{C64}", None),
        ("md5:12345678", None),
        (f"sha256:{B64}", "other_digest"),
    ):
        found = rules.other_digest(here, Node(NodeKind.BASE_MODEL, "x", "x", digest))
        assert (found.rule if found else None) == rule
    assert rules.nothing_named(here).rule == "nothing_named"
    called = [AssetRef.parse("m"), AssetRef.parse("old")]
    assert rules.names_of(called[:1], "1.0.0", 7) == [
        "default/m@1.0.0", "default/m@7", "m@1.0.0", "m@7",
    ]  # fmt: skip
    assert "old@1.0.0" in rules.names_of(called, "1.0.0", 7)


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        (None, []), (["x", {}, {"dataset": 1}, {"dataset": {"name": 2}}], []),
        ([{"dataset": {"name": "d", "digest": "ab12"}}, {"dataset": {"name": "e", "digest": 5}}],
         [("d", "mlflow:ab12"), ("e", None)]),
    ],
)  # fmt: skip
def test_what_a_run_used(inputs: Any, labels: list[Any]) -> None:
    assert [(one.node.label, one.node.digest) for one in rules.said_by_run(inputs)] == labels


def test_of_what_lineage_is_asked() -> None:
    assert isinstance(rules.read_root(" fraud@1.0.0 "), VersionRef)
    root = rules.read_root("dataset:transactions@2026-01")
    assert isinstance(root, Node)
    node = rules.said_by(subject(FULL_METADATA))[1].node
    assert node.is_also(root)
    assert not node.is_also(Node(NodeKind.FEATURE, root.key, ""))
    for bad in ("dataset:", "commit:" + "x" * 1991, "run:a\0b", "nothing", "other:x"):
        with pytest.raises(BadReference):
            rules.read_root(bad)


Edges = dict[int, set[int]]
GRAPHS = st.dictionaries(st.integers(0, 8), st.sets(st.integers(0, 8), max_size=4), max_size=9)


def reached(edges: Edges, start: int, way: Way, depth: int = 20, most: int = 50) -> Walk:
    """Follow a graph of numbers, cycles and all, as versions are followed."""
    nodes = [Node(NodeKind.VERSION, str(n), str(n)) for n in range(9)]
    walk = Walk(nodes[start], way, depth, most)
    while not walk.over:
        pairs = [(low, up) for low, ups in edges.items() for up in ups]
        at = {int(one.key) for one in walk.frontier}
        found = [
            (Link(LinkKind.DERIVED_FROM, nodes[low].id, nodes[up].id), nodes[up if way is Way.UP else low])
            for low, up in pairs
            if (low if way is Way.UP else up) in at
        ]  # fmt: skip
        walk.take(found)
    return walk


@given(GRAPHS, st.integers(0, 8), st.integers(0, 8))
def test_up_and_down_are_inverse_and_every_walk_ends(edges: Edges, one: int, other: int) -> None:
    above = reached(edges, one, Way.UP)
    below = reached(edges, other, Way.DOWN)
    assert (f"version:{other}" in above.nodes) == (f"version:{one}" in below.nodes)
    assert above.level <= len(above.nodes)
    assert {end for link in above.links.values() for end in (link.lower, link.upper)} <= set(
        above.nodes
    ) | {f"version:{one}"}


@given(GRAPHS, st.integers(1, 4), st.integers(1, 4))
def test_depth_and_number_are_held(edges: Edges, depth: int, most: int) -> None:
    walk = reached(edges, 0, Way.UP, depth, most)
    assert walk.level <= depth
    assert len(walk.nodes) <= most
    whole = reached(edges, 0, Way.UP, depth)
    assert walk.wider == (len(whole.nodes) > most) or walk.wider
    assert all(
        link.upper in walk.nodes and link.lower in walk.nodes for link in walk.links.values()
    )


def a_lineage() -> Lineage:
    one = subject(
        FULL_METADATA, voucher(("git", {"gitCommit": "d" * 40}), ("x", {"sha256": "9" * 64}))
    )
    root = rules.version_node(one)
    said = rules.said_by(one)
    hidden = rules.redacted(1)
    place = Node(NodeKind.DEPLOYMENT, str(uuid.UUID(int=9)), "production")
    links = [
        Link(each.kind, root.id, each.node.id, each.verified, each.evidence, each.signer)
        for each in said
    ]
    data = said[1].node
    links += [
        Link(LinkKind.DERIVED_FROM, root.id, hidden.id),
        Link(LinkKind.DEPLOYS, place.id, root.id),
        Link(LinkKind.USED, said[5].node.id, data.id),
    ]
    nodes = (root, *(each.node for each in said), hidden, place)
    return Lineage(root, Way.UP, 5, nodes, tuple(links), (), deeper=False, wider=False)


def test_prov_json() -> None:
    document = exporting.prov_json(a_lineage())
    assert set(document) == {
        "prefix",
        "entity",
        "activity",
        "wasGeneratedBy",
        "used",
        "wasDerivedFrom",
    }
    named = set(document["entity"]) | set(document["activity"])
    for relation in ("wasGeneratedBy", "used", "wasDerivedFrom"):
        for each in document[relation].values():
            ends = [text for name, text in each.items() if name.startswith("prov:")]
            assert len(ends) == 2
            assert set(ends) <= named
    assert document["entity"]["muniment:version-redacted-1"] == {"prov:type": "muniment:redacted"}
    assurances = [each["muniment:assurance"] for each in document["wasDerivedFrom"].values()]
    assert assurances.count("verified") == 2


def test_openlineage() -> None:
    [event] = exporting.openlineage(a_lineage(), "https://registry.example")
    assert event["run"]["runId"] == str(uuid.UUID(int=1))
    assert event["job"]["facets"]["sourceCodeLocation"]["version"] == "d" * 40
    assert [(one["namespace"], one["name"]) for one in event["inputs"]] == [
        ("muniment/dataset", "transactions"), ("muniment/dataset", "holdout"),
        ("muniment/base_model", "acme/base"), ("muniment/feature", "card_velocity"),
    ]  # fmt: skip
    [output] = event["outputs"]
    assert output["facets"]["version"]["datasetVersion"] == "1.0.0"
    assert output["facets"]["muniment_lineage"]["digest"] == f"sha256:{C64}"
    bare = rules.version_node(subject({}))
    data = Node(NodeKind.DATASET, "d", "d")
    links = (Link(LinkKind.TRAINED_ON, bare.id, data.id),)
    alone = Lineage(bare, Way.UP, 5, (bare, data), links, (), deeper=False, wider=False)
    [event] = exporting.openlineage(alone, "urn:x")
    assert event["job"]["facets"] == {}
    assert "version" not in event["inputs"][0]["facets"]
