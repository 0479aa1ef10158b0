"""Every hole published in MLflow's server, tried on us: each test names its CVEs.

What is expected everywhere: MLflow's error shape below its prefixes, a 4xx, nothing stored, nothing
of this machine in the answer. Holes in MLflow's own client, build files, gateway or pages have no
counterpart here (CVE-2023-4033, CVE-2023-6709, CVE-2023-6940, CVE-2024-0520, CVE-2024-27132,
CVE-2024-27133, CVE-2025-14287, CVE-2025-15031, CVE-2025-15036).
"""

from __future__ import annotations

import json
import pickle
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
PROXY = "/api/2.0/mlflow-artifacts"
FILES = f"{PROXY}/artifacts"
IS_PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
TABLES = (
    "asset", "version", "annotation", "alias", "tracking_experiment", "tracking_run", "tracking_model",
    "tracking_artifact", "principal", "token", "role_grant", "ledger_entry",
)  # fmt: skip


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db, blobs, keys, clock, operations, first=bare(), dialects=DIALECTS
    ) as simulator:
        simulator.app = as_sent(simulator.app)
        yield simulator


def as_sent(app: Any) -> Any:
    """Return `app` called with the path of the header `x-as-sent`: the client tidies paths up."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        headers = [pair for pair in scope.get("headers", ()) if pair[0] != b"x-as-sent"]
        sent = dict(scope.get("headers", ())).get(b"x-as-sent")
        if sent is not None:
            path, _, query = sent.partition(b"?")
            scope = scope | {"raw_path": path, "query_string": query, "headers": headers}
        await app(scope, receive, send)

    return called


@pytest.fixture
async def admin(registry: RegistrySimulator) -> Client:
    """An administrator's client; there is a model `m`, a prompt `p`, and a run's artifact `a.txt`."""
    client = registry.as_(Role.ADMIN)
    await ok(await client.post(f"{API}/registered-models/create", json={"name": "m"}))
    prompt = {"name": "p", "tags": [IS_PROMPT]}
    await ok(await client.post(f"{API}/registered-models/create", json=prompt))
    return client


@pytest.fixture
async def run_id(admin: Client) -> str:
    """A run with the artifact `a.txt`."""
    made = await ok(await admin.post(f"{API}/runs/create", json={"experiment_id": "0"}))
    found: str = made["run"]["info"]["run_id"]
    put = await admin.put(f"{FILES}/0/{found}/artifacts/a.txt", content=b"text")
    assert put.status_code == 200
    return found


async def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def held(db: Database) -> dict[str, int]:
    """How much there is of everything."""
    async with db.transaction(read_only=True) as tx:
        return {table: await tx.fetchval("SELECT count(*) FROM " + table) for table in TABLES}


def refused(answer: httpx.Response, tried: object = None) -> str:
    """Go on only if this is MLflow's refusal of what was `tried`; return its message."""
    assert 400 <= answer.status_code < 500, (tried, answer.text)
    body = answer.json()
    assert set(body) - {"code"} == {"error_code", "message"}, (tried, body)
    assert answer.headers["content-type"] == "application/json"
    assert "root:" not in answer.text
    message: str = body["message"]
    return message


async def send(client: Client, method: str, path: str, **more: Any) -> httpx.Response:
    """Send a request whose path and query stand as they are written."""
    headers = {"x-as-sent": path.encode(), **more.pop("headers", {})}
    return await client.request(method, "/as-sent", headers=headers, **more)


# --- files of the server, through sources -------------------------------------------------------

