"""Prompts, functions, directories and the command line, in the newest MLflow's own environment.

Started by the conformance tests against a real server. Knows nothing of ours: only `mlflow`.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # type: ignore[import-not-found]  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import (  # type: ignore[import-not-found]  # noqa: E402
    MlflowException,
)
from onnx import TensorProto, helper  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

SEEN: dict[str, Any] = {"mlflow": mlflow.__version__}
#: Given, so that nothing is imported a second time to find out.
REQUIRES = ["scikit-learn"]
CHAT = [
    {"role": "system", "content": "You are {{ style }}."},
    {"role": "user", "content": "{{question}} Où?"},
]
client = MlflowClient()


def refused(call: Callable[[], object]) -> list[str]:
    """Return code and message of what `call` is refused with."""
    try:
        call()
    except MlflowException as error:
        return [error.error_code, error.message]
    return ["", "not refused"]


def with_prompts() -> None:
    """Text and chat, versions, aliases, tags, formats; what they say stays."""
    genai = mlflow.genai
    first = genai.register_prompt(
        "greet", "Hello {{ name }}!", commit_message="First", tags={"team": "risk"}
    )
    second = genai.register_prompt(
        name="greet",
        template=CHAT,
        response_format={"type": "object", "properties": {"answer": {"type": "string"}}},
        model_config={
            "model_name": "m",
            "temperature": 0.5,
            "max_tokens": 10,
            "stop_sequences": ["x"],
        },
    )
    SEEN["prompts"] = [first.version, second.version]
    genai.set_prompt_alias("greet", alias="live", version=1)
    by_alias = genai.load_prompt("prompts:/greet@live")
    SEEN["text"] = [
        by_alias.version,
        by_alias.template,
        by_alias.format(name="Ada"),
        sorted(by_alias.variables),
        by_alias.tags,
        by_alias.commit_message,
    ]
    chat = genai.load_prompt("greet", version=2)
    SEEN["chat"] = [
        chat.template,
        chat.response_format,
        chat.model_config,
        sorted(chat.variables),
        chat.is_text_prompt,
    ]
    SEEN["newest"] = genai.load_prompt("prompts:/greet@latest").version
    SEEN["nobody"] = genai.load_prompt("prompts:/nobody/1", allow_missing=True)
    SEEN["no_version"] = genai.load_prompt("prompts:/greet/9", allow_missing=True)
    genai.set_prompt_alias("greet", alias="live", version=2)
    fresh = genai.load_prompt("prompts:/greet@live", cache_ttl_seconds=0)
    SEEN["moved"] = fresh.version
    genai.delete_prompt_alias("greet", alias="live")
    SEEN["unaliased"] = refused(
        lambda: genai.load_prompt("prompts:/greet@live", cache_ttl_seconds=0)
    )
    client.set_prompt_version_tag("greet", "1", "reviewed", "yes")
    client.set_prompt_tag("greet", "owner", "ada")
    SEEN["tags"] = [
        client.get_prompt_version("greet", 1).tags,
        client.get_prompt("greet").tags.get("owner"),
    ]
    SEEN["rewritten"] = refused(
        lambda: client.set_prompt_version_tag("greet", "1", "mlflow.prompt.text", "Bye")
    )
    SEEN["unprompted"] = refused(
        lambda: client.delete_prompt_tag("greet", "mlflow.prompt.is_prompt")
    )
    SEEN["still"] = client.get_prompt_version("greet", 1).template


def find_prompts() -> None:
    """Prompts among prompts, models among models."""
    mlflow.genai.register_prompt("other", "{% if a %}{{ a }}{% endif %} plain")
    SEEN["found_prompts"] = {
        one: sorted(found.name for found in mlflow.genai.search_prompts(filter_string=one))
        for one in ("name LIKE '%'", "name = 'greet'", "tags.team = 'risk'", "tags.team = 'x'")
    }
    SEEN["prompt_versions"] = [one.version for one in client.search_prompt_versions("greet")]
    SEEN["as_models"] = [one.name for one in client.search_registered_models()]
    SEEN["as_versions"] = [one.name for one in client.search_model_versions("name = 'greet'")]
    SEEN["model_named_prompt"] = refused(lambda: client.create_registered_model("greet"))
    client.create_registered_model("taken")
    SEEN["taken"] = refused(lambda: mlflow.genai.register_prompt("taken", "x"))


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Doubles."""

    def predict(self, context: object, model_input: list[float]) -> list[float]:
        """Return twice the input."""
        return [2 * one for one in model_input]


