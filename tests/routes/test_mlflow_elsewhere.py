"""Versions whose bytes another server has: promised, fetched, registered, or failed with the reason."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.facades.mlflow import routes as mlflow_routes
from muniment.server.http.records import Role, Scope
from muniment.server.ledger.fsck import state
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.ports.queue_inline import InlineWorker, Ran
from muniment.server.wiring import FOLDS, HANDLERS, OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.other_mlflow import ARTIFACTS, MODEL, RUN, OtherMlflow, answer, other_mlflow
from tests.support.other_server import Asked, other_server, reply
from tests.support.policies import bare

API = "/api/2.0/mlflow"
MLMODEL = b"flavors:\n  sklearn:\n    sklearn_version: 1.7.0\nmodel_uuid: x\n"


@pytest.fixture
async def elsewhere() -> AsyncIterator[OtherMlflow]:
    async with other_mlflow() as tracked:
        root = tracked.add_run(rate="0.1")
        tracked.files[f"{root}/m/MLmodel"] = MLMODEL
        tracked.files[f"{root}/m/data/weights.bin"] = b"w" * 4000
        yield tracked


class Registry:
    """The registry as a user of MLflow's API sees it, and its jobs."""

    def __init__(self, simulator: RegistrySimulator) -> None:
        self.simulator = simulator
        self.admin = simulator.as_(Role.ADMIN)
        self.worker = InlineWorker(simulator.deps.db, HANDLERS, context=simulator.deps)

    async def create(self, source: str, **more: Any) -> httpx.Response:
        body = {"name": "fraud", "source": source, **more}
        return await self.admin.post(f"{API}/model-versions/create", json=body)

    async def promised(self, source: str, **more: Any) -> dict[str, Any]:
        made = await self.create(source, **more)
        assert made.status_code == 200, made.text
        version: dict[str, Any] = made.json()["model_version"]
        assert version["status"] == "PENDING_REGISTRATION"
        return version

    async def get(self, version: str) -> dict[str, Any]:
        path = f"{API}/model-versions/get?name=fraud&version={version}"
        found: dict[str, Any] = (await self.admin.get(path)).json()["model_version"]
        return found

    async def work(self, *, early: bool = False) -> list[Ran]:
        return [ran for ran in await self.worker.run_due(early=early) if "fetch" in ran.job.name]

    async def failed(self, source: str, **more: Any) -> str:
        """Have a promised version fail; return the reason."""
        version = await self.promised(source, **more)
        for _ in range(10):
            await self.work(early=True)
        found = await self.get(version["version"])
        assert found["status"] == "FAILED_REGISTRATION"
        assert (await self.fetches("failed"))[0]["reason"] == found["status_message"]
        reason: str = found["status_message"]
        return reason

    async def fetches(self, state: str) -> list[dict[str, Any]]:
        shown = (await self.admin.get(f"/api/v1/fetches?asset=fraud&state={state}")).json()
        items: list[dict[str, Any]] = shown["items"]
        return items


@contextlib.asynccontextmanager
async def registry_with(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock, **settings: Any
) -> AsyncIterator[Registry]:
    operations = [*OPERATIONS, *mlflow_routes.OPERATIONS]
    dialects = [mlflow_routes.DIALECT]
    async with app_client(
        db, blobs, keys, clock, operations, first=bare(), dialects=dialects, **settings
    ) as simulator:
        registry = Registry(simulator)
        await registry.admin.post(f"{API}/registered-models/create", json={"name": "fraud"})
        yield registry


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock, elsewhere: OtherMlflow
) -> AsyncIterator[Registry]:
    settings = {"mlflow_url": elsewhere.url, "mlflow_token": "secret-of-the-registry"}
    async with registry_with(db, blobs, keys, clock, **settings) as made:
        yield made
        await _follows_from_the_log(db)


async def _follows_from_the_log(db: Database) -> None:
    """Whatever a test did: the tables are those the log makes."""
    async with db.transaction(read_only=True, repeatable=True) as tx:
        folded = await state(tx, FOLDS, None)
        for fold in FOLDS:
            stored = {key: fields async for key, fields in fold.stored(tx)}
            assert stored == folded[fold.table], fold.table


