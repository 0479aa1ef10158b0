"""Stages, renames and deletions with MLflow's newest and oldest clients, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mlflow_clients import NEWEST, OLDEST, what_it_saw
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[NEWEST, OLDEST], ids=["newest", "oldest"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, dict[str, Any]]]:
    with ServerProcess(tmp_path_factory.mktemp("stages")) as server:
        yield server, what_it_saw(server, request.param, "mlflow_stages_script.py")
        server.stop()


@pytest.fixture(scope="module")
def seen(both: tuple[ServerProcess, dict[str, Any]]) -> dict[str, Any]:
    return both[1]


def test_stages_move_as_in_mlflow(seen: dict[str, Any]) -> None:
    assert seen["moved"] == ["Staging", "Production", "Production"]
    assert seen["stages"] == {"1": "Archived", "2": "Production", "3": "None"}
    assert seen["latest"] == {"Archived": "1", "Production": "2", "None": "3"}
    assert seen["latest_production"] == ["2"]
    assert set(map(tuple, seen["predicted"].values())) == {(2, 4)}
    assert seen["back"] == "Production"
    assert seen["after"] == {"1": "Production", "2": "Archived", "3": "None"}


def test_what_is_no_stage_is_said_in_mlflows_words(seen: dict[str, Any]) -> None:
    assert seen["odd"][0] == seen["no_archive"][0] == "INVALID_PARAMETER_VALUE"
    assert "Invalid Model Version stage: Limbo" in seen["odd"][1]
    assert "'None' is not an Active stage" in seen["no_archive"][1]


def test_names_are_never_given_again(seen: dict[str, Any]) -> None:
    assert seen["renamed"] == ["hazard", seen["after"]]
    assert seen["old_name"][0] == "RESOURCE_DOES_NOT_EXIST"
    assert seen["reserved"][0] == seen["again"][0] == "RESOURCE_ALREADY_EXISTS"
    assert "Registered Model (name=risk) already exists." in seen["reserved"][1]
    assert seen["gone"][0] == "RESOURCE_DOES_NOT_EXIST"
    assert seen["models"] == ["hazard"]


def test_numbers_are_never_given_again(seen: dict[str, Any]) -> None:
    assert seen["deleted"][0] == "RESOURCE_DOES_NOT_EXIST"
    assert seen["alias_of_deleted"][0] == "INVALID_PARAMETER_VALUE"
    assert seen["next"] == "4"
    assert seen["copied_tags"] == {}
    assert seen["deployed"][0] == "RESOURCE_CONFLICT"
    assert "is deployed in production" in seen["deployed"][1]


def test_a_retired_version_does_not_resolve(seen: dict[str, Any]) -> None:
    assert seen["retired"][0] == "RESOURCE_CONFLICT"
    assert "retired" in seen["retired"][1]
    assert seen["retired_stage"] == {"1": "Archived", "2": "None"}


def test_enforced_rules_refuse_in_words_that_name_the_request(seen: dict[str, Any]) -> None:
    for what in ("stage_refused", "alias_refused"):
        code, message = seen[what]
        assert code == "PERMISSION_DENIED", what
        assert "muniment request hazard@2.0.0 --to production" in message, what
    assert seen["alias_kept"] == ["", "not refused"]
    assert seen["stages_kept"] == {"1": "Production", "2": "Archived", "4": "None"}
    assert seen["tag_refused"][0] == "INVALID_PARAMETER_VALUE"
    assert seen["tags"]["aisdp.content_hash"].startswith("sha256:")


def test_all_of_it_is_in_our_history_and_agrees_with_the_log(
    both: tuple[ServerProcess, dict[str, Any]],
) -> None:
    server, _ = both
    history = server.cli("history", "hazard", "--json").stdout
    for act in ("version.promote", "version.deprecate", "asset.rename", "version.tombstone"):
        assert act in history, act
    shown = server.cli("namespace", "show", "default", "--json").stdout
    assert '"refused": 2' in shown
    assert server.cli("verify", "hazard@1.0.0").returncode == 0
    done = server.cli("fsck", "--sample", "all", "--data", str(server.data))
    assert done.returncode == 0
