"""What `source` and `MLmodel` say, and what of it is taken."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadRequest
from muniment.core.names import VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import Kind
from muniment.server.facades.mlflow.rules import mlmodel, sources
from muniment.server.facades.mlflow.rules.sources import (
    OfArtifacts,
    OfLoggedModel,
    OfRun,
    OfVersion,
    parse_source,
)

RUN, LOGGED = "a" * 32, "m-" + "b" * 32
US = "https://registry.test"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"runs:/{RUN}/model", OfRun(RUN, "model")),
        (f"runs:/{RUN}/a/b%20c/", OfRun(RUN, "a/b c")),
        (f"models:/{LOGGED}", OfLoggedModel(LOGGED, "")),
        (f"models:/{LOGGED}/sub", OfLoggedModel(LOGGED, "sub")),
        ("models:/fraud/3", OfVersion(VersionRef.parse("fraud@3"))),
        ("models:/my%20model@champion", OfVersion(VersionRef.parse("my model@champion"))),
        (f"mlflow-artifacts:/0/{RUN}/artifacts/m", OfArtifacts(f"0/{RUN}/artifacts/m")),
        (f"{US}/api/2.0/mlflow-artifacts/artifacts/0/x", OfArtifacts("0/x")),
    ],
)
def test_sources_with_us_are_read(text: str, expected: sources.Source) -> None:
    assert parse_source(text, base_url=US) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "./model",
        "s3://bucket/model",
        "gs://bucket/model",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "https://registry.test.evil/api/2.0/mlflow-artifacts/artifacts/0/x",
        "mlflow-artifacts://evil/0/x",
        "mlflow-artifacts:0/x",
        "runs:/short/model",
        f"runs:/{RUN}",
        f"runs:/{RUN}/",
        "models:/fraud",
        "models:/fraud/latest",
        "models:/a/b/c",
        "dummy-source",
        "dbfs:/x",
        "x" * 3000,
    ],
)
def test_every_other_source_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid model version source"):
        parse_source(text, base_url=US)


def test_a_bad_name_in_a_source_is_refused() -> None:
    with pytest.raises(BadRequest):
        parse_source("models:/a%2Fb%3Ac/1", base_url=US)


def test_the_refusal_names_the_parameter() -> None:
    assert "The run_id request parameter" in sources.not_of("runs:/x", "run_id").message


@given(st.text(max_size=60))
def test_no_source_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(BadRequest):
        parse_source(text, base_url=US)


SKLEARN: dict[str, Any] = {
    "flavors": {
        "python_function": {"python_version": "3.11.9", "loader_module": "mlflow.sklearn"},
        "sklearn": {"sklearn_version": "1.7.0"},
        "strange": "not a mapping",
        "quiet": {},
    },
    "signature": {
        "inputs": json.dumps(
            [
                {"type": "double", "name": "amount", "required": True},
                {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}},
                "strange",
            ]
        ),
        "outputs": '[{"type": "long"}]',
        "params": None,
    },
    "mlflow_version": "3.17.2",
    "model_uuid": "m-1",
}


def test_flavors_and_signature_become_metadata() -> None:
    found = mlmodel.metadata(SKLEARN)
    assert found == {
        "frameworks": [
            {"name": "python", "version": "3.11.9"},
            {"name": "sklearn", "version": "1.7.0"},
        ],
        "signature": {
            "inputs": [
                {"type": "double", "name": "amount", "required": True},
                {"type": "float64", "shape": [-1, 4]},
            ],
            "outputs": [{"type": "long"}],
        },
    }
    assert catalog.metadata_problems(Kind.MODEL, found) == []
    assert mlmodel.about(SKLEARN) == {
        "mlflow_version": "3.17.2",
        "model_uuid": "m-1",
        "flavors": ["python_function", "quiet", "sklearn", "strange"],
    }


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"flavors": [], "signature": []},
        {"flavors": {5: {}}, "signature": {"inputs": "{", "outputs": "5"}},
        {"signature": {"inputs": [], "params": {}}},
    ],
)
def test_what_makes_no_sense_is_left_out(said: dict[str, Any]) -> None:
    assert mlmodel.metadata(said) == {}
    assert mlmodel.about(said).get("flavors") in (None, ["5"])


@pytest.mark.parametrize(
    "data",
    [
        b"flavors: !!python/object/apply:os.system ['id']",
        b"a: &a [x, x]\nb: [*a, *a]",
        b"[" * 5000,
        b"just text",
        b"\x00",
        b"a: 2001-99-99",
        b"a" * (mlmodel.MLMODEL_MAX_BYTES + 1),
        b"[" * mlmodel.MLMODEL_MAX_BYTES,
        b"{a: " * 250_000,
        b"- " * 500_000,
        b"a: &x [" + b"[" * 49 + b"]" * 50,
        b"flavors: {a: &x 1, b: *x}",
    ],
)
def test_a_file_that_is_no_plain_yaml_says_nothing(data: bytes) -> None:
    assert mlmodel.read(data) == {}


def test_a_plain_file_is_read() -> None:
    assert mlmodel.read(yaml.safe_dump(SKLEARN).encode()) == SKLEARN


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
)


@given(st.fixed_dictionaries({}, optional={"flavors": _JSON, "signature": _JSON}))
def test_nothing_said_breaks_the_reading(said: dict[str, Any]) -> None:
    mlmodel.metadata(said)
    mlmodel.about(said)


@pytest.mark.parametrize("shape", ["x", [1.5], [True], [-2], [1] * 33])
def test_strange_shapes_are_left_out(shape: object) -> None:
    said = {"signature": {"inputs": [{"type": "tensor", "tensor-spec": {"shape": shape}}]}}
    assert mlmodel.metadata(said)["signature"]["inputs"] == [{"type": "unknown"}]


def test_an_mlmodel_may_be_as_deep_as_any_real_one() -> None:
    deep = b"{a: " * 50 + b"1" + b"}" * 50
    assert mlmodel.read(deep)
