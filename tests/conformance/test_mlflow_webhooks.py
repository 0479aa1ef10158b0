"""Webhooks with MLflow's newest client, unmodified; deliveries are verified by MLflow's own code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from muniment import Client
from tests.support.mlflow_clients import NEWEST, what_it_saw
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, dict[str, Any]]]:
    home = tmp_path_factory.mktemp("webhooks")
    with ServerProcess(home, environ={"MUNIMENT_OUTBOUND_PRIVATE": "127.0.0.1"}) as server:
        yield server, what_it_saw(server, NEWEST, "mlflow_webhooks_script.py")
        server.stop()


def test_the_client_makes_lists_changes_tries_and_deletes_webhooks(
    both: tuple[ServerProcess, dict[str, Any]],
) -> None:
    seen = {key: value for key, value in both[1].items() if key not in {"told", "verified"}}
    assert seen == {
        "made": [
            "told",
            "ACTIVE",
            ["model_version_alias.created", "model_version_tag.set", "registered_model.created"],
            "tells the test",
        ],
        "got": True,
        "listed": [["more-2", "more-1", "more-0"], ["told"], ""],
        "updated": ["off", "DISABLED", True],
        "absent": ["RESOURCE_DOES_NOT_EXIST", True],
        "refused": "INVALID_PARAMETER_VALUE",
        "tried": [True, 200, "thanks"],
        "example": "registered_model",
    }


def test_what_it_does_is_told_as_mlflow_tells_it(
    both: tuple[ServerProcess, dict[str, Any]],
) -> None:
    server, seen = both
    assert seen["verified"]
    assert seen["told"] == {
        "registered_model.created": {
            "name": "m",
            "tags": {"team": "risk"},
            "description": "a model",
        },
        "model_version_tag.set": {"name": "m", "version": "1", "key": "a", "value": "b"},
        "model_version_alias.created": {"name": "m", "alias": "chosen", "version": "1"},
    }
    with Client(server.url, TOKEN) as admin:
        (hook,) = admin.webhooks.list_()
        sent = admin.webhooks.deliveries(hook.id)
    assert (hook.name, hook.dialect, hook.signed) == ("told", "mlflow", True)
    assert len(sent) == 4
