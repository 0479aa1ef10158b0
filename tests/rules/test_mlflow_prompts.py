"""What MLflow says of prompts in tags, as metadata of ours and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import AlreadyExists, BadRequest
from muniment.server.facades.mlflow.rules import prompts
from muniment.server.facades.mlflow.rules.prompts import CONFIG, FORMAT, IS_PROMPT, TEXT, TYPE

CHAT = [{"role": "system", "content": "Be {{style}}."}, {"role": "user", "content": "Où?"}]


def back(tags: dict[str, str]) -> dict[str, str]:
    said = prompts.read("p", tags)
    return prompts.tags_of(said.prompt, said.kept) | dict(said.tags)


def test_a_text_is_the_template() -> None:
    said = prompts.read("p", {IS_PROMPT: "true", TEXT: "Hi {{name}}", "team": "risk"})
    assert said == prompts.Said({"template": "Hi {{name}}"}, {}, {"team": "risk"})


def test_a_chat_is_messages_and_its_extras_are_schema_and_settings() -> None:
    said = prompts.read(
        "p",
        {
            TEXT: json.dumps(CHAT),
            TYPE: "chat",
            FORMAT: '{"type": "object"}',
            CONFIG: '{"temperature": 0.5, "stop_sequences": ["x"]}',
        },
    )
    assert said.prompt == {
        "template": CHAT,
        "output_schema": {"type": "object"},
        "settings": {"temperature": 0.5},
    }
    assert said.kept == {
        "prompt_model_config": '{"temperature": 0.5, "stop_sequences": ["x"]}',
    }


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        [{"role": "user", "content": "x", "name": "n"}],
        [{"role": "user", "content": ""}],
        [],
        {"role": "user"},
        ["x"],
    ],
)
def test_messages_of_another_shape_are_kept_as_text(messages: Any) -> None:
    tags = {IS_PROMPT: "true", TEXT: json.dumps(messages), TYPE: "chat"}
    assert prompts.read("p", tags).prompt == {"template": json.dumps(messages)}
    assert back(tags) == tags


_TEXTS = st.text(min_size=1)
_MESSAGES = st.lists(st.fixed_dictionaries({"role": _TEXTS, "content": st.text()}), max_size=3)
_CONFIGS = st.dictionaries(st.text(), st.integers() | st.lists(st.text()))
_INDENTS = st.sampled_from([None, 1])


@st.composite
def _tags(draw: st.DrawFn) -> dict[str, str]:
    """Tags of a prompt version: text or chat, plain or not, written one way or another."""
    tags = draw(st.dictionaries(st.text(), st.text(), max_size=2)) | {IS_PROMPT: "true"}
    kind = draw(st.sampled_from([None, "text", "chat"]))
    if kind is not None:
        tags[TYPE] = kind
    chat = json.dumps(draw(_MESSAGES), indent=draw(_INDENTS))
    tags[TEXT] = chat if kind == "chat" else draw(_TEXTS)
    if draw(st.booleans()):
        tags[CONFIG] = json.dumps(draw(_CONFIGS), indent=draw(_INDENTS))
    return tags


@given(_tags())
def test_tags_read_back_as_they_were_sent(tags: dict[str, str]) -> None:
    assert back(tags) == tags


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, "does not contain a prompt text"),
        ({TEXT: ""}, "does not contain a prompt text"),
        ({TEXT: "[", TYPE: "chat"}, "not JSON"),
        ({TEXT: "[" * 90_000, TYPE: "chat"}, "not JSON"),
        ({TEXT: "x", FORMAT: "{"}, "not JSON"),
        ({TEXT: "x", FORMAT: "[]"}, "not a JSON object"),
        ({TEXT: "x", CONFIG: '{"temperature": NaN}'}, "not JSON"),
        ({TEXT: "x", CONFIG: "5"}, "not a JSON object"),
    ],
)
def test_what_says_no_prompt_is_refused(tags: dict[str, str], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        prompts.read("p", tags)


def test_what_makes_a_prompt() -> None:
    assert prompts.is_prompt({IS_PROMPT: "true"})
    assert not prompts.is_prompt({"a": "b"})
    with pytest.raises(BadRequest, match="if it is 'true'"):
        prompts.is_prompt({IS_PROMPT: "false"})


@pytest.mark.parametrize(
    ("prompt", "value", "changes"),
    [(True, "true", False), (False, None, False)],
)
def test_a_kind_can_be_said_again(*, prompt: bool, value: str | None, changes: bool) -> None:
    assert prompts.check_asset_tag("n", prompt=prompt, key=IS_PROMPT, value=value) is changes
    assert prompts.check_asset_tag("n", prompt=prompt, key="other", value=value)


@pytest.mark.parametrize(
    ("prompt", "value", "says"),
    [
        (True, None, "is a prompt and stays one"),
        (True, "false", "is a prompt and stays one"),
        (False, "true", "is a model and stays one"),
        (False, "false", "is a model and stays one"),
    ],
)
def test_a_kind_never_changes(*, prompt: bool, value: str | None, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        prompts.check_asset_tag("n", prompt=prompt, key=IS_PROMPT, value=value)


def test_what_a_prompt_says_never_changes() -> None:
    shown = {IS_PROMPT: "true", TEXT: "x"}
    assert prompts.check_version_tag(shown, "team", "risk")
    assert not prompts.check_version_tag(shown, TEXT, "x")
    assert not prompts.check_version_tag(shown, TYPE, None)
    for key, value in ((TEXT, "y"), (TEXT, None), (IS_PROMPT, None), (TYPE, "chat")):
        with pytest.raises(BadRequest, match="a version never changes"):
            prompts.check_version_tag(shown, key, value)
    with pytest.raises(BadRequest, match="is of prompts"):
        prompts.check_model_tags({"a": "b", TEXT: "x"})
    prompts.check_model_tags({"a": "b"})


def test_a_name_is_of_one_kind() -> None:
    same = prompts.taken("n", prompt=True, by_prompt=True)
    assert isinstance(same, AlreadyExists)
    assert same.message == "Prompt (name=n) already exists."
    other = prompts.taken("n", prompt=True, by_prompt=False)
    assert "already taken by a registered model" in other.message
