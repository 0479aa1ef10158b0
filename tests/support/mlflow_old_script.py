"""What a data scientist does with an MLflow of 2023, in its own environment; writes what it saw.

Started by the conformance tests against a real server. Knows nothing of ours: only `mlflow`. Saves a
model of each sort that needs no large framework: scikit-learn, a function, ONNX, and a directory as
Hugging Face's libraries write it.
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
REQUIRES = ["scikit-learn", "onnx"]
INPUTS = np.array([[0.0], [1.0], [2.0], [3.0]])
client = MlflowClient()


def refused(call: Callable[[], object]) -> list[str]:
    """Return code and message of what `call` is refused with."""
    try:
        call()
    except MlflowException as error:
        return [error.error_code, error.message]
    return ["", "not refused"]


def with_sklearn() -> str:
    """Train, log, register, find, load; return the run's id."""
    model = LogisticRegression().fit(INPUTS, np.array([0, 0, 1, 1]))
    mlflow.set_experiment("old")
    with mlflow.start_run() as run:
        mlflow.log_params({"C": 1.0})
        mlflow.log_metric("auc", 0.9)
        mlflow.sklearn.log_model(
            model,
            "clf",
            registered_model_name="old clf",
            pip_requirements=REQUIRES,
            signature=mlflow.models.infer_signature(INPUTS, model.predict(INPUTS)),
        )
    run_id: str = run.info.run_id
    again = mlflow.register_model(f"runs:/{run_id}/clf", "old clf")
    SEEN["again"] = [again.version, again.status]
    client.set_registered_model_alias("old clf", "champion", "1")
    for how in ("models:/old clf@champion", "models:/old clf/2", "models:/old clf/latest"):
        loaded = mlflow.pyfunc.load_model(how)
        SEEN.setdefault("predicted", {})[how] = [int(one) for one in loaded.predict(INPUTS)]
    SEEN["aliases"] = dict(client.get_registered_model("old clf").aliases)
    SEEN["run"] = [client.get_run(run_id).data.params, client.get_run(run_id).data.metrics]
    return run_id


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Doubles."""

    def predict(self, context: object, model_input: Any) -> Any:
        """Return twice the input."""
        return model_input * 2


def with_a_function() -> None:
    """A function of ours as a model."""
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            "double",
            python_model=Doubled(),
            registered_model_name="double",
            pip_requirements=REQUIRES,
        )
    found = mlflow.pyfunc.load_model("models:/double/1").predict(pd.DataFrame({"a": [1, 2]}))
    SEEN["doubled"] = [int(one) for one in found["a"]]


def with_onnx() -> None:
    """A real graph: y = x + 1."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "plus one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with mlflow.start_run():
        mlflow.onnx.log_model(
            model, "plus", registered_model_name="plus", pip_requirements=REQUIRES
        )
    SEEN["onnx_equal"] = mlflow.onnx.load_model("models:/plus/1") == model
    onnx.checker.check_model(model)
    found = mlflow.pyfunc.load_model("models:/plus/1").predict(
        pd.DataFrame({"x": np.array([1, 2], dtype=np.float32)})
    )
    SEEN["plus_one"] = [float(one) for one in found["y"]]


def pretrained(directory: Path) -> Path:
    """Write what a small transformer's directory has: configuration, tokenizer, safetensors."""
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "bert", "hidden_size": 2}')
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (directory / "tokenizer.json").write_text('{"version": "1.0", "model": {"vocab": {"a": 0}}}')
    weights = np.arange(4, dtype="<f4")
    head = json.dumps(
        {"embed.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    ).encode()
    data = struct.pack("<Q", len(head)) + head + weights.tobytes()
    (directory / "model.safetensors").write_bytes(data)
    return directory


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


def with_a_directory() -> None:
    """A transformer's directory, inside a model and registered as it is."""
    directory = pretrained(Path("pretrained"))
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(
            "embedder",
            python_model=Embedder(),
            artifacts={"model": str(directory)},
            registered_model_name="embedder",
            pip_requirements=REQUIRES,
        )
        mlflow.log_artifacts(str(directory), "bare")
    found = mlflow.pyfunc.load_model("models:/embedder/1").predict(pd.DataFrame({"a": [1]}))
    SEEN["weights"] = [float(one) for one in found]
    client.create_registered_model("bare")
    source = f"{run.info.artifact_uri}/bare"
    version = client.create_model_version("bare", source, run.info.run_id)
    there = mlflow.artifacts.download_artifacts("models:/bare/1", dst_path="there")
    SEEN["bare"] = [version.status, sorted(one.name for one in Path(there).iterdir())]
    same = (Path(there) / "model.safetensors").read_bytes()
    SEEN["bare_equal"] = same == (directory / "model.safetensors").read_bytes()


def look_around(run_id: str) -> None:
    """Searches, tags, descriptions, stages."""
    client.set_model_version_tag("old clf", "1", "checked", "yes")
    client.set_registered_model_tag("old clf", "team", "risk")
    client.update_registered_model("old clf", "Predicts")
    client.update_model_version("old clf", "1", "First")
    SEEN["said"] = [
        client.get_registered_model("old clf").tags,
        client.get_registered_model("old clf").description,
        client.get_model_version("old clf", "1").tags,
        client.get_model_version("old clf", "1").description,
    ]
    SEEN["found"] = {
        one: [f"{v.name}/{v.version}" for v in client.search_model_versions(one)]
        for one in (
            f"run_id = '{run_id}'",
            "name = 'old clf'",
            "tags.checked = 'yes'",
            "name LIKE 'emb%'",
        )
    }
    SEEN["models"] = [m.name for m in client.search_registered_models(order_by=["name ASC"])]
    SEEN["latest"] = [v.version for v in client.get_latest_versions("old clf")]
    SEEN["exists"] = refused(lambda: client.create_registered_model("double"))
    SEEN["missing"] = refused(lambda: client.get_model_version("old clf", "99"))
    SEEN["no_alias"] = refused(lambda: client.get_model_version_by_alias("old clf", "nobody"))
    SEEN["foreign"] = refused(lambda: client.create_model_version("double", "file:///etc/passwd"))


def from_the_command_line() -> None:
    """Predict with a registered model, without a server of MLflow's."""
    Path("in.json").write_text(json.dumps({"inputs": INPUTS.tolist()}))
    command = ["-m", "mlflow", "models", "predict", "-m", "models:/old clf@champion"]
    command += ["--env-manager", "local", "-i", "in.json", "-o", "out.json"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    written = Path("out.json")
    SEEN["cli"] = json.loads(written.read_text()) if written.exists() else done.stderr[-3000:]


old_run = with_sklearn()
with_a_function()
with_onnx()
with_a_directory()
look_around(old_run)
from_the_command_line()
Path("seen.json").write_text(json.dumps(SEEN))
