"""The oldest MLflow client we claim, unmodified: four sorts of models, aliases, searches, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mlflow_clients import OLDEST, what_it_saw
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("oldest")) as running:
        yield running
        running.stop()


@pytest.fixture(scope="module")
def seen(server: ServerProcess) -> dict[str, Any]:
    return what_it_saw(server, OLDEST, "mlflow_old_script.py")


def test_it_is_the_one_the_guide_names(seen: dict[str, Any]) -> None:
    assert seen["mlflow"] == "2.3.2"


def test_sklearn_registers_and_loads_in_every_way(seen: dict[str, Any]) -> None:
    assert seen["again"] == ["2", "READY"]
    assert seen["predicted"] == {
        "models:/old clf@champion": [0, 0, 1, 1],
        "models:/old clf/2": [0, 0, 1, 1],
        "models:/old clf/latest": [0, 0, 1, 1],
    }
    assert seen["aliases"] == {"champion": "1"}
    assert seen["run"] == [{"C": "1.0"}, {"auc": 0.9}]


def test_a_function_a_graph_and_a_directory_load_back(seen: dict[str, Any]) -> None:
    assert seen["doubled"] == [2, 4]
    assert seen["onnx_equal"] is True
    assert seen["plus_one"] == [2.0, 3.0]
    assert seen["weights"] == [0.0, 1.0, 2.0, 3.0]
    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert seen["bare"] == ["READY", files]
    assert seen["bare_equal"] is True


def test_what_is_said_and_found(seen: dict[str, Any]) -> None:
    of_model, described, of_version, first = seen["said"]
    assert [of_model, described, first] == [{"team": "risk"}, "Predicts", "First"]
    # `champion` has put it in production, where the registry's own tags are shown beside.
    typed = {key: text for key, text in of_version.items() if not key.startswith("aisdp.")}
    assert typed == {"checked": "yes"}
    assert of_version["aisdp.content_hash"].startswith("sha256:")
    of_run, of_name, tagged, alike = seen["found"].values()
    assert sorted(of_run) == sorted(of_name) == ["old clf/1", "old clf/2"]
    assert (tagged, alike) == (["old clf/1"], ["embedder/1"])
    assert seen["models"] == ["bare", "double", "embedder", "old clf", "plus"]
    assert sorted(seen["latest"]) == ["1", "2"]  # of each stage: `champion` has put 1 in production


def test_refusals_have_the_codes_it_expects(seen: dict[str, Any]) -> None:
    assert seen["exists"][0] == "RESOURCE_ALREADY_EXISTS"
    assert seen["missing"][0] == "RESOURCE_DOES_NOT_EXIST"
    assert seen["no_alias"][0] == seen["foreign"][0] == "INVALID_PARAMETER_VALUE"


def test_its_command_line_predicts(seen: dict[str, Any]) -> None:
    assert seen["cli"] == {"predictions": [0, 0, 1, 1]}


def test_what_it_saved_is_known_for_what_it_is(server: ServerProcess, seen: dict[str, Any]) -> None:
    assert seen
    plus = json.loads(server.cli("show", "plus@1", "--json").stdout)
    assert "onnx" in plus["formats"]
    assert {"name": "onnx"}.items() <= plus["metadata"]["frameworks"][0].items()
    assert server.cli("fsck", "--sample", "all", "--data", str(server.data)).returncode == 0
