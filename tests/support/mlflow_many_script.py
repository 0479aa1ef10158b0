"""Sixteen processes at once, and pages of thousands, in MLflow's own environment; writes what it saw.

Started by the conformance tests against a real server that holds 5 000 versions already. Knows
nothing of ours: only `mlflow`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
from mlflow import MlflowClient  # noqa: E402

PROCESSES, EACH = 16, 4
SEEN: dict[str, Any] = {}


def register(source: tuple[str, str]) -> list[int]:
    """Register the same files a few times, said otherwise each time; return the numbers they got."""
    uri, run_id = source
    client = MlflowClient()
    said = (f"{os.getpid()} {number}" for number in range(EACH))
    return [
        int(client.create_model_version("crowd", uri, run_id, description=one).version)
        for one in said
    ]


def from_many_processes() -> None:
    """Register from many processes at once."""
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "m/weights.txt")
    MlflowClient().create_registered_model("crowd")
    source = (f"runs:/{run.info.run_id}/m", run.info.run_id)
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        SEEN["numbers"] = pool.map(register, [source] * PROCESSES, chunksize=1)


def paged(search: Any, *, size: int, **asked: Any) -> tuple[list[int], list[Any]]:
    """Return how many each page had, and all that was found."""
    sizes, found, token = [], [], None
    while True:
        page = search(max_results=size, page_token=token, **asked)
        sizes.append(len(page))
        found += page
        token = page.token
        if not token:
            return sizes, found


def through_pages() -> None:
    """Everything, page by page, in more than one order."""
    client = MlflowClient()
    sizes, found = paged(client.search_model_versions, size=1000)
    SEEN["sizes"] = sizes
    SEEN["distinct"] = len({(one.name, one.version) for one in found})
    changed = [one.last_updated_timestamp for one in found]
    SEEN["latest_first"] = changed == sorted(changed, reverse=True)
    order = ["name ASC", "version_number DESC"]
    _, found = paged(client.search_model_versions, size=1500, order_by=order)
    names = [(one.name, -int(one.version)) for one in found]
    SEEN["ordered"] = names == sorted(names) and len(names) == sum(sizes)
    sizes, found = paged(client.search_model_versions, size=7, filter_string="name = 'crowd'")
    SEEN["crowd"] = sorted(int(one.version) for one in found)
    sizes, found = paged(client.search_registered_models, size=200)
    SEEN["models"] = [sizes, [one.name for one in found] == sorted({one.name for one in found})]
    SEEN["at_once"] = len(client.search_model_versions("name LIKE 'model-%'"))
    rare = client.search_model_versions("tags.team = 'team-7' AND version_number = 3")
    SEEN["rare"] = [len(rare), {one.tags["team"] for one in rare}]
    SEEN["rare"][1] = sorted(SEEN["rare"][1])


from_many_processes()
through_pages()
Path("seen.json").write_text(json.dumps(SEEN))
