"""Whatever is sent to MLflow's endpoints, a real server answers in MLflow's shape and never with 5xx.

Bodies and queries are made from what each endpoint takes: its own field names, with values of the
right and of any other kind, and names of things that are there. Then bytes that are nothing at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.server.http.operation import Operation
from muniment.server.wiring import FACADES
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

API = "/api/2.0/mlflow"
#: Answers that are refusals by design: not here, so that clients fall back.
NOT_HERE = 501

THERE = [
    "m",
    "p",
    "1",
    "2",
    "0",
    "champion",
    "latest",
    "v1",
    "RUN",
    "Default",
    "runs:/RUN/model",
    "models:/m/1",
]
ODD = [
    "", " ", "a/b", "../x", "%2e%2e", "\0", "\ud800", "é\u0301", "\u202e", "x" * 3000, "-1", "1.5", "9" * 30, "true", "null",
    "[]", "{}", "1e999", "NaN", "'", '"', "`", "\\", "name = 'm'", "name IN ('m','p')", "tags.`a` LIKE '%'", "name ASC",
    "version_number DESC", "timestamp", "eyJvZmZzZXQiOiA1fQ==", "eyJvZmZzZXQiOiA5MDA3MTk5MjU0NzQwOTkxfQ==", "Production",
    "FINISHED", "LOGGED_MODEL_READY", "ALL", "mlflow.prompt.is_prompt", "muniment.x", "s3://b/x", "file:///etc/passwd",
]  # fmt: skip
NUMBERS = st.sampled_from(
    [0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1.5, -0.0]
)
WORDS = st.sampled_from([*THERE, *ODD]) | st.text(max_size=20)
SCALARS = WORDS | NUMBERS | st.booleans() | st.none()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TOKENS = st.sampled_from(
    ["name", "run_id", "source_path", "version_number", "tags.a", "tag.`b c`", "tags.`mlflow.prompt.is_prompt`", "=", "!=",
     "<", ">=", "LIKE", "ILIKE", "IN", "NOT IN", "AND", "OR", "NOT", "'m'", "'%'", "'\\'", "''", "5", "-9223372036854775809",
     "(", ")", ",", "('m')", "('a', 'b')", "'true'", '"x"', "--", ";", "\u00e9"]
)  # fmt: skip
FILTERS = st.lists(TOKENS, max_size=9).map(" ".join)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("fuzz")) as running:
        yield running
        running.stop()


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as one:
        yield one


@pytest.fixture(scope="module")
def run_id(client: httpx.Client) -> str:
    """There are a model with a version and an alias, a prompt, and a run; its id."""
    made = client.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()
    found: str = made["run"]["info"]["run_id"]
    put = client.put(
        f"/api/2.0/mlflow-artifacts/artifacts/0/{found}/artifacts/model/w", content=b"w"
    )
    assert put.status_code == 200
    for path, body in (
        ("registered-models/create", {"name": "m"}),
        ("model-versions/create", {"name": "m", "source": f"runs:/{found}/model"}),
        ("registered-models/alias", {"name": "m", "alias": "champion", "version": "1"}),
        (
            "registered-models/create",
            {"name": "p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
        ),
        (
            "model-versions/create",
            {
                "name": "p",
                "source": "dummy-source",
                "tags": [{"key": "mlflow.prompt.text", "value": "Hi {{x}}"}],
            },
        ),
    ):
        answer = client.post(f"{API}/{path}", json=body)
        assert answer.status_code == 200, answer.text
    return found


def _fitting(kind: Any) -> st.SearchStrategy[Any]:
    """Values of about the right kind for a field."""
    text = str(kind)
    if "list" in text:
        pairs = st.fixed_dictionaries({"key": WORDS, "value": WORDS})
        return st.lists(pairs | WORDS | ANYTHING, max_size=3)
    if "int" in text or "float" in text:
        return NUMBERS | WORDS
    return WORDS


@st.composite
def requests(draw: st.DrawFn) -> tuple[Operation, dict[str, Any], bytes | None]:
    """An endpoint, and what to send: fields as a mapping, or bytes."""
    operation = draw(st.sampled_from([one for one in FACADES if one.needs.value != "anonymous"]))
    takes = operation.query or operation.body
    sent: dict[str, Any] = {}
    if takes is not None and draw(st.integers(0, 9)) < 9:
        for field in msgspec.structs.fields(takes):
            if field.required or draw(st.booleans()):
                wild = draw(st.integers(0, 5)) == 0
                name = field.encode_name
                value = draw(ANYTHING if wild else _fitting(field.type))
                sent[name] = draw(FILTERS) if name == "filter" and not wild else value
    raw = draw(st.binary(max_size=60)) if draw(st.integers(0, 14)) == 0 else None
    return operation, sent, raw


def _with(run_id: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("RUN", run_id)
    if isinstance(value, list):
        return [_with(run_id, one) for one in value]
    if isinstance(value, dict):
        return {key: _with(run_id, one) for key, one in value.items()}
    return value


def _answer(
    client: httpx.Client, operation: Operation, path: str, sent: Any, raw: bytes | None
) -> httpx.Response:
    if operation.method == "GET":
        pairs = [
            (key, one if isinstance(one, str) else json.dumps(one))
            for key, value in sent.items()
            for one in (value if isinstance(value, list) else [value])
        ]
        params = [(key, one.encode("utf-8", "surrogatepass")) for key, one in pairs]
        return client.request("GET", path, params=params)  # type: ignore[arg-type]
    headers = {"content-type": "application/json"}
    content = json.dumps(sent).encode() if raw is None else raw
    return client.request(operation.method, path, content=content, headers=headers)


@given(request=requests(), segment=st.sampled_from([*THERE, "m-" + "0" * 32, "a b", "x"]))
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_nothing_sent_is_the_servers_fault(
    client: httpx.Client,
    run_id: str,
    request: tuple[Operation, dict[str, Any], bytes | None],
    segment: str,
) -> None:
    operation, sent, raw = request
    path = operation.path.replace("{path:path}", "0/RUN/artifacts/" + segment)
    for name in ("{model_id}", "{tag_key}"):
        path = path.replace(name, segment.replace("/", "-"))
    answer = _answer(client, operation, path.replace("RUN", run_id), _with(run_id, sent), raw)
    assert answer.status_code < 500 or answer.status_code == NOT_HERE, answer.text
    if answer.status_code >= 400:
        body = answer.json()
        assert set(body) - {"code"} == {"error_code", "message"}, body
        assert answer.headers["content-type"] == "application/json"


def test_what_is_there_is_still_as_it_was(
    server: ServerProcess, client: httpx.Client, run_id: str
) -> None:
    assert run_id
    version = client.get(f"{API}/model-versions/get?name=m&version=1").json()["model_version"]
    assert version["source"] == f"runs:/{run_id}/model"
    prompt = client.get(f"{API}/model-versions/get?name=p&version=1").json()["model_version"]
    assert {"key": "mlflow.prompt.text", "value": "Hi {{x}}"} in prompt["tags"]
    assert server.cli("fsck", "--sample", "all", "--data", str(server.data)).returncode == 0