SOURCES = {
    "CVE-2023-1177": ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd"],
    "CVE-2023-2356": ["mlflow-artifacts:/../../../etc", "../../../etc"],
    "CVE-2023-2780": ["\\..\\..\\etc\\passwd", "///etc/passwd", "//proc/self/root"],
    "CVE-2023-3765": ["C:/Windows/win.ini", "file:///C:/Windows", "\\\\host\\share"],
    "CVE-2023-6015": ["mlflow-artifacts:/0/x/artifacts/../../../../etc"],
    "CVE-2023-6018": ["mlflow-artifacts:/0/../../../tmp/x"],
    "CVE-2023-6753": ["mlflow-artifacts:/C:/x", "mlflow-artifacts:/a\\..\\..\\x"],
    "CVE-2023-6831": ["mlflow-artifacts:/%252E%252E/%252E%252E/etc"],
    "CVE-2023-6909": ["file:///etc?/../x", "file:?/etc", "./etc/passwd?a=/../b"],
    "CVE-2023-6974": ["http://169.254.169.254/latest/meta-data", "https://redirects.example/x"],
    "CVE-2023-6975": ["mlflow-artifacts:/%2e%2e/%2e%2e/etc", "mlflow-artifacts:/./x"],
    "CVE-2023-6977": ["file://localhost/etc/passwd", "FILE:///etc/passwd", "fIlE:/etc"],
    "CVE-2024-1483": ["http:///#/../../../etc/", "mlflow-artifacts:/#/../../etc"],
    "CVE-2024-1558": ["mlflow-artifacts:/;/../../etc", "runs:/{run};/../../etc"],
    "CVE-2024-1593": ["mlflow-artifacts:/0;/..%3B/..%3B/x/../y", "http://host;/../etc"],
    "CVE-2024-1594": ["mlflow-artifacts:/0#/../../etc", "s3://bucket#/../etc"],
    "CVE-2024-2928": ["file:///x#/../../../etc/passwd", "runs:/{run}/a#/../../b"],
    "CVE-2024-3573": ["file:", "file:/", "file://", "local:/etc", "./", ".", "/", "~/x"],
    "CVE-2024-3848": ["http://x#/../../../../etc/passwd", "mlflow-artifacts://h/0#/../x"],
    "CVE-2024-8859": ["dbfs:/../../etc", "dbfs:///etc/passwd", "dbfs://host@profile/../x"],
    "CVE-2025-11201": ["mlflow-artifacts:/0/{run}/artifacts/../../../x", "models:/m-../x"],
    "CVE-2026-2033": ["mlflow-artifacts:/0/{run}/artifacts/%2e%2e%2f%2e%2e%2fx"],
}


async def test_no_source_reaches_files_of_the_server(
    admin: Client, run_id: str, db: Database
) -> None:
    before = await held(db)
    for cve, sources in SOURCES.items():
        for source in sources:
            for more in ({}, {"run_id": run_id}):
                body = {"name": "m", "source": source.replace("{run}", run_id), **more}
                answer = await admin.post(f"{API}/model-versions/create", json=body)
                refused(answer, (cve, source))
    assert await held(db) == before


NO_PROMPTS = ["/etc/passwd", "file:///etc", "mlflow-artifacts:/0/x", "s3://b/x", "models:/m/1", " "]


async def test_saying_prompt_opens_no_source(admin: Client, db: Database) -> None:
    """CVE-2026-2614: the prompt tag let any path of the server through."""
    before = await held(db)
    said = [IS_PROMPT, {"key": "mlflow.prompt.text", "value": "x"}]
    for source in NO_PROMPTS:
        for name in ("m", "p"):
            body = {"name": name, "source": source, "tags": said}
            refused(await admin.post(f"{API}/model-versions/create", json=body), source)
    assert await held(db) == before


ELSEWHERE = [
    "file:///etc",
    "/etc",
    "http:///#/../../etc/",
    "mlflow-artifacts:/../x",
    "s3://b",
    "x" * 9999,
]


async def test_no_experiment_lies_elsewhere(admin: Client, db: Database) -> None:
    """CVE-2024-1483, CVE-2024-1594, CVE-2023-6976: where artifacts lie was the caller's to say."""
    before = await held(db)
    for location in ELSEWHERE:
        body = {"name": "e", "artifact_location": location}
        refused(await admin.post(f"{API}/experiments/create", json=body), location)
    assert await held(db) == before


# --- files of the server, through artifact paths ------------------------------------------------

PATHS = [
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/x", "%252E%252E/%252E%252E/x", "a/..;/b/../c",
    "..%5c..%5cx", "..\\x", "%2fetc%2fpasswd", "/etc/passwd", "C:/x", "a//b", "a/./b", "%c0%ae%c0%ae/x", "a%00.txt",
    "%252fetc", "a%0d%0aSet-Cookie:%20x=y", "a/%2e%2e%2fb", "%2e%2e%3b/x/%2e%2e/y", "~/..", "\u202e/../x", "a/..",
]  # fmt: skip


