"""MLflow's newest client saves other sorts of models, and prompts; its quickstart runs by one changed line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mlflow_clients import AS_BEARER, NEWEST, ROOT, run_script, what_it_saw
from tests.support.server_process import ServerProcess

QUICKSTART = ROOT / "tests" / "support" / "mlflow_quickstart_script.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("kinds")) as running:
        yield running
        running.stop()


@pytest.fixture(scope="module")
def seen(server: ServerProcess) -> dict[str, Any]:
    return what_it_saw(server, NEWEST, "mlflow_kinds_script.py")


def test_a_text_prompt_loads_as_it_was_registered(seen: dict[str, Any]) -> None:
    assert seen["prompts"] == [1, 2]
    derived = [key for key in seen["text"][4] if key.startswith("aisdp.")]
    assert derived == ["aisdp.content_hash"]  # an alias that production resolves points at it
    del seen["text"][4]["aisdp.content_hash"]
    assert seen["text"] == [
        1,
        "Hello {{ name }}!",
        "Hello Ada!",
        ["name"],
        {"team": "risk"},
        "First",
    ]


def test_a_chat_prompt_keeps_format_and_configuration(seen: dict[str, Any]) -> None:
    messages, response_format, config, variables, is_text = seen["chat"]
    assert messages == [
        {"role": "system", "content": "You are {{ style }}."},
        {"role": "user", "content": "{{question}} Où?"},
    ]
    assert response_format == {"type": "object", "properties": {"answer": {"type": "string"}}}
    assert config == {
        "model_name": "m",
        "temperature": 0.5,
        "max_tokens": 10,
        "stop_sequences": ["x"],
    }
    assert (variables, is_text) == (["question", "style"], False)


def test_prompt_aliases_move_and_end(seen: dict[str, Any]) -> None:
    assert (seen["moved"], seen["newest"]) == (2, 2)
    assert seen["unaliased"][0] == "INVALID_PARAMETER_VALUE"
    assert seen["nobody"] is seen["no_version"] is None


def test_prompts_are_tagged_and_not_rewritten(seen: dict[str, Any]) -> None:
    assert seen["tags"] == [{"reviewed": "yes", "team": "risk"}, "ada"]
    assert "a version never changes" in seen["rewritten"][1]
    assert "is a prompt and stays one" in seen["unprompted"][1]
    assert seen["still"] == "Hello {{ name }}!"


def test_prompts_are_found_as_prompts_only(seen: dict[str, Any]) -> None:
    assert seen["found_prompts"] == {
        "name LIKE '%'": ["greet", "other"],
        "name = 'greet'": ["greet"],
        "tags.team = 'risk'": ["greet"],
        "tags.team = 'x'": [],
    }
    assert seen["prompt_versions"] == [2, 1]
    assert seen["as_models"] == seen["as_versions"] == []
    assert seen["model_named_prompt"][0] == "RESOURCE_ALREADY_EXISTS"
    assert "exists with the same name" in seen["taken"][1]


def test_functions_and_directories_load_back(seen: dict[str, Any]) -> None:
    assert seen["doubled"] == [2.0, 4.0]
    assert seen["weights"] == [0.0, 1.0, 2.0, 3.0]
    assert {
        "artifacts/pretrained/config.json",
        "artifacts/pretrained/model.safetensors",
        "python_model.pkl",
    } <= set(seen["downloaded"])


def test_a_graph_loads_back_equal_and_computes(seen: dict[str, Any]) -> None:
    assert seen["onnx_equal"] == [True, True]
    assert seen["plus_one"] == {"y": [2.0, 3.0]}
    assert seen["plus_files"] == [".data", ".onnx"]  # the weights lie beside the graph


def test_the_command_line_predicts_and_lists(seen: dict[str, Any]) -> None:
    assert seen["cli"] == {"predictions": [0, 0, 1, 1]}
    assert seen["cli_list"] == [{"path": "notes", "is_dir": True}]


def test_what_was_saved_is_known_for_what_it_is(
    server: ServerProcess, seen: dict[str, Any]
) -> None:
    assert seen
    embedder = json.loads(server.cli("show", "embedder@champion", "--json").stdout)
    assert {"safetensors", "json"} <= set(embedder["formats"])
    assert embedder["executable"] is True  # its function is a pickle
    plus = json.loads(server.cli("show", "plus@champion", "--json").stdout)
    assert "onnx" in plus["formats"]
    assert {"name": "onnx"}.items() <= plus["metadata"]["frameworks"][0].items()
    prompt = json.loads(server.cli("show", "greet@1.0.0", "--json").stdout)
    assert prompt["metadata"]["prompt"]["variables"] == ["name"]


def test_the_quickstart_runs_with_one_changed_line(
    server: ServerProcess, seen: dict[str, Any], tmp_path: Path
) -> None:
    assert seen  # it lists what the registry holds, so it comes before this model
    written = QUICKSTART.read_text().splitlines()
    changed = [line.replace("http://127.0.0.1:8080", server.url) for line in written]
    assert sum(was != now for was, now in zip(written, changed, strict=True)) == 1
    script = tmp_path / "quickstart.py"
    script.write_text("\n".join(changed) + "\n")
    run_script(server, NEWEST, script)
    assert (server.home / "quickstart.txt").read_text() == "as trained"
    history = server.cli("history", "tracking-quickstart").stdout
    assert "version.register" in history
    assert "asset.create" in history
    shown = json.loads(server.cli("show", "tracking-quickstart@1", "--json").stdout)
    assert shown["metadata"]["hyperparameters"]["max_iter"] == "1000"
    assert shown["metadata"]["run"]["id"]
    assert server.cli("verify", "tracking-quickstart@1").returncode == 0


def test_large_files_come_in_parts(server: ServerProcess, seen: dict[str, Any]) -> None:
    assert seen
    small = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "0",
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "100000",
    }
    of = what_it_saw(server, NEWEST, "mlflow_parts_script.py", credentials=AS_BEARER | small)
    parts = ["PUT mpu/part 200"] * 11
    assert of["requests"] == ["POST mpu/complete 200", "POST mpu/create 200", *parts]
    assert of["empty_requests"] == ["POST mpu/create 501", "PUT artifacts/0 200"]
    assert of["killed"] == [-9, []]
    assert of["same"] is True
    assert of["version"] == ["READY", True, True]
    assert "400" in of["too_many"]
    assert of["nothing"] == []


def test_the_log_agrees(server: ServerProcess, seen: dict[str, Any]) -> None:
    assert seen
    assert server.cli("fsck", "--sample", "all", "--data", str(server.data)).returncode == 0
