"""Metadata of a version, from a YAML or JSON file, a mapping, and `key=value` settings.

YAML is read with the safe loader, at most 1 MiB, without duplicate keys, aliases or dates: times
stay the text they are, so that what is registered is what was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from muniment.client.strict_yaml import StrictLoader
from muniment.core.canon import loads_strict
from muniment.core.errors import BadMetadata, BadRequest

MAX_BYTES = 1024 * 1024

#: What metadata may be given as.
Metadata = Mapping[str, Any] | str | os.PathLike[str]


def load(metadata: Metadata | None) -> dict[str, Any]:
    """Return metadata as JSON values.

    Raises:
        BadMetadata: the file is missing, too large or malformed, or holds no mapping.
    """
    if metadata is None:
        return {}
    if isinstance(metadata, Mapping):
        return dict(metadata)
    path = Path(metadata)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"cannot read metadata from `{path}`: {error.strerror}"
        raise BadMetadata(msg) from error
    if len(data) > MAX_BYTES:
        msg = f"`{path}` has more than {MAX_BYTES} bytes; move large parts into the artifact"
        raise BadMetadata(msg)
    value = _json(data, path) if path.suffix.lower() == ".json" else _yaml(data, path)
    if not isinstance(value, dict):
        msg = f"expected `{path}` to hold fields (`name: value`), found {type(value).__name__}"
        raise BadMetadata(msg)
    return value


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Read `a.b=value` settings; a value that is JSON is taken as such, else as text.

    Raises:
        BadMetadata: one has no `=`, or sets below something that is no mapping.
    """
    result: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not all(key.split(".")):
            msg = f"expected `key=value` or `outer.inner=value`, found `{pair}`"
            raise BadMetadata(msg)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        _set(result, key, value)
    return result


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with `above` laid over it, mappings merged key by key."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merged(old, value) if both and isinstance(old, Mapping) else value
    return result


def _set(result: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    at = result
    for part in outer:
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            msg = f"`{key}` sets below `{part}`, which was set to a value before"
            raise BadMetadata(msg)
        at = inner
    at[last] = value


def _json(data: bytes, path: Path) -> Any:
    try:
        return loads_strict(data)
    except BadRequest as error:
        raise BadMetadata(f"`{path}`: {error.message}") from error


def _yaml(data: bytes, path: Path) -> Any:
    try:
        return yaml.load(data, StrictLoader)  # noqa: S506 -- a SafeLoader, made stricter
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise BadMetadata(f"`{path}` is not YAML that can be read here: {why}") from error
