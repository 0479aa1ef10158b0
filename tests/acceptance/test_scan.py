"""A version is scanned by a real server's worker, and the command line says what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gadgets import SYSTEM
from tests.support.server_process import ServerProcess
from tests.support.vulnerabilities import SAMPLES as OSV
from tests.support.vulnerabilities import sbom

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[1] / "samples" / "models"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path / "state"))


def registered(server: ServerProcess, name: str, at: Path) -> str:
    server.cli(
        "register", name, "--version", "1.0.0", "--artifact", str(at),
        "--kind", "model", "--owner", "admin",
    )  # fmt: skip
    return f"{name}@1.0.0"


def test_a_good_and_a_bad_model(server: ServerProcess, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    (good / "model.pt").write_bytes((SAMPLES / "torch-state.pt").read_bytes())
    (bad / "model.pkl").write_bytes(SYSTEM)
    fine = server.cli("scan", registered(server, "good", good), "--json")
    told = json.loads(fine.stdout)
    assert told["verdict"] == "executable_allow_listed"
    assert told["scan"]["file_count"] == 1
    ref = registered(server, "bad", bad)
    refused = server.cli("scan", ref, check=False)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "`os.system` is imported" in refused.stdout
    here = server.cli("scan", "--local", str(bad), "--json", check=False)
    assert here.returncode == 3
    local = json.loads(here.stdout)["files"][0]["findings"]
    there = json.loads(server.cli("scan", ref, "--json", check=False).stdout)
    assert there["files"][0]["findings"] == local, "the same rules here and there"


def test_from_an_sbom_to_where_it_is_and_why_it_does_not_matter(
    server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(b"weights")
    ref = registered(server, "fraud", tmp_path / "w.bin")
    (tmp_path / "bom.json").write_bytes(sbom("pkg:pypi/Pillow@9.5.0"))
    assert server.cli("vulns", ref, check=False).returncode == 4
    server.cli("evidence", "add", ref, str(tmp_path / "bom.json"))
    records = tmp_path / "records"
    records.mkdir()
    for name in ("GHSA-j7hp-h8jx-5ppr.json", "PYSEC-2023-175.json"):
        (records / name).write_bytes((OSV / name).read_bytes())
    server.cli("vulndb", "import", str(records), "--ecosystem", "PyPI")
    found = server.cli("vulns", ref, check=False)
    assert found.returncode == 3
    assert "CVE-2023-4863" in found.stdout
    there = json.loads(server.cli("impact", "PYSEC-2023-175", "--json").stdout)
    assert [(one["version"], one["open"]) for one in there["items"]] == [(ref, True)]
    statement = {
        "vulnerability": "CVE-2023-4863", "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    }  # fmt: skip
    vex = {"@context": "https://openvex.dev/ns/v0.2.0", "author": "us", "statements": [statement]}
    (tmp_path / "vex.json").write_text(json.dumps(vex))
    server.cli("vex", "add", ref, str(tmp_path / "vex.json"))
    assert "none_open" in server.cli("vulns", ref).stdout


def test_where_a_version_comes_from_and_what_came_of_it(
    server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(b"more weights")
    said = {
        "training_datasets": [{"name": "tx", "version": "v1", "type": "dvc"}],
        "code": {"commit": "d" * 40, "repository": "https://git.example/x"},
    }
    (tmp_path / "said.json").write_text(json.dumps(said))
    server.cli(
        "register", "traced", "--version", "1.0.0", "--artifact", str(tmp_path / "w.bin"),
        "--kind", "model", "--owner", "admin", "--metadata", str(tmp_path / "said.json"),
    )  # fmt: skip
    tree = server.cli("lineage", "traced@1.0.0").stdout
    assert "trained_on dataset tx@v1  asserted  dangling" in tree
    assert "dvc-md5" in tree
    down = json.loads(server.cli("lineage", "dataset:tx", "--down", "--json").stdout)
    assert [one["label"] for one in down["nodes"]] == ["tx", "traced@1.0.0"]
    chart = server.cli("lineage", "traced@1.0.0", "--format", "mermaid").stdout
    assert chart.startswith("flowchart LR")
    prov = json.loads(server.cli("lineage", "traced@1.0.0", "--format", "prov").stdout)
    assert len(prov["wasDerivedFrom"]) == 2
    events = json.loads(server.cli("lineage", "traced@1.0.0", "--format", "openlineage").stdout)
    assert [one["outputs"][0]["name"] for one in events] == ["traced"]
    assert server.cli("lineage", "traced@1.0.0", "--up", "--down", check=False).returncode == 2
