"""Webhooks with MLflow's newest client, unmodified; deliveries are verified by MLflow's own code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mlflow_clients import NEWEST, what_it_saw
from tests.support.receiver import OutsideReceiver
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow

_VERIFY = """\
import json, sys
from mlflow.webhooks.delivery import _generate_hmac_signature
for one in json.load(sys.stdin):
    wanted = _generate_hmac_signature("s3cret", one["id"], one["timestamp"], one["body"])
    assert wanted == one["signature"], one
"""


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, dict[str, Any], OutsideReceiver]]:
    with OutsideReceiver() as receiver:
        home = tmp_path_factory.mktemp("webhooks")
        environ = {"MUNIMENT_OUTBOUND_PRIVATE": "127.0.0.1"}
        with ServerProcess(home, environ=environ) as server:
            credentials = {"MLFLOW_TRACKING_TOKEN": server.environ["MUNIMENT_BOOTSTRAP_TOKEN"]}
            seen = what_it_saw(
                server,
                NEWEST,
                "mlflow_webhooks_script.py",
                credentials={**credentials, "RECEIVER": receiver.url},
            )
            receiver.wait_for(4)
            yield server, seen, receiver


def test_the_client_makes_lists_changes_tries_and_deletes_webhooks(
    told: tuple[ServerProcess, dict[str, Any], OutsideReceiver],
) -> None:
    _, seen, _ = told
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
    }


def test_what_it_does_is_told_as_mlflow_tells_it(
    told: tuple[ServerProcess, dict[str, Any], OutsideReceiver],
) -> None:
    _, _, receiver = told
    first, *rest = [json.loads(one.body) for one in receiver.asked]
    assert (first["entity"], first["action"]) == ("registered_model", "created")
    by_entity = {one["entity"]: one["data"] for one in rest}
    assert by_entity == {
        "registered_model": {"name": "m", "tags": {"team": "risk"}, "description": "a model"},
        "model_version_tag": {"name": "m", "version": "1", "key": "a", "value": "b"},
        "model_version_alias": {"name": "m", "alias": "chosen", "version": "1"},
    }
    signed = [
        {
            "id": one.headers["x-mlflow-delivery-id"],
            "timestamp": one.headers["x-mlflow-timestamp"],
            "signature": one.headers["x-mlflow-signature"],
            "body": one.body.decode(),
        }
        for one in receiver.asked
    ]
    done = subprocess.run(
        [NEWEST, "-c", _VERIFY],
        input=json.dumps(signed),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_its_webhook_is_seen_and_looked_into_here(
    told: tuple[ServerProcess, dict[str, Any], OutsideReceiver],
) -> None:
    server, _, _ = told
    (shown,) = json.loads(server.cli("webhook", "list", "--json").stdout)
    assert (shown["name"], shown["dialect"], shown["signed"]) == ("told", "mlflow", True)
    sent = json.loads(server.cli("webhook", "deliveries", "told", "--json").stdout)
    assert len(sent) == 4
    server.stop()
    checked = server.cli("fsck", "--data", str(Path(server.data)))
    assert checked.returncode == 0
