"""Prompts as MLflow writes them: tags of registered models and model versions.

1. A registered model is a prompt if it was made with the tag `mlflow.prompt.is_prompt` of `true`; it
   is an asset of kind prompt then, and stays one.
2. What a prompt version says comes in tags and is metadata here: its text (a chat's messages as
   JSON) is the template, the response format the output schema, the model's configuration the
   settings. What the metadata cannot hold in its own terms is kept beside it as it was sent.
3. These tags are shown again from the metadata, whoever registered the version. They never change:
   setting one to what it says already changes nothing, everything else is refused.

Source: MLflow's prompt registry, as its client reads and writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import AlreadyExists, BadRequest

IS_PROMPT: Final = "mlflow.prompt.is_prompt"
TEXT: Final = "mlflow.prompt.text"
TYPE: Final = "_mlflow_prompt_type"
FORMAT: Final = "_mlflow_prompt_response_format"
CONFIG: Final = "_mlflow_prompt_model_config"
DERIVED: Final = frozenset({IS_PROMPT, TEXT, TYPE, FORMAT, CONFIG})
#: What clients send as the source of a prompt version, which has no files.
PLACEHOLDERS: Final = frozenset({"dummy-source", "prompt-template"})
#: Where in `metadata.extra.mlflow` the text of a tag is kept that the metadata says otherwise.
KEPT: Final[Mapping[str, str]] = {
    TEXT: "prompt_text",
    TYPE: "prompt_type",
    FORMAT: "prompt_response_format",
    CONFIG: "prompt_model_config",
}
_CHAT: Final = "chat"
_SCALAR: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Said:
    """A prompt version in our terms: `metadata.prompt` but its variables, what is kept, other tags."""

    prompt: Mapping[str, Any]
    kept: Mapping[str, str]
    tags: Mapping[str, str]


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether tags of a new registered model ask for a prompt.

    Raises:
        BadRequest: they have the tag, with another value than `true`.
    """
    value = tags.get(IS_PROMPT)
    if value not in {None, "true"}:
        raise BadRequest(f"the tag {IS_PROMPT} makes a prompt if it is 'true', found {value!a:.80}")
    return value is not None


def read(name: str, tags: Mapping[str, str]) -> Said:
    """Read the tags of a new version of the prompt `name`.

    Raises:
        BadRequest: there is no text in them, or what should be JSON is none.
    """
    if not tags.get(TEXT):
        raise BadRequest(
            f"Prompt `{name[:300]}` does not contain a prompt text: set the tag {TEXT}"
        )
    prompt: dict[str, Any] = {"template": tags[TEXT]}
    if tags.get(TYPE) == _CHAT:
        messages = _json(TEXT, tags[TEXT])
        if _is_plain(messages):
            prompt["template"] = messages
    if FORMAT in tags:
        prompt["output_schema"] = _object(FORMAT, tags[FORMAT])
    if CONFIG in tags:
        config = _object(CONFIG, tags[CONFIG])
        prompt["settings"] = {key: one for key, one in config.items() if type(one) in _SCALAR}
    shown = _shown(prompt)
    kept = {KEPT[key]: tags[key] for key in KEPT if key in tags and shown.get(key) != tags[key]}
    rest = {key: value for key, value in tags.items() if key not in DERIVED}
    return Said(prompt, kept, rest)


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadRequest(f"Invalid value of the tag {key}: it is not JSON") from None


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _object(key: str, text: str) -> dict[str, Any]:
    found = _json(key, text)
    if not isinstance(found, dict):
        raise BadRequest(f"Invalid value of the tag {key}: it is not a JSON object")
    return found


def _is_plain(messages: Any) -> bool:
    """Say whether these are messages of a role and a text each, and nothing else."""
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(one, dict)
            and set(one) == {"role", "content"}
            and all(isinstance(text, str) and text for text in one.values())
            for one in messages
        )
    )


def _shown(prompt: Mapping[str, Any]) -> dict[str, str]:
    template = prompt["template"]
    found = {IS_PROMPT: "true"}
    if isinstance(template, str):
        found[TEXT] = template
    else:
        messages = [{"role": one["role"], "content": one["content"]} for one in template]
        found |= {TEXT: json.dumps(messages), TYPE: _CHAT}
    if "output_schema" in prompt:
        found[FORMAT] = json.dumps(prompt["output_schema"])
    if "settings" in prompt:
        found[CONFIG] = json.dumps(prompt["settings"])
    return found


def tags_of(prompt: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that show a prompt version; `about` is its `metadata.extra.mlflow`."""
    kept = {key: about[name] for key, name in KEPT.items() if isinstance(about.get(name), str)}
    return _shown(prompt) | kept


def taken(name: str, *, prompt: bool, by_prompt: bool) -> AlreadyExists:
    """Return what says that a new prompt (or else model) cannot have a name, and who has it."""
    new, there = ("Prompt" if one else "Registered Model" for one in (prompt, by_prompt))
    if new == there:
        return AlreadyExists(f"{new} (name={name}) already exists.")
    return AlreadyExists(
        f"Tried to create a {new.lower()} with name {name!r}, but the name is already taken by a"
        f" {there.lower()}: a model and a prompt cannot have the same name."
    )


def check_asset_tag(name: str, *, prompt: bool, key: str, value: str | None) -> bool:
    """Say whether a tag of a registered model can be set to `value` (None: taken off), or is so already.

    Raises:
        BadRequest: it would make a model a prompt, or a prompt a model.
    """
    if key != IS_PROMPT:
        return True
    if value == ("true" if prompt else None):
        return False
    is_now, other = ("prompt", "model") if prompt else ("model", "prompt")
    raise BadRequest(
        f"{name[:300]} is a {is_now} and stays one: what an asset is never changes. Register a"
        f" {other} under another name"
    )


def check_model_tags(tags: Mapping[str, str]) -> None:
    """Go on only if a version of a model may have these tags.

    Raises:
        BadRequest: one of them is of prompts.
    """
    for key in tags:
        check_version_tag({}, key, tags[key])


def check_version_tag(shown: Mapping[str, str], key: str, value: str | None) -> bool:
    """Say whether a tag of a version can be set to `value` (None: taken off), or is so already.

    `shown` are the tags its prompt shows; empty for a model.

    Raises:
        BadRequest: it is one of a prompt's, and says something else.
    """
    if key not in DERIVED:
        return True
    if shown.get(key) == value:
        return False
    if not shown:
        raise BadRequest(f"the tag {key} is of prompts, and this is a version of a model")
    raise BadRequest(
        f"the tag {key} is what the prompt says, and a version never changes: register a new version"
    )