async def test_no_artifact_lies_outside(admin: Client, run_id: str, db: Database) -> None:
    """CVE-2023-1176, CVE-2023-6015, CVE-2023-6976 (PUT), CVE-2023-6831, CVE-2024-1560 (DELETE),
    CVE-2026-2033: traversal, decoded once, twice, with parameters, backslashes and drives."""
    before = await held(db)
    for path in PATHS:
        for root in ("", f"0/{run_id}/artifacts/"):
            for method in ("PUT", "GET", "DELETE"):
                content = b"x" if method == "PUT" else None
                answer = await send(admin, method, f"{FILES}/{root}{path}", content=content)
                refused(answer, (method, root, path))
    assert await held(db) == before


async def test_lists_stay_inside(admin: Client, run_id: str) -> None:
    """CVE-2023-6975, CVE-2023-6977: `path` of a list."""
    for path in ("../..", "%2e%2e/%2e%2e", "/etc", "a/../../..", "\\..\\..", "C:\\"):
        refused(await admin.get(FILES, params={"path": f"0/{path}"}))
        listed = await admin.get(
            f"{API}/artifacts/list", params={"run_id": run_id, "path": path + "/.."}
        )
        refused(listed)


async def test_a_name_decoded_twice_is_no_other_name(admin: Client) -> None:
    """CVE-2024-3099: models whose names differ by percent-encoding."""
    for name in ("m%2F", "%6d", "a%2fb", "m%00", "%2e%2e"):
        refused(await admin.post(f"{API}/registered-models/create", json={"name": name}))
    for path in (f"{API}/registered-models/get?name=%256d", f"{API}/registered-models/get?name=M"):
        assert (await send(admin, "GET", path)).status_code in {400, 404}


DOORS = [
    "/get-artifact?run_id={run}&path=a.txt",
    "/model-versions/get-artifact?name=m&version=1&path=x",
    "/ajax-api/2.0/mlflow/get-artifact?path=../../etc/passwd&run_uuid={run}",
    "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=../../x",
    "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files?artifact_file_path=../../x",
]


async def test_the_pages_doors_to_artifacts_are_not_here(admin: Client, run_id: str) -> None:
    """CVE-2023-1177, CVE-2023-6909, CVE-2026-2614: these handlers read any file of the server."""
    for path in DOORS:
        for method in ("GET", "POST"):
            answer = await send(admin, method, path.replace("{run}", run_id))
            assert answer.status_code == 404, path


# --- who may --------------------------------------------------------------------------------------

TRICKS = [
    "/{path}", "//{path}", "/./{path}", "/x/../{path}", "/..;/{path}", "/health/../{path}", "/health;/{path}",
    "/version/%2e%2e/{path}", "/static-files/../{path}", "/{path}/", "/{path};x=y", "/{path}%20", "/{path}%00", "/{path}//",
    "/{path}/..", "/{path}.json", "/health%2f..%2f{path}", "/api/3.0/mlflow/server-info/..;/..;/..;/..;/{path}",
]  # fmt: skip
OPEN_TO_NOBODY = [
    "api/2.0/mlflow/registered-models/search", "api/2.0/mlflow/registered-models/get?name=m",
    "API/2.0/mlflow/registered-models/search", "api/2.0/MLFLOW/registered-models/search",
    "api/2.0/mlflow%2Fregistered-models%2Fsearch", "api%2f2.0%2fmlflow%2fmodel-versions%2fsearch",
    "ajax-api/2.0/mlflow/model-versions/search", "api/2.0/mlflow-artifacts/artifacts?path=0",
    "api/2.0/preview/mlflow/registered-models/search", "api/v1/assets",
]  # fmt: skip


async def test_no_path_goes_around_the_door(registry: RegistrySimulator, admin: Client) -> None:
    """CVE-2026-2652 and its like: a path that the check reads otherwise than the router."""
    assert (await admin.get(f"{API}/registered-models/get?name=m")).status_code == 200
    headers: list[dict[str, str]] = [
        {},
        {"x-forwarded-uri": "/health", "x-original-url": "/health"},
        {"authorization": ""},
        {"authorization": "Bearer null"},
        {"authorization": "Basic YWRtaW46cGFzc3dvcmQ="},  # CVE-2026-2635: the default administrator
    ]
    for trick in TRICKS:
        for number, path in enumerate(OPEN_TO_NOBODY):
            target = trick.replace("{path}", path)
            header = headers[number % len(headers)]
            answer = await send(registry.anonymous, "GET", target, headers=header)
            assert answer.status_code in {401, 404, 400}, (target, answer.text)
            assert '"m"' not in answer.text
    for header in headers:
        answer = await registry.anonymous.get(f"{API}/registered-models/search", headers=header)
        assert answer.status_code == 401


