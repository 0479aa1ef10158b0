"""An MLflow tracking server as far as a registry reads it, which may lie: answers are plain dicts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.other_server import Asked, OtherServer, other_server, reply

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
RUN = "b" * 32
MODEL = "m-" + "c" * 32


@dataclass
class OtherMlflow:
    """What it tracks. `files` by path below the artifact root; `before` may answer in its place."""

    files: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: Callable[[Asked], bytes | None] = lambda _asked: None
    server: OtherServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def asked_for(self, path: str) -> int:
        """How often the bytes at a path were asked for."""
        assert self.server is not None
        wanted = f"{ARTIFACTS}/{path}"
        return sum(unquote(each.path) == wanted for each in self.server.asked)

    def add_run(self, run_id: str = RUN, **params: str) -> str:
        """Track a run; return where its artifacts lie."""
        root = f"1/{run_id}/artifacts"
        self.runs[run_id] = {
            "info": {"run_id": run_id, "artifact_uri": f"mlflow-artifacts:/{root}"},
            "data": {"params": [{"key": key, "value": text} for key, text in params.items()]},
        }
        return root

    def add_model(self, model_id: str = MODEL, run_id: str = RUN, **params: str) -> str:
        """Track a logged model; return where its artifacts lie."""
        root = f"1/models/{model_id}/artifacts"
        info = {"model_id": model_id, "artifact_uri": f"mlflow-artifacts:/{root}"}
        self.models[model_id] = {
            "info": info | {"source_run_id": run_id},
            "data": {"params": [{"key": key, "value": text} for key, text in params.items()]},
        }
        return root

    def answer(self, asked: Asked) -> bytes:
        if (said := self.before(asked)) is not None:
            return said
        url = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == f"{API}/runs/get":
            run = self.runs.get(query["run_id"])
            return answer({"run": run}) if run else missing()
        if url.path.startswith(f"{API}/logged-models/"):
            model = self.models.get(url.path.rpartition("/")[2])
            return answer({"model": model}) if model else missing()
        if url.path == ARTIFACTS:
            return answer({"files": self.listing(query["path"])})
        content = self.files.get(unquote(url.path.removeprefix(f"{ARTIFACTS}/")))
        return missing() if content is None else reply(200, content)

    def listing(self, directory: str) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path, content in self.files.items():
            if path.startswith(f"{directory}/"):
                name, slash, _ = path.removeprefix(f"{directory}/").partition("/")
                found[name] = {"path": name, "is_dir": bool(slash)}
                if not slash:
                    found[name]["file_size"] = len(content)
        return list(found.values())


def answer(body: dict[str, Any], status: int = 200) -> bytes:
    return reply(status, json.dumps(body).encode(), content_type="application/json")


def missing() -> bytes:
    return answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, 404)


@asynccontextmanager
async def other_mlflow() -> AsyncIterator[OtherMlflow]:
    """Run one on a free port of this loop."""
    tracked = OtherMlflow()
    async with other_server(tracked.answer) as server:
        tracked.server = server
        yield tracked