async def test_a_run_tracked_elsewhere_becomes_a_version(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    version = await registry.promised(
        f"runs:/{RUN}/m", run_id=RUN, description="said", tags=[{"key": "k", "value": "v"}]
    )
    assert version["version"] == "1"
    assert version["source"] == f"runs:/{RUN}/m"
    (pending,) = await registry.fetches("pending")
    assert (pending["number"], pending["source"]) == (1, f"runs:/{RUN}/m")
    assert [ran.outcome for ran in await registry.work()] == ["done"]
    found = await registry.get("1")
    assert found["status"] == "READY"
    assert (found["run_id"], found["description"]) == (RUN, "said")
    assert found["tags"] == [{"key": "k", "value": "v"}]
    shown = (await registry.admin.get("/api/v1/assets/default/fraud/versions/1")).json()
    assert shown["metadata"]["hyperparameters"] == {"rate": "0.1"}
    assert shown["metadata"]["extra"]["mlflow"]["tracking_uri"] == elsewhere.url
    uri = f"{API}/model-versions/get-download-uri?name=fraud&version=1"
    at = (await registry.admin.get(uri)).json()["artifact_uri"]
    content = await registry.admin.get(
        f"{at.removeprefix('http://muniment.test')}/data/weights.bin"
    )
    assert content.content == b"w" * 4000
    (done,) = await registry.fetches("registered")
    assert done["version_id"] == shown["id"]
    assert elsewhere.server is not None
    assert {each.headers.get("authorization") for each in elsewhere.server.asked} == {
        "Bearer secret-of-the-registry"
    }


async def test_who_asked_is_who_registered(registry: Registry) -> None:
    person = registry.simulator.as_(Role.CONTRIBUTOR, Scope("default"))
    made = await person.post(
        f"{API}/model-versions/create", json={"name": "fraud", "source": f"runs:/{RUN}/m"}
    )
    assert made.json()["model_version"]["status"] == "PENDING_REGISTRATION"
    await registry.work()
    shown = (await registry.admin.get("/api/v1/assets/default/fraud/versions/1")).json()
    assert shown["registered_by"]["id"] == str(person.principal_id)


@pytest.mark.parametrize(
    "source",
    [
        f"runs:/{RUN}/m",
        f"mlflow-artifacts:/1/{RUN}/artifacts/m",
        "URL/api/2.0/mlflow-artifacts/artifacts/1/" + RUN + "/artifacts/m",
    ],
)
async def test_every_way_to_name_a_runs_files(
    registry: Registry, elsewhere: OtherMlflow, source: str
) -> None:
    await registry.promised(source.replace("URL", elsewhere.url), run_id=RUN)
    await registry.work()
    found = await registry.get("1")
    assert (found["status"], found["run_id"]) == ("READY", RUN), found


async def test_a_logged_model_is_found_by_its_id_or_by_its_run(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    root = elsewhere.add_model(depth="3")
    elsewhere.files[f"{root}/MLmodel"] = MLMODEL
    await registry.promised(f"models:/{MODEL}", model_id=MODEL)
    await registry.promised(f"runs:/{RUN}/named", run_id=RUN, model_id=MODEL)
    await registry.work()
    for number in ("1", "2"):
        found = await registry.get(number)
        assert (found["status"], found["run_id"], found["model_id"]) == ("READY", RUN, MODEL), found
    shown = (await registry.admin.get("/api/v1/assets/default/fraud/versions/1")).json()
    assert shown["metadata"]["hyperparameters"] == {"depth": "3"}


async def test_what_is_with_us_is_registered_at_once(registry: Registry) -> None:
    made = (await registry.admin.post(f"{API}/runs/create", json={"experiment_id": "0"})).json()
    run = made["run"]["info"]["run_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/m/MLmodel"
    await registry.admin.put(path, content=MLMODEL)
    version = (await registry.create(f"runs:/{run}/m", run_id=run)).json()["model_version"]
    assert version["status"] == "READY"
    copied = (await registry.create("models:/fraud/1")).json()["model_version"]
    assert copied["status"] == "READY"


async def test_a_number_that_was_promised_is_never_given_to_another(registry: Registry) -> None:
    failing = await registry.promised(f"runs:/{'d' * 32}/m")
    waiting = await registry.promised(f"runs:/{RUN}/m")
    direct = await registry.create("models:/fraud@none")
    assert direct.status_code == 404
    made = (await registry.admin.post(f"{API}/runs/create", json={"experiment_id": "0"})).json()
    run = made["run"]["info"]["run_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/m/MLmodel"
    await registry.admin.put(path, content=MLMODEL)
    third = (await registry.create(f"runs:/{run}/m", run_id=run)).json()["model_version"]
    assert [failing["version"], waiting["version"], third["version"]] == ["1", "2", "3"]
    await registry.work()
    assert (await registry.get("1"))["status"] == "FAILED_REGISTRATION"
    assert (await registry.get("2"))["status"] == "READY"
    again = await registry.promised(f"runs:/{RUN}/m")
    assert again["version"] == "4"


async def test_the_same_request_again_is_the_same_promise(registry: Registry) -> None:
    first = await registry.promised(f"runs:/{RUN}/m", run_id=RUN)
    assert await registry.promised(f"runs:/{RUN}/m", run_id=RUN) == first
    other = await registry.promised(f"runs:/{RUN}/m", run_id=RUN, description="other")
    assert other["version"] == "2"
    assert len(await registry.work()) == 2


async def test_what_is_not_ready_cannot_be_used(registry: Registry) -> None:
    await registry.promised(f"runs:/{RUN}/m")
    for method, path, body in (
        ("GET", "model-versions/get-download-uri?name=fraud&version=1", None),
        ("PATCH", "model-versions/update", {"name": "fraud", "version": "1", "description": "x"}),
        (
            "POST",
            "model-versions/set-tag",
            {"name": "fraud", "version": "1", "key": "k", "value": "v"},
        ),
    ):
        answered = await registry.admin.request(method, f"{API}/{path}", json=body)
        assert answered.status_code == 409, answered.text
        assert "PENDING_REGISTRATION" in answered.json()["message"]
    alias = {"name": "fraud", "alias": "champion", "version": "1"}
    assert (
        await registry.admin.post(f"{API}/registered-models/alias", json=alias)
    ).status_code == 404


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd", "/etc/passwd", "s3://bucket/m", "gs://bucket/m", "abfss://c@a/m", "dbfs:/m",
        "http://169.254.169.254/api/2.0/mlflow-artifacts/artifacts/1/m",
        "https://127.0.0.1/api/2.0/mlflow-artifacts/artifacts/1/m",
        "https://localhost/api/2.0/mlflow-artifacts/artifacts/1/m",
        "https://elsewhere.example/api/2.0/mlflow-artifacts/artifacts/1/m",
        "https://u:p@elsewhere.example/api/2.0/mlflow-artifacts/artifacts/1/m",
        f"runs:/{RUN}/../../x", f"runs:/{RUN}/%2e%2e/x", "runs:/short/m", "models:/", "mlflow-artifacts:/../x",
        "mlflow-artifacts://elsewhere.example/1/m", "mlflow-artifacts:/1/r/artifacts/m",
    ],
)  # fmt: skip
async def test_what_may_not_be_fetched_is_refused_at_once(registry: Registry, source: str) -> None:
    answered = await registry.create(source)
    assert answered.status_code in {400, 404}, answered.text
    assert await registry.fetches("pending") == []


async def test_one_runs_bytes_are_not_registered_as_anothers(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    other = "e" * 32
    elsewhere.add_run(other)
    reason = await registry.failed(f"mlflow-artifacts:/1/{RUN}/artifacts/m", run_id=other)
    assert "must identify the resource" in reason
    assert elsewhere.asked_for(f"1/{RUN}/artifacts/m/MLmodel") == 0
    mismatch = await registry.create(f"runs:/{RUN}/m", run_id=other)
    assert mismatch.status_code == 400


def listing(names: list[dict[str, Any]]) -> Any:
    def lie(asked: Asked) -> bytes | None:
        return answer({"files": names}) if asked.path.startswith(f"{ARTIFACTS}?") else None

    return lie


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([{"path": "../../etc/passwd", "is_dir": False, "file_size": 1}], "no plain path"),
        ([{"path": "/etc/passwd", "is_dir": False}], "no plain path"),
        ([{"path": "..", "is_dir": True}], "no plain path"),
        ([{"path": "%2e%2e%2fx", "is_dir": False}], "no plain path"),
        ([{"path": "a\\..\\b", "is_dir": False}], "no plain path"),
        ([{"path": "", "is_dir": True}], "no plain path"),
        ([{"path": "d", "is_dir": True}], "deep"),
        ([{"path": "a", "file_size": 1}, {"path": "a", "file_size": 1}], "twice"),
        ([{"path": "a", "file_size": 10**12}], "bytes at the source"),
        ([{"path": "MLmodel", "file_size": "many"}, {"path": "mlmodel"}], ""),
        ([], "no files"),
        ("text", "answers no"),
    ],
)
async def test_a_listing_that_lies_ends_the_fetch(
    registry: Registry, elsewhere: OtherMlflow, names: Any, why: str
) -> None:
    elsewhere.before = listing(names)
    assert why in await registry.failed(f"runs:/{RUN}/m")


async def test_a_file_with_more_bytes_than_may_be_is_not_read_to_its_end(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock, elsewhere: OtherMlflow
) -> None:
    settings = {"mlflow_url": elsewhere.url, "max_fetch_bytes": 1000}
    async with registry_with(db, blobs, keys, clock, **settings) as registry:
        assert "more than 1000 bytes" in await registry.failed(f"runs:/{RUN}/m")
        elsewhere.before = listing([{"path": "endless"}])
        elsewhere.files[f"1/{RUN}/artifacts/m/endless"] = b"x" * 5000
        assert "more than 1000 bytes" in await registry.failed(f"runs:/{RUN}/m", description="2")


async def test_a_server_that_has_trouble_is_asked_again(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    await registry.promised(f"runs:/{RUN}/m")
    elsewhere.before = lambda _asked: reply(503)
    assert [ran.outcome for ran in await registry.work()] == ["later"]
    elsewhere.before = lambda _asked: b"nonsense"
    assert [ran.outcome for ran in await registry.work(early=True)] == ["later"]
    assert (await registry.get("1"))["status"] == "PENDING_REGISTRATION"
    elsewhere.before = lambda _asked: None
    assert [ran.outcome for ran in await registry.work(early=True)] == ["done"]
    assert (await registry.get("1"))["status"] == "READY"


async def test_a_server_that_never_answers_fails_it_in_the_end(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    elsewhere.before = lambda _asked: reply(500)
    assert "tried 6 times" in await registry.failed(f"runs:/{RUN}/m")


async def test_what_is_here_already_is_not_asked_for_again(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    broken = True

    def break_off(asked: Asked) -> bytes | None:
        if broken and "weights" in asked.path:
            return reply(200, b"w" * 10, length=False, content_length="4000")
        return None

    elsewhere.before = break_off
    await registry.promised(f"runs:/{RUN}/m")
    assert [ran.outcome for ran in await registry.work()] == ["later"]
    broken = False
    assert [ran.outcome for ran in await registry.work(early=True)] == ["done"]
    assert elsewhere.asked_for(f"1/{RUN}/artifacts/m/MLmodel") == 1
    assert (await registry.get("1"))["status"] == "READY"


async def test_a_run_that_changes_while_it_is_fetched_is_fetched_again(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    added = False

    def grow(asked: Asked) -> bytes | None:
        nonlocal added
        if "weights" in asked.path and not added:
            added = True
            elsewhere.files[f"1/{RUN}/artifacts/m/late.bin"] = b"late"
        return None

    elsewhere.before = grow
    await registry.promised(f"runs:/{RUN}/m")
    (ran,) = await registry.work()
    assert ran.outcome == "later"
    assert "changed while" in str(ran.error)
    await registry.work(early=True)
    shown = (await registry.admin.get("/api/v1/assets/default/fraud/versions/1")).json()
    assert shown["file_count"] == 3


async def test_running_it_again_after_it_is_done_changes_nothing(registry: Registry) -> None:
    await registry.promised(f"runs:/{RUN}/m")
    (ran,) = await registry.work()
    handler = next(each for each in HANDLERS if each.name == ran.job.name)
    await handler.run(registry.simulator.deps, ran.job)
    search = f"{API}/model-versions/search?filter=name%3D%27fraud%27"
    assert len((await registry.admin.get(search)).json()["model_versions"]) == 1


async def test_redirects_to_private_addresses_are_not_followed(
    registry: Registry, elsewhere: OtherMlflow
) -> None:
    async with other_server(lambda _asked: reply(200, b"secret")) as inside:
        elsewhere.before = lambda asked: (
            reply(302, location=f"{inside.url}/latest") if "weights" in asked.path else None
        )
        reason = await registry.failed(f"runs:/{RUN}/m")
    assert inside.connections == 0
    assert "https" in reason or "public" in reason


async def test_another_host_that_is_allowed_is_asked_without_credentials(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock, elsewhere: OtherMlflow
) -> None:
    async with other_mlflow() as open_one:
        open_one.files["1/x/m/MLmodel"] = MLMODEL
        settings = {
            "mlflow_url": elsewhere.url,
            "mlflow_user": "ada",
            "mlflow_password": "pw",
            "outbound_private": (open_one.server.at,) if open_one.server else (),
        }
        async with registry_with(db, blobs, keys, clock, **settings) as registry:
            source = f"{open_one.url}{ARTIFACTS}/1/x/m"
            await registry.promised(source, run_id="f" * 32)
            await registry.work()
            found = await registry.get("1")
            assert found["status"] == "FAILED_REGISTRATION", "it says a run the tracker has not"
            await registry.promised(source, run_id=RUN)
            await registry.work()
            found = await registry.get("2")
            assert found["status"] == "READY", found
    assert open_one.server is not None
    assert all("authorization" not in each.headers for each in open_one.server.asked)
    assert elsewhere.server is not None
    assert {each.headers["authorization"] for each in elsewhere.server.asked} == {"Basic YWRhOnB3"}


async def test_without_a_tracking_server_nothing_is_promised(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> None:
    async with registry_with(db, blobs, keys, clock) as registry:
        for source in (f"runs:/{RUN}/m", f"models:/{MODEL}"):
            assert (await registry.create(source)).status_code == 404
        named = await registry.create(f"mlflow-artifacts:/1/{RUN}/artifacts/m", run_id=RUN)
        assert named.status_code == 404


async def test_only_those_who_may_read_the_asset_see_its_fetches(registry: Registry) -> None:
    await registry.promised(f"runs:/{RUN}/m")
    (one,) = await registry.fetches("pending")
    simulator = registry.simulator
    assert (await registry.admin.get(f"/api/v1/fetches/{one['id']}")).json() == one
    by_number = await registry.admin.get("/api/v1/fetches?asset=fraud&number=1")
    assert by_number.json()["items"] == [one]
    stranger = simulator.as_(Role.VIEWER, Scope("other"))
    assert (await stranger.get(f"/api/v1/fetches/{one['id']}")).status_code == 404
    assert (await stranger.get("/api/v1/fetches")).json()["items"] == []
    assert (await stranger.get("/api/v1/fetches?asset=fraud&number=1")).status_code == 404
    reader = simulator.as_(Role.VIEWER, Scope("default", "fraud"))
    assert (await reader.get("/api/v1/fetches")).json()["items"] == [one]
    for unknown in (uuid.uuid4(), "x"):
        assert (await registry.admin.get(f"/api/v1/fetches/{unknown}")).status_code == 404


async def test_fetches_are_listed_in_pages(registry: Registry) -> None:
    for number in range(3):
        await registry.promised(f"runs:/{RUN}/m", description=str(number))
    first = (await registry.admin.get("/api/v1/fetches?limit=2")).json()
    rest = (await registry.admin.get(f"/api/v1/fetches?cursor={first['next_cursor']}")).json()
    assert [each["number"] for each in (*first["items"], *rest["items"])] == [3, 2, 1]
    assert rest["next_cursor"] is None


async def test_rows_of_fetches_never_change(registry: Registry, db: Database) -> None:
    await registry.promised(f"runs:/{RUN}/m")
    for sql in (
        "UPDATE version_fetch SET source = 'x'",
        "UPDATE version_fetch SET number = 9",
        "DELETE FROM version_fetch",
        "TRUNCATE version_fetch CASCADE",
    ):
        with pytest.raises(Exception, match=r"never change|permission denied"):
            async with db.transaction() as tx:
                await tx.execute(sql)
    await registry.work()
    with pytest.raises(Exception, match=r"never change|permission denied"):
        async with db.transaction() as tx:
            await tx.execute("UPDATE version_fetch SET reason = 'x'")