SIDE_DOORS = [
    ("POST", "/api/2.0/mlflow/users/create"),
    ("POST", "/api/2.0/mlflow/users/create-ui"),
    ("GET", "/signup"),
    ("PATCH", "/api/2.0/mlflow/users/update-admin"),
    ("PATCH", "/api/2.0/mlflow/users/update-password"),
    ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/ajax-api/3.0/jobs/search"),
    ("POST", "/v1/traces"),
    ("POST", "/graphql"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/ajax-api/3.0/mlflow/gateway/endpoints/create"),
    ("POST", "/api/2.0/mlflow/registered-models/permissions/create"),
]


async def test_side_doors_are_not_here(
    registry: RegistrySimulator, admin: Client, db: Database
) -> None:
    """CVE-2023-6014, CVE-2025-1473, CVE-2025-1474, CVE-2025-11200 (accounts), CVE-2026-0545,
    CVE-2026-2652 (jobs, traces), CVE-2025-0453 (GraphQL), CVE-2025-52967 (gateway SSRF)."""
    before = await held(db)
    body = {"username": "eve", "password": "", "is_admin": True, "query": "{a{a{a}}}"}
    body |= {"gateway_path": "http://169.254.169.254/"}
    for method, path in SIDE_DOORS:
        for client in (registry.anonymous, admin):
            answer = await client.request(method, path, json=body)
            assert answer.status_code in {401, 404}, (path, answer.text)
    assert await held(db) == before


async def test_parts_are_sent_by_who_may_write(registry: RegistrySimulator, admin: Client) -> None:
    """CVE-2026-2651: multipart endpoints asked for no permission."""
    await admin.get("/health")
    reader = registry.as_(Role.VIEWER)
    for what, answered in (("create", 200), ("complete", 404), ("abort", 404)):
        url = f"{PROXY}/mpu/{what}/0/x"
        assert (await registry.anonymous.post(url, json={"path": "x"})).status_code == 401
        assert (await reader.post(url, json={"path": "x"})).status_code == 403
        assert (await admin.post(url, json={"path": "x", "num_parts": 1})).status_code == answered
    part = await registry.anonymous.put(f"{PROXY}/mpu/part/0/x", content=b"x")
    assert part.status_code == 403  # only the address it was given for says who may


async def test_who_reads_does_not_delete(registry: RegistrySimulator, run_id: str) -> None:
    """CVE-2024-4263: artifacts were deleted by who could only read."""
    reader = registry.with_grants(Grant(Role.VIEWER, Scope("default")))
    url = f"{FILES}/0/{run_id}/artifacts/a.txt"
    assert (await reader.get(url)).content == b"text"
    for method in ("DELETE", "PUT"):
        answer = await reader.request(method, url, content=b"other" if method == "PUT" else None)
        assert answer.status_code == 403
        refused(answer)
    assert (await reader.get(url)).content == b"text"


async def test_another_site_learns_nothing(registry: RegistrySimulator, admin: Client) -> None:
    """CVE-2025-14279: pages of another name or origin read and wrote MLflow on the same machine."""
    await admin.get("/health")
    hostile = {"host": "evil.example", "origin": "https://evil.example"}
    answer = await registry.anonymous.get(f"{API}/registered-models/search", headers=hostile)
    assert answer.status_code == 401
    preflight = await registry.anonymous.request(
        "OPTIONS",
        f"{API}/registered-models/create",
        headers={**hostile, "access-control-request-method": "POST"},
    )
    for each in (answer, preflight):
        assert "access-control-allow-origin" not in each.headers
        assert "access-control-allow-credentials" not in each.headers
    form = {"content-type": "text/plain"}  # what a page may send without asking first
    sent = await admin.post(
        f"{API}/registered-models/create", content=b'{"name":"csrf"}', headers=form
    )
    refused(sent)


# --- what is shown to browsers ---------------------------------------------------------------------


async def test_errors_are_never_pages(admin: Client) -> None:
    """CVE-2023-6568: what was sent as Content-Type came back as HTML."""
    script = "<script>alert(1)</script>"
    answer = await admin.post(
        f"{API}/registered-models/create", content=b"{}", headers={"content-type": script}
    )
    refused(answer)
    for url in (
        f"{API}/registered-models/get?name={script}",
        f"{API}/{script}",
        f"{FILES}/{script}",
        f"{API}/model-versions/search?filter={script}",
    ):
        refused(await admin.get(url))


async def test_artifacts_are_never_shown_as_pages(admin: Client, run_id: str) -> None:
    """CVE-2024-27132, CVE-2024-27133 and their like: scripts in what was saved."""
    page = b"<html><script>alert(document.cookie)</script></html>"
    for name in ("x.html", "x.svg", "x.htm", "x.xhtml", "x.js", "x.xml", "x", "x.md"):
        url = f"{FILES}/0/{run_id}/artifacts/{name}"
        await admin.put(url, content=page, headers={"content-type": "text/html"})
        for headers in ({}, {"range": "bytes=0-9"}, {"accept": "text/html"}):
            answer = await admin.get(url, headers=headers)
            assert answer.status_code in {200, 206}
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-type"] == "application/octet-stream"


async def test_hostile_text_stays_text(admin: Client) -> None:
    """XSS in names, tags and descriptions: JSON in, the same JSON out, never HTML."""
    script = '"><img src=x onerror=alert(1)>{{7*7}}${7*7}<!--'
    made = {"name": script, "description": script, "tags": [{"key": "k", "value": script}]}
    answer = await admin.post(f"{API}/registered-models/create", json=made)
    shown = (await ok(answer))["registered_model"]
    assert (shown["name"], shown["description"]) == (script, script)
    assert shown["tags"] == [{"key": "k", "value": script}]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused(await admin.post(f"{API}/registered-models/create", json=made))


# --- models that run code ----------------------------------------------------------------------------


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("/tmp/never-opened-by-muniment", "w"))


