"""MLflow's endpoints: who may, exact JSON, and every published way in, re-tried."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Grant, Role, Scope
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.policies import bare

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db, blobs, keys, clock, operations, first=bare(), dialects=DIALECTS
    ) as simulator:
        yield simulator


@pytest.fixture
def admin(registry: RegistrySimulator) -> Client:
    return registry.as_(Role.ADMIN)


async def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def a_run(client: Client, files: dict[str, bytes]) -> str:
    """Make a run with these artifacts; return its id."""
    made = await ok(await client.post(f"{API}/runs/create", json={"experiment_id": "0"}))
    run_id: str = made["run"]["info"]["run_id"]
    for path, data in files.items():
        put = await client.put(f"{FILES}/0/{run_id}/artifacts/{path}", content=data)
        assert put.status_code == 200, put.text
    return run_id


async def a_version(client: Client, name: str = "m", **said: Any) -> dict[str, Any]:
    """Register a version of `name`, making it if need be; return the version."""
    run_id = await a_run(client, {"model/MLmodel": b"flavors: {}\n", "model/w/a.bin": b"weights"})
    await client.post(f"{API}/registered-models/create", json={"name": name})
    body = {"name": name, "source": f"runs:/{run_id}/model", "run_id": run_id, **said}
    made = await ok(await client.post(f"{API}/model-versions/create", json=body))
    version: dict[str, Any] = made["model_version"]
    return version


def error_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) - {"code"} == {"error_code", "message"}, body
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["error_code"]


# --- what is open, and to whom -----------------------------------------------------------------


async def test_probes_need_nobody(registry: RegistrySimulator) -> None:
    assert (await registry.anonymous.get("/health")).text == "OK"
    assert (await registry.anonymous.get("/version")).text[0].isdigit()
    info = await ok(await registry.anonymous.get("/api/3.0/mlflow/server-info"))
    assert info["multipart_uploads_enabled"] is False


def _samples() -> list[tuple[str, str]]:
    return sorted(
        {
            (one.method, one.path.replace("{path:path}", "0/x").replace("{model_id}", "m-1"))
            for one in FACADES
            if one.needs.value != "anonymous"
        }
    )


async def test_nobody_gets_in_without_a_token(registry: RegistrySimulator) -> None:
    for method, path in _samples():
        answer = await registry.anonymous.request(method, path.replace("{tag_key}", "k"))
        assert error_of(answer) == (401, "UNAUTHENTICATED"), (method, path)


BODY = {
    "name": "m", "version": "1", "key": "k", "value": "1", "alias": "a", "new_name": "n", "source": "s3://b/x",
    "stage": "Production", "run_id": "a" * 32, "experiment_id": "0", "status": "FINISHED", "model_json": "{}",
    "timestamp": 1, "metric_key": "k", "experiment_name": "Default",
    "url": "https://x.test/hook", "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
}  # fmt: skip


async def test_a_token_without_roles_opens_nothing(registry: RegistrySimulator) -> None:
    await a_version(registry.as_(Role.ADMIN))
    for method, path in _samples():
        if (
            path.endswith("/search") and "registered-models" in path
        ) or "model-versions/search" in path:
            found = await ok(await registry.nobody.get(path))
            assert found == {}
            continue
        sent: dict[str, Any] = {"params": BODY} if method == "GET" else {"json": BODY}
        url = path.replace("{tag_key}", "k")
        answer = await registry.nobody.request(method, url, **sent)
        # Webhooks belong to the registry as a whole: that there are some is no secret.
        hidden = (404, "RESOURCE_DOES_NOT_EXIST")
        expected = (403, "PERMISSION_DENIED") if "/webhooks" in path else hidden
        assert error_of(answer) == expected, (method, path, answer.text)


async def test_a_viewer_reads_and_does_not_write(registry: RegistrySimulator) -> None:
    await a_version(registry.as_(Role.ADMIN))
    viewer = registry.as_(Role.VIEWER)
    await ok(await viewer.get(f"{API}/registered-models/get", params={"name": "m"}))
    for path in ("registered-models/create", "runs/create", "registered-models/alias"):
        answer = await viewer.post(f"{API}/{path}", json=BODY)
        assert error_of(answer) == (403, "PERMISSION_DENIED"), path
    put = await viewer.put(f"{FILES}/0/x", content=b"x")
    assert error_of(put) == (403, "PERMISSION_DENIED")


async def test_search_shows_only_what_one_may_read(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    await a_version(admin, "one")
    await a_version(admin, "two")
    only = registry.with_grants(Grant(Role.VIEWER, Scope("default", "two")))
    found = await ok(await only.get(f"{API}/model-versions/search"))
    assert [one["name"] for one in found["model_versions"]] == ["two"]
    models = await ok(await only.get(f"{API}/registered-models/search"))
    assert [one["name"] for one in models["registered_models"]] == ["two"]
    whole = registry.as_(Role.VIEWER, Scope("default"))
    models = await ok(await whole.get(f"{API}/registered-models/search"))
    assert len(models["registered_models"]) == 2


async def test_files_of_a_version_are_for_who_may_read_it(registry: RegistrySimulator) -> None:
    await a_version(registry.as_(Role.ADMIN), "one")
    asked = {"name": "one", "version": "1"}
    uri = await ok(
        await registry.as_(Role.ADMIN).get(f"{API}/model-versions/get-download-uri", params=asked)
    )
    other = registry.with_grants(Grant(Role.VIEWER, Scope("default", "two")))
    assert error_of(await other.get(uri["artifact_uri"] + "/MLmodel"))[0] == 404
    reader = registry.with_grants(Grant(Role.VIEWER, Scope("default", "one")))
    assert (await reader.get(uri["artifact_uri"] + "/MLmodel")).content == b"flavors: {}\n"


@pytest.mark.parametrize("user", ["", "ada"])
async def test_a_token_comes_as_a_password_too(registry: RegistrySimulator, user: str) -> None:
    admin = registry.as_(Role.ADMIN)
    await admin.get("/api/v1/whoami")
    pair = base64.b64encode(f"{user}:{admin.issued.text}".encode()).decode()
    headers = {"authorization": f"Basic {pair}"}
    answer = await registry.anonymous.get("/api/v1/whoami", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "sent", ["Basic", "Basic !!!", "Basic /w==", "Basic YWRhOnB3", "Basic YWRh", "Digest x"]
)
async def test_other_credentials_are_nobodys(registry: RegistrySimulator, sent: str) -> None:
    answer = await registry.anonymous.get(
        f"{API}/registered-models/search", headers={"authorization": sent}
    )
    assert error_of(answer) == (401, "UNAUTHENTICATED")


# --- exact JSON --------------------------------------------------------------------------------


async def test_a_version_is_written_as_mlflow_writes_it(admin: Client, clock: Clock) -> None:
    version = await a_version(admin, description="d", tags=[{"key": "k", "value": "v"}])
    now = int(clock.now().timestamp() * 1000)
    assert version == {
        "name": "m",
        "version": "1",
        "creation_timestamp": now,
        "last_updated_timestamp": now,
        "current_stage": "None",
        "description": "d",
        "source": version["source"],
        "run_id": version["run_id"],
        "status": "READY",
        "tags": [{"key": "k", "value": "v"}],
    }


async def test_the_user_interfaces_address_answers_alike(admin: Client) -> None:
    await a_version(admin)
    one = await ok(await admin.get("/ajax-api/2.0/mlflow/registered-models/get?name=m"))
    assert one == await ok(await admin.get(f"{API}/registered-models/get?name=m"))


async def test_pages_end(admin: Client) -> None:
    for name in ("a", "b", "c"):
        await admin.post(f"{API}/registered-models/create", json={"name": name})
    seen, token = [], ""
    while True:
        params = {"max_results": "2", "page_token": token}
        page = await ok(await admin.get(f"{API}/registered-models/search", params=params))
        seen += [one["name"] for one in page["registered_models"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == ["a", "b", "c"]


async def test_semver_goes_around_what_is_taken(admin: Client) -> None:
    await a_version(admin)
    native = {"version": "2.0.0", "files": []}
    manifest = (await admin.get("/api/v1/assets/default/m/versions/1/manifest")).json()
    native["files"] = manifest["files"]
    assert (await admin.post("/api/v1/assets/default/m/versions", json=native)).status_code == 201
    native["version"] = "4.0.0"
    assert (await admin.post("/api/v1/assets/default/m/versions", json=native)).status_code == 201
    version = await a_version(admin)
    assert version["version"] == "4"
    found = (await admin.get("/api/v1/assets/default/m/versions/4")).json()
    assert found["version"] == "5.0.0"


async def test_many_register_at_once_and_each_has_its_number(admin: Client) -> None:
    run_id = await a_run(admin, {"m/a": b"a"})
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    body = {"name": "m", "source": f"runs:/{run_id}/m"}
    answers = await asyncio.gather(
        *(admin.post(f"{API}/model-versions/create", json=body) for _ in range(16))
    )
    made = [(await ok(answer))["model_version"]["version"] for answer in answers]
    assert sorted(map(int, made)) == list(range(1, 17))


async def test_what_was_registered_stays_when_the_path_is_written_again(admin: Client) -> None:
    version = await a_version(admin)
    run_id = version["run_id"]
    put = await admin.put(f"{FILES}/0/{run_id}/artifacts/model/w/a.bin", content=b"evil")
    assert put.status_code == 200
    uri = await ok(await admin.get(f"{API}/model-versions/get-download-uri?name=m&version=1"))
    assert (await admin.get(uri["artifact_uri"] + "/w/a.bin")).content == b"weights"


async def test_versions_list_like_directories(admin: Client) -> None:
    await a_version(admin)
    uri = await ok(await admin.get(f"{API}/model-versions/get-download-uri?name=m&version=1"))
    root = uri["artifact_uri"].split("/artifacts/", 1)[1]
    listed = await ok(await admin.get(FILES, params={"path": root}))
    assert listed == {
        "files": [
            {"path": "MLmodel", "is_dir": False, "file_size": 12},
            {"path": "w", "is_dir": True},
        ]
    }
    assert await ok(await admin.get(FILES, params={"path": f"{root}/MLmodel"})) == {}


async def test_ranges_and_downloads_never_as_pages(admin: Client) -> None:
    run_id = await a_run(admin, {"x.html": b"<script>alert(1)</script>"})
    url = f"{FILES}/0/{run_id}/artifacts/x.html"
    whole = await admin.get(url)
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "html" not in whole.headers.get("content-type", "")
    part = await admin.get(url, headers={"range": "bytes=1-6"})
    assert (part.status_code, part.content) == (206, b"script")
    beyond = await admin.get(url, headers={"range": "bytes=900-"})
    assert error_of(beyond) == (416, "INVALID_PARAMETER_VALUE")


async def test_artifacts_are_not_deleted(admin: Client) -> None:
    run_id = await a_run(admin, {"a": b"a"})
    answer = await admin.delete(f"{FILES}/0/{run_id}/artifacts/a")
    assert error_of(answer) == (403, "PERMISSION_DENIED")
    assert (await admin.get(f"{FILES}/0/{run_id}/artifacts/a")).content == b"a"


async def test_runs_and_models_of_a_script(admin: Client) -> None:
    run_id = await a_run(admin, {"a/b.txt": b"b"})
    for path, body in (
        ("log-metric", {"key": "m", "value": "NaN", "timestamp": "1", "step": "2"}),
        ("log-parameter", {"key": "p", "value": "1"}),
        ("log-parameter", {"key": "p", "value": "1"}),
        ("set-tag", {"key": "t", "value": "1"}),
        ("delete-tag", {"key": "t"}),
        ("log-inputs", {"datasets": [{"dataset": {"name": "d"}}], "models": [{"model_id": "m-1"}]}),
        ("log-model", {"model_json": '{"artifact_path": "a"}'}),
        ("update", {"status": "FINISHED", "end_time": 9, "run_name": "named"}),
    ):
        await ok(await admin.post(f"{API}/runs/{path}", json={"run_id": run_id, **body}))
    run = (await ok(await admin.get(f"{API}/runs/get", params={"run_id": run_id})))["run"]
    assert run["data"]["metrics"][0]["value"] == "NaN"
    assert run["info"]["run_name"] == "named"
    assert run["inputs"]["model_inputs"] == [{"model_id": "m-1"}]
    assert "t" not in {tag["key"] for tag in run["data"]["tags"]}
    files = await ok(
        await admin.get(f"{API}/artifacts/list", params={"run_id": run_id, "path": "a"})
    )
    assert files["files"] == [{"path": "a/b.txt", "is_dir": False, "file_size": 1}]
    await ok(await admin.post(f"{API}/runs/delete", json={"run_id": run_id}))
    late = await admin.post(f"{API}/runs/set-tag", json={"run_id": run_id, "key": "k"})
    assert error_of(late) == (400, "INVALID_PARAMETER_VALUE")
    hidden = await ok(await admin.post(f"{API}/runs/search", json={"experiment_ids": ["0"]}))
    assert hidden == {}
    await ok(await admin.post(f"{API}/runs/restore", json={"run_id": run_id}))
    shown = await ok(await admin.post(f"{API}/runs/search", json={"experiment_ids": ["0"]}))
    assert len(shown["runs"]) == 1


async def test_logged_models_of_a_script(admin: Client) -> None:
    new = {"experiment_id": "0", "name": "clf", "tags": [{"key": "a", "value": "b"}]}
    made = await ok(await admin.post(f"{API}/logged-models", json=new))
    url = f"{API}/logged-models/{made['model']['info']['model_id']}"
    await ok(await admin.patch(url, json={"status": "LOGGED_MODEL_READY"}))
    await ok(await admin.patch(f"{url}/tags", json={"tags": [{"key": "c", "value": "d"}]}))
    await ok(await admin.delete(f"{url}/tags/a"))
    await ok(await admin.post(f"{url}/params", json={"params": [{"key": "p", "value": "1"}]}))
    model = (await ok(await admin.get(url)))["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert model["info"]["tags"] == [{"key": "c", "value": "d"}]
    assert model["data"]["params"] == [{"key": "p", "value": "1"}]
    assert "files" not in await ok(await admin.get(f"{url}/artifacts/directories"))
    search = {"experiment_ids": ["0"], "filter": "name = 'clf'"}
    found = await ok(await admin.post(f"{API}/logged-models/search", json=search))
    assert len(found["models"]) == 1
    bad = await admin.post(f"{API}/logged-models/search", json=search | {"filter": "metrics.a > 1"})
    assert error_of(bad) == (400, "INVALID_PARAMETER_VALUE")
    assert error_of(await admin.patch(url, json={"status": "?"}))[0] == 400
    await ok(await admin.delete(url))
    assert error_of(await admin.get(url)) == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_experiments(admin: Client) -> None:
    made = await ok(await admin.post(f"{API}/experiments/create", json={"name": "e"}))
    number = made["experiment_id"]
    tag = {"experiment_id": number, "key": "k", "value": "v"}
    await ok(await admin.post(f"{API}/experiments/set-experiment-tag", json=tag))
    one = await ok(await admin.get(f"{API}/experiments/get", params={"experiment_id": number}))
    assert one["experiment"]["tags"] == [{"key": "k", "value": "v"}]
    named = {"filter": "name = 'e'"}
    found = await ok(await admin.post(f"{API}/experiments/search", json=named))
    assert [each["name"] for each in found["experiments"]] == ["e"]
    everything = await ok(await admin.get(f"{API}/experiments/search"))
    assert {each["name"] for each in everything["experiments"]} == {"Default", "e"}
    again = await admin.post(f"{API}/experiments/create", json={"name": "e"})
    assert error_of(again) == (400, "RESOURCE_ALREADY_EXISTS")
    elsewhere = {"name": "f", "artifact_location": "file:///etc"}
    assert error_of(await admin.post(f"{API}/experiments/create", json=elsewhere))[0] == 400
    for params in ({"experiment_id": "99"}, {"experiment_id": "x"}):
        assert error_of(await admin.get(f"{API}/experiments/get", params=params))[0] == 404
    assert error_of(await admin.get(f"{API}/experiments/get-by-name?experiment_name=no"))[0] == 404


async def test_experiments_are_renamed_hidden_and_shown(admin: Client) -> None:
    ids = []
    for name in ("a", "b"):
        made = await ok(await admin.post(f"{API}/experiments/create", json={"name": name}))
        ids.append(made["experiment_id"])
    run = await ok(await admin.post(f"{API}/runs/create", json={"experiment_id": ids[0]}))
    renamed = {"experiment_id": ids[0], "new_name": "c"}
    await ok(await admin.post(f"{API}/experiments/update", json=renamed))
    taken = await admin.post(f"{API}/experiments/update", json=renamed | {"new_name": "b"})
    assert error_of(taken) == (400, "RESOURCE_ALREADY_EXISTS")
    tag = {"experiment_id": ids[0], "key": "k", "value": "v"}
    await ok(await admin.post(f"{API}/experiments/set-experiment-tag", json=tag))
    await ok(await admin.post(f"{API}/experiments/delete-experiment-tag", json=tag))
    one = {"experiment_id": ids[0]}
    await ok(await admin.post(f"{API}/experiments/delete", json=one))
    shown = (await ok(await admin.get(f"{API}/experiments/get", params=one)))["experiment"]
    assert (shown["name"], shown["lifecycle_stage"], "tags" in shown) == ("c", "deleted", False)
    late = await admin.post(f"{API}/runs/create", json=one)
    assert error_of(late) == (400, "INVALID_PARAMETER_VALUE")
    hidden = {"experiment_ids": [ids[0]]}
    assert await ok(await admin.post(f"{API}/runs/search", json=hidden)) == {}
    names = {}
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        found = await ok(await admin.get(f"{API}/experiments/search", params={"view_type": view}))
        names[view] = sorted(each["name"] for each in found["experiments"])
    assert names == {
        "ACTIVE_ONLY": ["Default", "b"],
        "DELETED_ONLY": ["c"],
        "ALL": ["Default", "b", "c"],
    }
    await ok(await admin.post(f"{API}/experiments/restore", json=one))
    back = await ok(await admin.post(f"{API}/runs/search", json=hidden))
    assert back["runs"][0]["info"]["run_id"] == run["run"]["info"]["run_id"]
    assert error_of(await admin.get(f"{API}/experiments/search?view_type=x"))[0] == 400


async def pages_of(client: Client, path: str, listed: str, asked: dict[str, Any]) -> list[int]:
    """Return how many each page had."""
    sizes, token = [], ""
    while True:
        body = {**asked, "max_results": 2, "page_token": token}
        found = await ok(await client.post(f"{API}/{path}", json=body))
        sizes.append(len(found[listed]))
        token = found.get("next_page_token", "")
        if not token:
            return sizes


async def test_what_scripts_said_comes_in_pages(admin: Client) -> None:
    for number in range(5):
        await ok(await admin.post(f"{API}/runs/create", json={"experiment_id": "0"}))
        await ok(await admin.post(f"{API}/logged-models", json={"experiment_id": "0"}))
        await ok(await admin.post(f"{API}/experiments/create", json={"name": f"e{number}"}))
    of = {"experiment_ids": ["0"]}
    assert await pages_of(admin, "runs/search", "runs", of) == [2, 2, 1]
    assert await pages_of(admin, "logged-models/search", "models", of) == [2, 2, 1]
    assert await pages_of(admin, "experiments/search", "experiments", {}) == [2, 2, 2]
    run = (await ok(await admin.post(f"{API}/runs/search", json=of)))["runs"][0]["info"]["run_id"]
    metrics = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(3)]
    await ok(await admin.post(f"{API}/runs/log-batch", json={"run_id": run, "metrics": metrics}))
    asked = {"run_id": run, "metric_key": "m", "max_results": "2"}
    first = await ok(await admin.get(f"{API}/metrics/get-history", params=asked))
    rest = asked | {"page_token": first["next_page_token"]}
    second = await ok(await admin.get(f"{API}/metrics/get-history", params=rest))
    assert [len(first["metrics"]), len(second["metrics"])] == [2, 1]


async def test_what_is_not_done_is_said_so_that_clients_fall_back(admin: Client) -> None:
    for method, path in (
        ("GET", "/api/2.0/mlflow-artifacts/presigned/0/x"),
        ("POST", f"{API}/artifacts/presigned-upload-url"),
        ("POST", f"{API}/artifacts/presigned-download-url"),
    ):
        assert error_of(await admin.request(method, path, json={})) == (501, "NOT_IMPLEMENTED")
    for path in ("/api/3.0/mlflow/traces", f"{API}/traces/t/info", f"{API}/unified-traces"):
        answer = await admin.post(path, json={})
        assert error_of(answer) == (404, "ENDPOINT_NOT_FOUND")
        assert "traces are not kept" in answer.json()["message"]


async def test_tags_of_versions_may_be_as_long_as_mlflows(admin: Client) -> None:
    await a_version(admin)
    at = {"name": "m", "version": "1", "key": "k"}
    url = f"{API}/model-versions/set-tag"
    await ok(await admin.post(url, json=at | {"value": "x" * 100_000}))
    assert error_of(await admin.post(url, json=at | {"value": "x" * 100_001}))[0] == 400
    for number in range(4):
        await ok(await admin.post(url, json=at | {"key": f"k{number}", "value": "x" * 99_000}))
    full = await admin.post(url, json=at | {"key": "more", "value": "x" * 99_000})
    assert error_of(full) == (400, "INVALID_PARAMETER_VALUE")
    assert "in all" in full.json()["message"]


# --- bad input ---------------------------------------------------------------------------------

TRAVERSAL = [
    "a/%2e%2e/%2e%2e/b", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "%252e%252e/%252e%252e/x",
    "a/..%5c..%5cx", "%2fetc/passwd", "a//b", "C:%5cx", "a%00b", "a%0d%0ab", "%2e/a", "a/%2e/b", "%252fetc",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSAL)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_no_artifact_lies_outside(admin: Client, path: str, method: str) -> None:
    """CVE-2023-1177, CVE-2023-2780, CVE-2023-6909, CVE-2024-1558, CVE-2024-2928."""
    url = httpx.URL("http://muniment.test").copy_with(raw_path=f"{FILES}/{path}".encode())
    answer = await admin.request(method, url, content=b"x" if method == "PUT" else None)
    status, code = error_of(answer)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert "Invalid path" in answer.json()["message"]


@pytest.mark.parametrize("path", ["../..", "a/../..", "%2e%2e", "0\\..", "0/\u0000"])
async def test_no_directory_lies_outside(admin: Client, path: str) -> None:
    """CVE-2023-6975: listing outside the root."""
    assert error_of(await admin.get(FILES, params={"path": path}))[0] == 400


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd", "/etc/passwd", "file:/etc", "s3://bucket/x", "http://169.254.169.254/latest",
        "http://localhost:5432/", "https://muniment.test.evil/x", "mlflow-artifacts://evil/x", "models:/m",
        "mlflow-artifacts:/../../etc", "runs:/%2e%2e/x", "dummy-source", "", "x" * 5000, "ftp://x/y",
        "runs:/" + "a" * 32 + "/../../x", "mlflow-artifacts:/0/%2e%2e/x", "models:/m@", "gopher://x",
    ],
)  # fmt: skip
async def test_no_source_reaches_beyond_us(admin: Client, source: str) -> None:
    """CVE-2023-6018, CVE-2023-6831, CVE-2024-1594, CVE-2024-3848 (files), and SSRF through sources."""
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    answer = await admin.post(f"{API}/model-versions/create", json={"name": "m", "source": source})
    assert error_of(answer)[0] in {400, 404}
    assert await ok(await admin.get(f"{API}/model-versions/search")) == {}


async def test_a_source_is_of_the_run_that_is_named(admin: Client) -> None:
    one, two = await a_run(admin, {"m/a": b"a"}), await a_run(admin, {"m/b": b"b"})
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    for source in (f"runs:/{one}/m", f"mlflow-artifacts:/0/{one}/artifacts/m"):
        body = {"name": "m", "source": source, "run_id": two}
        answer = await admin.post(f"{API}/model-versions/create", json=body)
        assert error_of(answer) == (400, "INVALID_PARAMETER_VALUE")
        assert "must identify the resource" in answer.json()["message"]
    bare = {"name": "m", "source": f"mlflow-artifacts:/0/{one}/artifacts/m"}
    assert error_of(await admin.post(f"{API}/model-versions/create", json=bare))[0] == 400
    good = await ok(await admin.post(f"{API}/model-versions/create", json=bare | {"run_id": one}))
    assert good["model_version"]["version"] == "1"


async def test_bytes_one_may_not_read_are_not_copied(registry: RegistrySimulator) -> None:
    await a_version(registry.as_(Role.ADMIN), "secret")
    mine = registry.with_grants(Grant(Role.ADMIN, Scope("default", "mine")))
    await mine.post(f"{API}/registered-models/create", json={"name": "mine"})
    body = {"name": "mine", "source": "models:/secret/1"}
    answer = await mine.post(f"{API}/model-versions/create", json=body)
    assert error_of(answer) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("path", ["registered-models/search", "model-versions/search"])
@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"filter": "name = 'a' OR 1=1"}, "Invalid"),
        ({"filter": "name = 'a'; DROP TABLE version"}, "Invalid"),
        ({"filter": "x" * 30_000}, "at most"),
        ({"filter": " AND ".join(["name='a'"] * 500)}, "at most"),
        ({"filter": "(" * 5000}, "Invalid"),
        ({"order_by": "name; SELECT pg_sleep(9)"}, "order by"),
        ({"max_results": "0"}, "max_results"),
        ({"max_results": "-1"}, "max_results"),
        ({"max_results": "999999999"}, "max_results"),
        ({"max_results": "many"}, "max_results"),
        ({"page_token": "!!!"}, "page token"),
        ({"page_token": "eyJvZmZzZXQiOi0xfQ=="}, "page token"),
        ({"page_token": "eyJvZmZzZXQiOiAieCJ9"}, "page token"),
    ],
)
async def test_bad_searches_are_refused(
    admin: Client, path: str, params: dict[str, str], says: str
) -> None:
    answer = await admin.get(f"{API}/{path}", params=params)
    assert error_of(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert says in answer.json()["message"]


@pytest.mark.parametrize("pattern", ["\\", "%\\", "a_%", "'' OR ''=''"])
async def test_patterns_are_only_ever_values(admin: Client, pattern: str) -> None:
    params = {"filter": f"name LIKE '{pattern}'"}
    assert (await admin.get(f"{API}/registered-models/search", params=params)).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"5", b"\xff", b'{"name":{"a":1}}', b'{"name":"a\\u0000"}', b"[" * 99_999],
)
async def test_malformed_json_is_mlflows_400(admin: Client, raw: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await admin.post(f"{API}/registered-models/create", content=raw, headers=headers)
    assert error_of(answer) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("name", ["a/b", "a:b", "..", " ", "a\nb", "x" * 257, "<b>\x07", "a%b"])
async def test_names_an_asset_cannot_have(admin: Client, name: str) -> None:
    answer = await admin.post(f"{API}/registered-models/create", json={"name": name})
    assert error_of(answer) == (400, "INVALID_PARAMETER_VALUE")


async def test_unknown_endpoints_and_methods_say_so_in_json(admin: Client) -> None:
    for method, path in (
        ("GET", "/api/2.0/mlflow/traces/x"),
        ("POST", "/api/3.0/mlflow/traces"),
        ("GET", "/ajax-api/2.0/mlflow/webhook"),
        ("DELETE", f"{API}/registered-models/create"),
        ("GET", f"{API}/registered-models/create/%2e%2e/get"),
    ):
        url = httpx.URL("http://muniment.test").copy_with(raw_path=path.encode())
        assert error_of(await admin.request(method, url)) == (404, "ENDPOINT_NOT_FOUND"), path


async def test_governance_refuses_in_mlflows_words(admin: Client) -> None:
    await a_version(admin)
    v = {"name": "m", "version": "1"}
    stage = await admin.post(f"{API}/model-versions/transition-stage", json=v | {"stage": "Foo"})
    assert error_of(stage) == (400, "INVALID_PARAMETER_VALUE")
    same = await admin.post(f"{API}/model-versions/transition-stage", json=v | {"stage": "None"})
    assert (await ok(same))["model_version"]["current_stage"] == "None"
    tag = v | {"key": "muniment.approved", "value": "true"}
    assert error_of(await admin.post(f"{API}/model-versions/set-tag", json=tag))[0] == 400
    versions = FILES + "/versions/01a1fc65-6121-7000-8bfb-3651fd695a46/x"
    assert error_of(await admin.put(versions, content=b"x")) == (403, "PERMISSION_DENIED")


async def test_numbers_no_version_has(admin: Client) -> None:
    await a_version(admin)
    for number, expected in (("abc", 400), ("99", 404), ("9" * 15, 404), ("-1", 400), ("1.0", 400)):
        answer = await admin.get(
            f"{API}/model-versions/get", params={"name": "m", "version": number}
        )
        assert error_of(answer)[0] == expected, number


@pytest.mark.parametrize("time", [1 << 63, -(1 << 63) - 1, str(1 << 63)])
async def test_times_that_no_column_holds_are_refused(admin: Client, time: int | str) -> None:
    made = await admin.post(f"{API}/runs/create", json={"experiment_id": "0", "start_time": time})
    assert (made.status_code, made.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
