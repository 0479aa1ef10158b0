"""The unmodified MLflow client, in an environment of its own, against a real server of ours.

`tests/support/mlflow_script.py` is what a data scientist would write; what it saw is judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.mlflow_clients import AS_USER, NEWEST, what_it_saw
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("mlflow")) as running:
        yield running
        running.stop()


@pytest.fixture(scope="module")
def seen(server: ServerProcess) -> dict[str, Any]:
    """What the client saw; the token is sent as the password of a user."""
    return what_it_saw(server, NEWEST, "mlflow_script.py", credentials=AS_USER)


def test_a_run_reads_back_as_it_was_logged(seen: dict[str, Any]) -> None:
    assert seen["run"] == {
        "status": "FINISHED",
        "params": {"C": "1.0", "solver": "lbfgs"},
        "metrics": {"auc": 0.91, "f1": 0.8, "loss": 1 / 3},
        "team": "risk",
        "name": "first",
        "models_out": [seen["model_id"]],
    }
    assert seen["history"] == [1.0, 0.5, 1 / 3]
    assert seen["runs_found"] == [seen["run_id"]]
    assert seen["logged_model"] == ["READY", True]


def test_artifacts_list_and_read_back(seen: dict[str, Any]) -> None:
    assert seen["artifacts"] == ["config.json", "notes"]
    assert seen["notes"] == ["notes/readme.txt"]
    assert seen["text"] == "hello"


def test_a_parameter_never_changes(seen: dict[str, Any]) -> None:
    code, message = seen["param_again"]
    assert code == "INVALID_PARAMETER_VALUE"
    assert "Changing param values is not allowed" in message


def test_every_way_to_register_gives_the_next_version(seen: dict[str, Any]) -> None:
    assert (seen["logged_as"], seen["by_run"], seen["by_model"]) == ("1", "2", "3")
    assert seen["copied"] == ["copied", "1", "models:/churn model/1"]
    assert seen["plain"] == ["1", {"k": "v"}, "READY"]
    assert seen["plain_again"][0] == "RESOURCE_ALREADY_EXISTS"


@pytest.mark.parametrize("how", ["predicted", "predicted_by_number", "predicted_by_latest"])
def test_a_registered_model_loads_and_predicts(seen: dict[str, Any], how: str) -> None:
    assert seen[how] == [0, 0, 1, 1]


def test_files_of_a_version_download(seen: dict[str, Any]) -> None:
    assert {"MLmodel", "requirements.txt", "conda.yaml"} <= set(seen["downloaded"])
    assert seen["flavors"] == ["python_function", "sklearn"]


def test_aliases_point_and_stop_pointing(seen: dict[str, Any]) -> None:
    assert seen["alias"] == "2"
    assert seen["aliases"] == {"champion": "2"}
    assert seen["alias_gone"][1].endswith("Registered model alias champion not found.")
    assert "reserved" in seen["alias_latest"][1]


def test_what_is_said_of_models_and_versions_reads_back(seen: dict[str, Any]) -> None:
    assert seen["model"] == ["Predicts churn", {"owner": "ada"}, "3"]
    assert seen["version"] == ["The first one", {"checked": "yes"}, "None"]
    assert seen["untagged"] == {}
    assert seen["latest"] == ["3"]


CHURN = ["churn model/1", "churn model/2", "churn model/3"]


def test_search_knows_every_operator(seen: dict[str, Any]) -> None:
    found = seen["search"]
    run_id = seen["run_id"]
    assert found == {
        "name = 'churn model'": CHURN,
        "name != 'churn model'": ["copied/1", "plain/1"],
        "name LIKE 'churn%'": CHURN,
        "name ILIKE 'CHURN%'": CHURN,
        "name IN ('churn model', 'plain')": [*CHURN, "plain/1"],
        f"run_id = '{run_id}'": [*CHURN, "copied/1"],
        f"run_id IN ('{run_id}')": [*CHURN, "copied/1"],
        "source_path LIKE 'models:/m-%' AND name = 'churn model'": CHURN,
        "version_number >= 2 AND name = 'churn model'": CHURN[1:],
        "version_number < 2 AND version_number != 5": [CHURN[0], "copied/1", "plain/1"],
        "tags.checked = 'yes'": CHURN[:1],
        "tags.`checked` != 'yes'": CHURN[1:2],
        "tag.\"checked\" ILIKE 'Y%'": CHURN[:1],
        "tags.how LIKE 'by%' AND name = 'churn model'": CHURN[2:],
        "tags.nothing = 'x'": [],
        "name = 'it''s; DROP TABLE version'": [],
    }
    assert seen["pages"] == [2, 2, 1]
    assert seen["models"] == {
        "": ["plain", "copied", "churn model"],
        "name LIKE 'c%'": ["copied", "churn model"],
        "tags.a = 'b'": ["plain"],
        "name ILIKE '%MODEL'": ["churn model"],
    }
    assert seen["bad_filter"][0] == "INVALID_PARAMETER_VALUE"


def test_sources_that_are_not_with_us_are_refused(seen: dict[str, Any]) -> None:
    assert seen["foreign"]
    for source, (code, message) in seen["foreign"].items():
        assert code == "INVALID_PARAMETER_VALUE", source
        assert source in message


def test_what_is_not_there_is_said_so(seen: dict[str, Any]) -> None:
    assert seen["missing"][0] == seen["missing_version"][0] == "RESOURCE_DOES_NOT_EXIST"


def test_what_mlflow_did_is_in_our_own_history_and_log(
    server: ServerProcess, seen: dict[str, Any]
) -> None:
    history = server.cli("history", "churn model", "--json").stdout
    assert "version.register" in history
    assert "version.promote" in history  # `champion` is what production resolves
    assert "version.withdraw" in history
    assert "asset.annotate" in history
    headers = {"authorization": f"Bearer {TOKEN}"}
    url = f"{server.url}/api/v1/assets/default/churn%20model/versions/1.0.0"
    version = httpx.get(url, headers=headers).json()
    assert version["number"] == 1
    assert version["metadata"]["run"] == {"id": seen["run_id"]}
    assert {"name": "sklearn"}.items() <= version["metadata"]["frameworks"][1].items()
    assert version["metadata"]["signature"]["inputs"][0]["shape"] == [-1, 1]
    assert version["metadata"]["hyperparameters"] == {"C": "1.0", "solver": "lbfgs"}
    assert server.cli("verify", "churn model@1.0.0").returncode == 0


def test_the_log_agrees_with_all_that_mlflow_did(
    server: ServerProcess, seen: dict[str, Any]
) -> None:
    assert seen
    done = server.cli("fsck", "--sample", "all", "--data", str(server.data))
    assert done.returncode == 0