async def test_a_pickle_is_kept_and_never_opened(admin: Client, run_id: str) -> None:
    """CVE-2024-37052 to CVE-2024-37060: models that run code when they are loaded."""
    root = f"{FILES}/0/{run_id}/artifacts/bomb"
    await admin.put(f"{root}/model.pkl", content=pickle.dumps(_Bomb()))
    await admin.put(
        f"{root}/MLmodel", content=b"flavors: !!python/object/apply:os.system [false]\n"
    )
    body = {"name": "m", "source": f"runs:/{run_id}/bomb", "run_id": run_id}
    await ok(await admin.post(f"{API}/model-versions/create", json=body))
    version = await ok(await admin.get("/api/v1/assets/default/m/versions/1.0.0"))
    assert version["executable"] is True
    assert "flavors" not in version["metadata"]["extra"]["mlflow"]


async def test_a_bomb_of_yaml_is_not_unfolded(admin: Client, run_id: str) -> None:
    """MLmodel as a billion laughs, and nested beyond any stack."""
    root = f"{FILES}/0/{run_id}/artifacts/laughs"
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    for number, data in enumerate(("\n".join(lines).encode(), b"a: " + b"[" * 50_000)):
        await admin.put(f"{root}{number}/MLmodel", content=data)
        body = {"name": "m", "source": f"runs:/{run_id}/laughs{number}", "run_id": run_id}
        await ok(await admin.post(f"{API}/model-versions/create", json=body))


# --- too much of anything ------------------------------------------------------------------------------