class Embedder(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Reads its weights from the directory that came with it."""

    def load_context(self, context: Any) -> None:
        """Read the safetensors."""
        data = (Path(context.artifacts["model"]) / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        self.weights = np.frombuffer(data[8 + length :], dtype="<f4").tolist()

    def predict(self, context: object, model_input: Any) -> Any:
        """Return the weights."""
        return self.weights


def pretrained(directory: Path) -> Path:
    """Write what a small transformer's directory has: configuration, tokenizer, safetensors."""
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "bert", "hidden_size": 2}')
    (directory / "tokenizer.json").write_text('{"version": "1.0", "model": {"vocab": {"a": 0}}}')
    head = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    weights = np.arange(4, dtype="<f4").tobytes()
    data = struct.pack("<Q", len(head)) + head + weights
    (directory / "model.safetensors").write_bytes(data)
    return directory


def with_functions_and_directories() -> None:
    """A function, and a transformer's directory inside a model: without a run, in the newest way."""
    mlflow.pyfunc.log_model(
        name="double",
        python_model=Doubled(),
        registered_model_name="double",
        pip_requirements=REQUIRES,
    )
    found = mlflow.pyfunc.load_model("models:/double/1").predict([1.0, 2.0])
    SEEN["doubled"] = [float(one) for one in found]
    info = mlflow.pyfunc.log_model(
        name="embedder",
        python_model=Embedder(),
        artifacts={"model": str(pretrained(Path("pretrained")))},
        pip_requirements=REQUIRES,
    )
    version = mlflow.register_model(info.model_uri, "embedder", tags={"kind": "embedding"})
    client.set_registered_model_alias("embedder", "champion", version.version)
    loaded = mlflow.pyfunc.load_model("models:/embedder@champion")
    SEEN["weights"] = [float(one) for one in loaded.predict(pd.DataFrame({"a": [1]}))]
    there = mlflow.artifacts.download_artifacts("models:/embedder@champion", dst_path="there")
    SEEN["downloaded"] = sorted(
        str(one.relative_to(there)) for one in Path(there).rglob("*.*") if one.is_file()
    )


def with_onnx() -> None:
    """A real graph, y = x + 1, whose weights lie beside it: registered from where it was logged."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "plus one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1024])],
        [onnx.numpy_helper.from_array(np.ones(1024, dtype=np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    info = mlflow.onnx.log_model(model, name="plus", pip_requirements=REQUIRES)
    version = mlflow.register_model(info.model_uri, "plus")
    client.set_registered_model_alias("plus", "champion", version.version)
    graph_again = mlflow.onnx.load_model("models:/plus/1").graph
    ones = onnx.numpy_helper.to_array(graph_again.initializer[0])
    SEEN["onnx_equal"] = [list(graph_again.node) == list(graph.node), ones.tolist() == [1.0] * 1024]
    loaded = mlflow.pyfunc.load_model("models:/plus@champion")
    found = loaded.predict(np.array([[1.0], [2.0]], dtype=np.float32))
    SEEN["plus_one"] = {name: values[:, 7].tolist() for name, values in found.items()}
    there = mlflow.artifacts.download_artifacts("models:/plus@champion", dst_path="graph")
    SEEN["plus_files"] = sorted(
        one.suffix for one in Path(there).iterdir() if one.suffix in {".onnx", ".data"}
    )


def from_the_command_line() -> None:
    """Predict and make an image's directory with a registered model; no server of MLflow's."""
    inputs = np.array([[0.0], [1.0], [2.0], [3.0]])
    mlflow.sklearn.log_model(
        LogisticRegression().fit(inputs, np.array([0, 0, 1, 1])),
        name="cli",
        registered_model_name="cli",
        pip_requirements=REQUIRES,
    )
    client.set_registered_model_alias("cli", "champion", "1")
    Path("in.json").write_text(json.dumps({"inputs": inputs.tolist()}))
    command = ["models", "predict", "-m", "models:/cli@champion"]
    command += ["--env-manager", "local", "-i", "in.json", "-o", "out.json"]
    SEEN["cli"] = _mlflow(command, Path("out.json"))
    listed = ["artifacts", "list", "--artifact-path", "", "--run-id", SEEN["cli_run"]]
    SEEN["cli_list"] = _mlflow(listed, None)


def _mlflow(command: list[str], written: Path | None) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return (done.stdout + done.stderr)[-3000:]
    return json.loads(written.read_text()) if written else json.loads(done.stdout)


def with_a_run() -> None:
    """A run whose artifacts the command line lists."""
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/readme.txt")
    SEEN["cli_run"] = run.info.run_id


with_prompts()
find_prompts()
with_functions_and_directories()
with_onnx()
with_a_run()
from_the_command_line()
Path("seen.json").write_text(json.dumps(SEEN))
