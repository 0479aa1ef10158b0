"""OpenLineage events: what is read of them, what is refused, and which datasets are the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.impact.records import (
    Event,
    EventKind,
    LinkKind,
    Material,
    Node,
    NodeKind,
)
from muniment.server.impact.rules import folding, told
from muniment.server.impact.rules.events import DATASETS_MAX, BadEvent, read_event
from muniment.server.impact.rules.lineage import reference_node

RUN = "0197a3a0-1111-7000-8000-000000000001"
PARENT = "0197a3a0-2222-7000-8000-000000000002"
A, B = "a" * 64, "b" * 64


def dataset(name: str = "tx", namespace: str = "s3://lake", **facets: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "facets": facets}


def run_event(**changes: Any) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE", "eventTime": "2026-06-01T12:00:00.123456789Z", "producer": "https://p",
        "schemaURL": "https://s", "run": {"runId": RUN}, "job": {"namespace": "etl", "name": "train"},
        **changes,
    }  # fmt: skip


def wrong(value: Any, at: str = "") -> list[str]:
    with pytest.raises(BadEvent) as caught:
        read_event(value, at)
    assert all(one["message"] for one in caught.value.problems)
    return [one["field"] for one in caught.value.problems]


def test_everything_that_lineage_needs() -> None:
    source = {"version": "c" * 40, "repoUrl": "https://git.example/fraud", "type": "git"}
    links = [
        {"namespace": "hive", "name": "db.tx"},
        {"namespace": "s3://lake/", "name": "/tx"},
        7,
        {},
    ]
    event = read_event(
        run_event(
            run={"runId": RUN.upper(), "facets": {"parent": {"run": {"runId": PARENT}}}},
            job={"namespace": "etl", "name": "train", "facets": {"sourceCodeLocation": source}},
            inputs=[
                dataset(version={"datasetVersion": 3}, symlinks={"identifiers": links}),
                dataset(version={"datasetVersion": f"sha256:{A}"}),
                dataset(version={"datasetVersion": f"sha256:{A}"}),
            ],
            outputs=[dataset("/models/fraud", "file")],
        )
    )
    assert event == Event(
        kind=EventKind.RUN, maker=f"run:{RUN}", job="etl/train", type="COMPLETE",
        at=dt.datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=dt.UTC), producer="https://p",
        schema_url="https://s", parent_run=PARENT, commit="c" * 40, repository="https://git.example/fraud",
        inputs=(
            Material(NodeKind.DATASET, "s3://lake/tx", "3", None, ("hive/db.tx",)),
            Material(NodeKind.DATASET, "s3://lake/tx", None, f"sha256:{A}"),
        ),
        outputs=(Material(NodeKind.DATASET, "file/models/fraud"),),
    )  # fmt: skip
    assert event.inputs[0].called == [
        "s3://lake/tx",
        "hive/db.tx",
        "s3://lake/tx@3",
        "hive/db.tx@3",
    ]


def test_this_registry_is_known_by_its_own_names() -> None:
    ours = {"muniment_lineage": {"digest": f"sha256:{B}"}, "version": {"datasetVersion": "1.0.0"}}
    event = read_event(
        run_event(
            inputs=[
                dataset("fraud", "muniment", **ours),
                dataset("team/fraud", "muniment", version={"datasetVersion": "7"}),
                dataset("bert", "muniment/base_model", **ours),
                dataset("velocity", "muniment/feature"),
                dataset("tx", "muniment/dataset"),
                # No version is named by these: they are datasets like others.
                dataset("fraud", "muniment", version={"datasetVersion": "champion"}),
                dataset("fraud", "muniment", version={"datasetVersion": "1.0"}),
                dataset("fraud", "muniment"),
                dataset("a/b/c", "muniment", version={"datasetVersion": "1.0.0"}),
            ]
        )
    )
    assert [(one.kind.value, one.name, one.version, one.digest) for one in event.inputs] == [
        ("version", "fraud", "1.0.0", f"sha256:{B}"),
        ("version", "team/fraud", "7", None),
        ("base_model", "bert", "1.0.0", f"sha256:{B}"),
        ("feature", "velocity", None, None),
        ("dataset", "tx", None, None),
        ("dataset", "muniment/fraud", "champion", None),
        ("dataset", "muniment/fraud", "1.0", None),
        ("dataset", "muniment/fraud", None, None),
        ("dataset", "muniment/a/b/c", "1.0.0", None),
    ]
    said = told.said_of(LinkKind.USED, event.inputs[0])
    assert (str(said.reference), said.must, said.node.kind) == (
        "fraud@1.0.0",
        True,
        NodeKind.BASE_MODEL,
    )
    assert told.said_of(LinkKind.USED, event.inputs[3]).reference is None


def test_events_of_jobs_and_datasets() -> None:
    plain = run_event(inputs=[dataset()])
    for name in ("run", "eventType"):
        del plain[name]
    job = read_event(plain)
    assert (job.kind, job.maker, job.job, job.type) == (
        EventKind.JOB,
        "job:etl/train",
        "etl/train",
        None,
    )
    del plain["job"]
    event = read_event({**plain, "dataset": dataset()})
    assert (event.kind, event.maker, event.inputs) == (
        EventKind.DATASET,
        "dataset:s3://lake/tx",
        (),
    )


@pytest.mark.parametrize(
    ("text", "hour", "micro"),
    [
        ("2026-06-01T12:00Z", 12, 0),
        ("2026-06-01t12:00:00", 12, 0),
        ("2026-06-01 12:00:00.5+02:00", 10, 500_000),
        ("2026-06-01T12:00:00,25-0100", 13, 250_000),
    ],
)
def test_times(text: str, hour: int, micro: int) -> None:
    event = read_event(run_event(eventTime=text))
    assert event.at == dt.datetime(2026, 6, 1, hour, 0, 0, micro, tzinfo=dt.UTC)


@pytest.mark.parametrize("value", [None, [], "text", 7, {}, {"run": None}])
def test_what_is_no_event(value: Any) -> None:
    assert wrong(value)


def test_all_mistakes_at_once() -> None:
    fields = wrong(
        run_event(
            eventType="DONE", eventTime="yesterday", producer="\ud800", schemaURL="x" * 1001,
            run={"runId": "1"}, job={"namespace": "", "name": "tab\t"},
            inputs=[dataset("x" * 1201), 7, dataset(version={"datasetVersion": "v" * 201})], outputs={},
        ),
        "[3].",
    )  # fmt: skip
    assert sorted(fields) == [
        "[3].eventTime", "[3].eventType", "[3].inputs[0].name", "[3].inputs[1]",
        "[3].inputs[2].facets.version.datasetVersion", "[3].job.name", "[3].job.namespace", "[3].outputs",
        "[3].producer", "[3].run.runId", "[3].schemaURL",
    ]  # fmt: skip
    assert wrong(run_event(eventTime="0001-01-01T00:00:00+14:00")) == ["eventTime"]
    assert wrong(run_event(eventTime="2026-13-01T00:00:00Z")) == ["eventTime"]
    assert wrong(run_event(run={"runId": "z" * 36})) == ["run.runId"]
    assert wrong(run_event(run=None, job=None)) == ["job", "run"]
    nowhere = {"namespace": 7, "name": "tx"}
    assert wrong(run_event(inputs=[nowhere])) == ["inputs[0].namespace"]
    many = [dataset(f"d{number}") for number in range(DATASETS_MAX + 1)]
    assert wrong(run_event(outputs=many)) == ["inputs"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(run_event())), _json)
def test_whatever_is_sent_is_an_event_or_a_refusal(member: str, value: Any) -> None:
    try:
        event = read_event(run_event(inputs=[dataset()], **{member: value}))
    except BadEvent:
        return
    assert event.at.tzinfo is dt.UTC
    for name in folding.found_by(event.inputs):
        assert len(name.encode()) < 2000


def node(**said: Any) -> Node:
    return reference_node(NodeKind.DATASET, said)


def test_which_datasets_are_the_same() -> None:
    one = node(name="tx", version="3", digest=f"sha256:{A}", uri="s3://lake/tx/")

    def same(
        name: str,
        version: str | None = None,
        digest: str | None = None,
        also: tuple[str, ...] = (),
    ) -> bool:
        other = told.node_of(Material(NodeKind.DATASET, name, version, digest, also))
        assert told.same(one, other) == told.same(other, one)
        return told.same(one, other)

    assert same("tx")
    assert same("tx", "3")
    assert not same("tx", "4")
    assert same("s3://lake/tx")
    assert same("s3://lake/tx", "3")
    assert not same("s3://lake/tx", "3", f"sha256:{B}")
    assert same("s3://lake/tx", "3", "git:" + "c" * 40)
    assert same("elsewhere", None, f"sha256:{A}")
    assert same("elsewhere", also=("tx",))
    assert not same("elsewhere")
    feature = told.node_of(Material(NodeKind.FEATURE, "tx"))
    assert not told.same(one, feature)
    # What somebody only asks for is known by that name alone.
    asked = Node(NodeKind.DATASET, "tx@3", "tx@3", called=frozenset({"tx@3"}))
    assert told.same(one, asked)
    assert not told.same(node(name="tx"), asked)
    hidden = Node(NodeKind.DATASET, "tx", "tx", redacted=True)
    assert not told.same(one, hidden)
    assert {"tx", "tx@3", f"sha256:{A}", "s3://lake/tx"} <= told.names_to_find(one)


def test_what_is_named_by_nothing_but_its_name_is_loose() -> None:
    found = told.loose(told.node_of(Material(NodeKind.BASE_MODEL, "bert")))
    assert found is not None
    assert found.rule == "no_digest"
    assert told.loose(told.node_of(Material(NodeKind.DATASET, "tx", "3"))) is None
    assert told.loose(told.node_of(Material(NodeKind.DATASET, "tx", None, f"sha256:{A}"))) is None


def part(maker: str = f"run:{RUN}", **changes: Any) -> told.Part:
    at = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    said: dict[str, Any] = {
        "job": "etl/train", "state": "START", "first": at, "last": at, "producer": "p", "told_by": "service:1",
        "parent_run": None, "commit": None, "repository": None, "inputs": (), "outputs": (),
    }  # fmt: skip
    return told.Part(maker=maker, **said | changes)


def test_all_events_of_a_run_count_together() -> None:
    tx, out = Material(NodeKind.DATASET, "tx"), Material(NodeKind.DATASET, "out")
    found = told.makers_of(
        [
            part(inputs=(tx,), commit="c" * 40),
            part(state="COMPLETE", inputs=(tx,), outputs=(out,), told_by="person:2", commit="d" * 40,
                 repository="https://git", parent_run=PARENT),
            part("job:etl/train", state=None),
        ]
    )  # fmt: skip
    run = found[f"run:{RUN}"]
    assert (run.inputs, run.outputs) == ((tx,), (out,))
    assert [one.about for one in run.commits] == [{}, {"repository": "https://git"}]
    assert run.job == told.job_node("etl/train")
    assert run.node.label == f"etl/train {RUN}"
    assert run.node.about["status"] == "COMPLETE"
    assert run.node.about["told_by"] == "person:2, service:1"
    assert run.node.about["parent_run"] == PARENT
    job = found["job:etl/train"]
    assert (job.job, job.node.label, "job" in job.node.about) == (None, "etl/train", False)
    alone = told.makers_of([part(job=None)])[f"run:{RUN}"]
    assert (alone.job, alone.node.label) == (None, RUN)
