"""Evidence on a real server, from the command line and from Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.facet_v2 import dataset_version_dataset
from openlineage.client.serde import Serde
from openlineage.client.transport.http import (
    ApiKeyTokenProvider,
    HttpCompression,
    HttpConfig,
    HttpTransport,
)
from openlineage.client.uuid import generate_new_uuid

from muniment import Client
from muniment.core.errors import BadEvidence, BadPath, BadReference
from tests.support.evidence import SAMPLES, sample
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

BOM = SAMPLES / "cyclonedx-1.7.json"
FAIR = SAMPLES / "fairlearn-0.15.0-fairness.json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    # No worker: what it scanned would be evidence too, at a moment of its own.
    quiet = {"MUNIMENT_JOBS": "false"}
    with ServerProcess(tmp_path_factory.mktemp("registry"), environ=quiet) as running:
        yield running


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def ref(server: ServerProcess, tmp_path: Path) -> str:
    """A version of an asset of this test's own."""
    name = f"model-{os.urandom(4).hex()}"
    (tmp_path / "model.bin").write_bytes(b"weights")
    server.cli(
        "register", name, "--version", "1.0.0", "--artifact", str(tmp_path / "model.bin"),
        "--kind", "model", "--owner", "ada",
    )  # fmt: skip
    return f"{name}@1.0.0"


def data_of(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(server.cli(*arguments, "--json").stdout)


def test_from_files_to_coverage_and_back(server: ServerProcess, ref: str, tmp_path: Path) -> None:
    assert "No evidence yet" in server.cli("evidence", "list", ref).stdout
    dry = data_of(server, "evidence", "add", ref, str(BOM), str(FAIR), "--dry-run")
    assert [one["id"] for one in dry["items"]] == [None, None]
    shown = server.cli("evidence", "add", ref, str(BOM), str(FAIR)).stdout
    assert "recorded" in shown
    assert "missing_model" in shown
    assert "was there already" in server.cli("evidence", "add", ref, str(BOM)).stdout
    listed = data_of(server, "evidence", "list", ref)
    assert [one["kind"] for one in listed] == ["sbom", "evaluation"]
    bom, fair = (one["id"] for one in listed)
    assert "demographic_parity_ratio" in server.cli("evidence", "show", ref, fair).stdout
    out = tmp_path / "again.json"
    server.cli("evidence", "download", ref, bom, "-o", str(out))
    assert out.read_bytes() == BOM.read_bytes()
    assert "the same" in server.cli("evidence", "reparse", ref).stdout
    missing = server.cli("evidence", "coverage", ref, check=False)
    assert missing.returncode == 4
    assert "no evaluation measured it" in missing.stdout
    server.cli("evidence", "not-applicable", ref, "toxicity=the model writes no text")
    states = {one["dimension"]: one["state"] for one in json.loads(
        server.cli("evidence", "coverage", ref, "--json", check=False).stdout)["items"]}  # fmt: skip
    assert (states["bias"], states["toxicity"]) == ("covered", "not_applicable")
    server.cli("sbom", ref, "-o", str(tmp_path / "ml.json"))
    assert json.loads((tmp_path / "ml.json").read_text())["specVersion"] == "1.7"


def test_a_refusal_names_file_and_place(server: ServerProcess, ref: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(
        '{"bomFormat": "CycloneDX",\n "specVersion": "1.7", "version": 1,\n "version": 2}'
    )
    done = server.cli("evidence", "add", ref, str(BOM), str(wrong), check=False)
    assert done.returncode == 1
    assert "wrong.json line 3 column 2 (/version)" in done.stderr
    assert data_of(server, "evidence", "list", ref) == []


def test_from_python(server: ServerProcess, ref: str, tmp_path: Path) -> None:
    with Client(server.url, TOKEN) as client:
        [made] = client.evidence.add(ref, BOM)
        assert made.created
        assert made.id is not None
        assert client.evidence.read(ref, made.id) == BOM.read_bytes()
        assert [one["name"] for one in client.evidence.components(ref, made.id)] == [
            "fraud-detector",
            "transactions",
        ]
        (tmp_path / "x.json").write_text("{}")
        with pytest.raises(BadEvidence) as refused:
            client.evidence.add(ref, tmp_path / "x.json")
        assert refused.value.problems[0]["field"] == "x.json"
        with pytest.raises(BadPath):
            client.evidence.add(ref, [BOM, tmp_path / "none.json"])
        with pytest.raises(BadPath):
            client.evidence.add(ref, [BOM, FAIR], contexts=BOM)
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / BOM.name).write_bytes(sample(BOM.name))
        with pytest.raises(BadPath):
            client.evidence.add(ref, [BOM, tmp_path / "sub" / BOM.name])
        plan = tmp_path / "plan.yaml"
        plan.write_text(
            "schema: muniment/gate-plan/v1\ngates:\n- gate: performance\n  checks:\n"
            "  - {metric: accuracy, direction: higher, threshold: 0.5}\n"
        )
        client.evidence.add(ref, plan)
        [gate] = client.evidence.gates(ref)
        assert gate.parsed["details"]["result"] == "failed"
    done = server.cli("evidence", "gates", ref, check=False)
    assert done.returncode == 3
    assert "no evidence has this metric" in done.stdout


def test_the_client_of_openlineage_sends_events(
    server: ServerProcess, ref: str, tmp_path: Path
) -> None:
    """The real one, over its own HTTP transport; compressed, too, and again."""
    name, _, version = ref.partition("@")
    run, job = Run(runId=str(generate_new_uuid())), Job(namespace="etl", name="train")
    out = OutputDataset(
        namespace="muniment",
        name=name,
        facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(version)},
    )
    events = [
        RunEvent(
            eventType=type_, eventTime=f"2026-06-01T12:00:0{number}+02:00", run=run, job=job,
            producer="https://scheduler.example", outputs=outputs,
            inputs=[InputDataset(namespace="s3://lake", name=f"raw-{name}")],
        )
        for number, (type_, outputs) in enumerate([(RunState.START, []), (RunState.COMPLETE, [out])])
    ]  # fmt: skip
    for compression in ("gzip", None):
        config = HttpConfig(
            url=server.url, auth=ApiKeyTokenProvider({"apiKey": TOKEN}),
            compression=None if compression is None else HttpCompression(compression),
        )  # fmt: skip
        client = OpenLineageClient(transport=HttpTransport(config))
        for event in events:
            client.emit(event)  # raises if it is not taken
    told = data_of(server, "lineage-events", "list", f"run:{run.runId}")
    assert [(one["event_type"], one["producer"]) for one in told] == [
        ("COMPLETE", "https://scheduler.example"), ("START", "https://scheduler.example"),
    ]  # fmt: skip
    tree = server.cli("lineage", ref).stdout
    assert f"s3://lake/raw-{name}" in tree
    # What comes out is what its client wrote, and goes in again from a file.
    given = data_of(server, "lineage", ref, "--format", "openlineage")
    kept = [one for one in given if one["run"]["runId"] == run.runId]
    assert kept == [json.loads(Serde.to_json(event)) for event in events]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in kept))
    assert "0 recorded, 2 told before" in server.cli("lineage-events", "add", str(file)).stdout
    shown = data_of(server, "lineage-events", "show", told[0]["id"])
    assert shown == kept[1]