DEEP = "(" * 9000
FILTERS = [
    DEEP, "NOT " * 2000 + "name = 'a'", "name = '" + "a" * 25_000 + "'", " AND ".join(["name != 'a'"] * 1500),
    "name IN (" + ",".join(["'a'"] * 6000) + ")", "tags." + "`" * 9999, "name LIKE '" + "%_" * 11_000 + "'",
    "name = 'a' UNION SELECT * FROM token --", "name = 'a'; DROP TABLE version", "1=1", "name = 'a' OR 'a'='a'",
    "tags.`a'; DROP TABLE version --` LIKE 'x' OR 1=1", "name = \x00", "name = 'a' /* x */ OR 1=1", "name IS NULL",
    "(name = 'a')", "name", "= 'a'", "name = ", "name = 'a' AND", "AND", "name = name", "name = 5", "version > 'a'",
    "attribute.attribute.name = 'a'", "tags = 'a'", "metrics.a > 1", "name BETWEEN 'a' AND 'b'", "name = 'a",
    "name > 'a'", "tags.a > '1'", "name NOT LIKE 'a'", "name IN ()", "name IN 'a'", "name IN ('a'", "name = ('a')",
]  # fmt: skip


async def test_filters_are_bounded_and_only_data(admin: Client) -> None:
    """SQL in filters, filters without end: 400 and what is wrong."""
    for path in ("registered-models/search", "model-versions/search"):
        for text in FILTERS:
            answer = await admin.get(f"{API}/{path}", params={"filter": text})
            refused(answer, (path, text[:80]))
            assert len(answer.content) < 2000


BODIES: list[dict[str, Any]] = [
    {"name": "x" * 2_000_000},
    {"name": "e", "tags": [{"key": "k" * 300, "value": "v"}]},
    {"name": "e", "tags": [{"key": f"k{n}", "value": "v"} for n in range(2000)]},
    {"name": "e", "tags": [{"key": "k", "value": "v" * 200_000}]},
    {"name": "e" * 600},
    {"name": "e\x00"},
    {"name": "\ud800"},
    {"name": ["e"]},
    {"name": {"name": "e"}},
    {"name": 10**400},
    {"name": "e", "tags": "t"},
    {"name": "e", "tags": [["k", "v"]]},
    {"name": "e", "tags": [{"value": "v"}]},
    {"name": "e", "tags": [{"key": "\ud800", "value": "v"}]},
    {"name": "e", "tags": [{"key": "k", "value": "a\x00b"}]},
]


async def test_lengths_and_shapes_are_bounded(admin: Client, db: Database) -> None:
    """CVE-2024-6838: names and tags without end took the server down."""
    before = await held(db)
    headers = {"content-type": "application/json"}
    for body in BODIES:
        sent = json.dumps(body).encode()
        for path in ("experiments/create", "registered-models/create"):
            answer = await admin.post(f"{API}/{path}", content=sent, headers=headers)
            refused(answer, (path, sent[:200]))
    assert await held(db) == before


MALFORMED = [
    b'{"name":"a","name":"b","Name":"c"}',
    b'{"newName":"a","new_name":"b","name":"m"}',
    b'"{\\"name\\":5}"',
    b'{"name":"m","max_results":1e999}',
    b'{"name":NaN}',
    b'{"name":"m"',
    b"\xef\xbb\xbf{}",
    b"null",
    b"true",
    b'{"name":"\\ud800"}',
    b'{"name":"m","version":{"a":1}}',
    b'{"":""}',
    b'{"name":"m"}{"name":"m"}',
    b"\x00",
    b'{"a":' * 40_000,
    b"[" * 100_000,
    b'"' * 3,
    b'{"name":"\xff\xfe"}',
]


async def test_malformed_protobuf_json_is_a_400(admin: Client, db: Database) -> None:
    before = await held(db)
    headers = {"content-type": "application/json; charset=utf-8"}
    for sent in MALFORMED:
        for path in (
            "registered-models/rename",
            "model-versions/update",
            "registered-models/alias",
        ):
            method = "PATCH" if path.endswith("update") else "POST"
            answer = await admin.request(method, f"{API}/{path}", content=sent, headers=headers)
            refused(answer, (path, sent[:80]))
    assert await held(db) == before


SPELLINGS = ["\u0663", "\uff11", "1e0", "0x1", " 1", "1 ", "+1", "-0", "1_0", "9" * 400, "", "null"]


async def test_numbers_are_plain_digits(admin: Client) -> None:
    """Unicode digits and other spellings name no version."""
    for version in SPELLINGS:
        params = {"name": "m", "version": version}
        refused(await admin.get(f"{API}/model-versions/get", params=params), version)
        alias = {"name": "m", "alias": "a", "version": version}
        refused(await admin.post(f"{API}/registered-models/alias", json=alias), version)
