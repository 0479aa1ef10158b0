"""Which creates are the same one sent again, and which environment an MLmodel's files pin."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from muniment.server.facades.mlflow.records import FoundVersion, Known
from muniment.server.facades.mlflow.rules import derived, mlmodel, repeats, stages
from muniment.server.lifecycle.records import Stage

ASKED = repeats.Asked("runs:/r/m", "r", "", "", "d", {"k": "v"})


@pytest.mark.parametrize(
    ("agent", "may"),
    [
        ("mlflow-python-client/2.3.2", True),
        ("mlflow-python-client/3.17.2", True),
        ("mlflow-python-client/3.18.0", False),
        ("mlflow-python-client/4.0.0", False),
        ("curl/8", True),
        ("", True),
    ],
)
def test_who_may_send_a_create_again(agent: str, may: bool) -> None:
    assert repeats.may_repeat(agent) is may


@pytest.mark.parametrize(
    "change",
    [
        {"source": "runs:/r/n"},
        {"run_id": "s"},
        {"model_id": "m-2"},
        {"run_link": "l"},
        {"description": ""},
        {"tags": {}},
    ],
)
def test_any_other_word_makes_it_another(change: dict[str, Any]) -> None:
    earlier = dataclasses.replace(ASKED, model_id="m-1")
    assert repeats.same(ASKED, earlier)
    assert repeats.same(dataclasses.replace(ASKED, run_id=""), earlier)
    assert not repeats.same(dataclasses.replace(ASKED, **change), earlier)


def test_the_environment_is_the_narrowest_lock_there_is() -> None:
    model = {"flavors": {"python_function": {"python_version": "3.11.7"}}}
    both = {"conda.yaml": "sha256:a", "requirements.txt": "sha256:b", "MLmodel": "sha256:c"}
    assert mlmodel.environment(model, both) == {
        "lock_file": "requirements.txt",
        "lock_digest": "sha256:b",
        "python": "3.11.7",
    }
    assert mlmodel.environment({}, {"conda.yaml": "sha256:a"}) == {
        "lock_file": "conda.yaml",
        "lock_digest": "sha256:a",
    }
    assert mlmodel.environment({"flavors": {"python_function": 1}}, both) is not None
    assert mlmodel.environment(model, {"MLmodel": "sha256:c"}) is None


def test_the_run_an_mlmodel_names() -> None:
    assert mlmodel.run_of({"run_id": "a" * 32}) == "a" * 32
    for odd in ({}, {"run_id": 1}, {"run_id": "../x"}):
        assert mlmodel.run_of(odd) == ""


def a_version(stage: Stage = Stage.NONE, **more: Any) -> FoundVersion:
    known = Known("1.0.0", "draft", False, "sha256:a", {}, {})
    found: Any = dict.fromkeys(("id", "registered_at", "updated_at"))
    return FoundVersion(
        **found,
        name="m",
        number=1,
        description="",
        tags={},
        run_id=None,
        about={},
        stage=stage,
        known=dataclasses.replace(known, **more),
    )


def test_derived_tags_say_what_is_more_than_a_draft() -> None:
    assert derived.tags_of(msgspec.structs.replace(a_version(), known=None)) == {}
    assert derived.tags_of(a_version()) == {}
    assert derived.tags_of(a_version(lifecycle="retired", quarantined=True)) == {
        "muniment.lifecycle": "retired",
        "muniment.deprecated": "true",
        "muniment.quarantined": "true",
    }
    said = {
        "code": {"commit": "c"},
        "training_datasets": [{"version": "2026-01"}],
        "pipeline": {"run_id": "7", "run_attempt": 1},
    }
    shown = derived.tags_of(a_version(Stage.PRODUCTION, metadata=said, metrics={"auc": 1}))
    assert shown == {
        "aisdp.content_hash": "sha256:a",
        "aisdp.code_commit": "c",
        "aisdp.training_data_version": "2026-01",
        "aisdp.pipeline_execution_id": "7/1",
        "aisdp.metric.auc_roc": "1.0",
    }
    bare = derived.tags_of(a_version(Stage.PRODUCTION, metadata={"pipeline": {"run_id": "7"}}))
    assert bare["aisdp.pipeline_execution_id"] == "7"


def test_a_copy_leaves_derived_tags_behind() -> None:
    tags = {"k": "v", "Muniment.lifecycle": "draft", "aisdp.x": "y"}
    assert derived.without_derived(tags, copied=True) == {"k": "v"}
    assert derived.without_derived(tags, copied=False) == tags


def test_stages_are_read_in_any_case() -> None:
    assert [stages.parse_stage(text) for text in ("none", "STAGING")] == [
        Stage.NONE,
        Stage.STAGING,
    ]
    stages.check_archive(Stage.STAGING, archive=True)
    stages.check_archive(Stage.NONE, archive=False)
    stages.check_free("m", 1, [])