def test_what_runs_together(server: ServerProcess, ref: str, tmp_path: Path) -> None:
    system = f"system-{ref.partition('@')[0]}"
    absent = [f"--none={kind}=none" for kind in ("code", "adapter", "prompt", "config", "env")]
    data = f"--component=data:tx=sha256:{'d' * 64}@s3://lake/tx"
    cvi = server.cli("composite", "create", system, "--pin", ref, data, *absent).stdout.strip()
    shown = data_of(server, "composite", "show", cvi)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(shown["manifest"]))
    again = data_of(server, "composite", "create", "--manifest", str(file))
    assert (again["cvi"], again["created"]) == (cvi, False)
    assert [one["cvi"] for one in data_of(server, "composite", "list", "--system", system)] == [cvi]
    proof = data_of(server, "composite", "prove", cvi, "data", "tx")
    assert proof["component"]["ref"] == "s3://lake/tx"
    assert "recorded" in server.cli("evidence", "add", cvi, str(BOM)).stdout
    assert BOM.name in server.cli("evidence", "list", cvi).stdout
    with Client(server.url, TOKEN) as client:
        [held] = client.evidence.list_(cvi)
        assert client.evidence.read(cvi, str(held.id)) == BOM.read_bytes()
        assert [
            one.cvi
            for one in client.impact(f"sha256:{'d' * 64}").composites
            if one.system == system
        ]
        with pytest.raises(BadReference, match="composite"):
            client.versions.get(cvi)
