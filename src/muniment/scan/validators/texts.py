"""Texts: program code, templates, and configurations that have loaders run code.

JSON is parsed up to a limit. Longer ones (vocabularies) must not have any of the keys that matter,
nor hide one behind escaped letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from muniment.scan.context import Context
from muniment.scan.reader import WINDOW_BYTES, Reader
from muniment.scan.validators.jinja import check_template
from muniment.scan.validators.keras import check_config

_OVERLAP: Final = 256
PROGRAMS: Final = (
    ".py", ".pyx", ".pyw", ".sh", ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".js", ".mjs", ".ts",
    ".rb", ".pl", ".php", ".lua", ".r", ".jl", ".ipynb", ".java", ".scala", ".go", ".rs", ".c",
    ".cpp", ".cu", ".pth",
)  # fmt: skip
TEMPLATES: Final = (".jinja", ".jinja2", ".j2")
_YAML_OBJECT: Final = re.compile(rb"!!python/|!<?tag:yaml\.org,2002:python|!python/")
_REMOTE: Final = re.compile(
    rb"(?im)^\s*['\"]?trust_remote_code['\"]?\s*:\s*['\"]?(?:true|yes|on|1)\b"
)
_KEYS: Final = re.compile(
    rb'"(?:auto_map|trust_remote_code|custom_pipelines|chat_template|class_name|nbformat)"\s*:'
    rb"|\\u00[4-7][0-9a-fA-F]"
)


def check_script(reader: Reader, context: Context) -> None:
    """Note a program."""
    del reader
    _note_program(context)


def _note_program(context: Context) -> None:
    context.totals.executable = True
    context.found("script.code", "it is a program")


def check_text(reader: Reader, context: Context) -> None:
    """Look for programs, templates, and YAML that makes objects."""
    name = context.name.lower()
    if name.endswith(PROGRAMS):
        _note_program(context)
    elif name.endswith(TEMPLATES) or "chat_template" in name:
        check_template(_whole(reader, context), context)
    for offset, _ in _search(reader, _YAML_OBJECT):
        context.found("yaml.python-object", "a tag that makes a Python object", offset)
        break
    for offset, _ in _search(reader, _REMOTE):
        context.found("config.remote-code", "`trust_remote_code` is set", offset)
        break


def check_json(reader: Reader, context: Context) -> None:
    """Look for what a loader would import.

    Raises:
        StopScan: it is too long to be parsed, and has keys that matter; noted.
    """
    check_text(reader, context)
    if reader.size_bytes > context.limits.parsed_bytes:
        for offset, key in _search(reader, _KEYS):
            raise context.stop("unscannable.limit", f"a long JSON with {key!r}", offset)
        return
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice.append(next(name for name in names if names.count(name) > 1))
        return found

    try:
        content = json.loads(reader.read(0, reader.size_bytes), object_pairs_hook=unique)
    except ValueError:
        return  # lines of JSON, or a text: nobody loads it as a configuration
    except RecursionError:
        raise context.stop("unscannable.limit", "too deep a JSON") from None
    if twice:
        context.found("json.duplicate-key", f"key `{_shown(twice[0])}` stands twice")
    _check_tree(content, context)


def _check_tree(content: Any, context: Context) -> None:
    if isinstance(content, dict) and "nbformat" in content and "cells" in content:
        _note_program(context)
    keras = False
    for key, value in _items(content):
        if key in {"auto_map", "custom_pipelines"} and value:
            context.found("config.remote-code", f"`{key}` names code: {_shown(str(value))}")
        elif key == "trust_remote_code" and value is True:
            context.found("config.remote-code", "`trust_remote_code` is set")
        elif key == "chat_template":
            for template in _templates(value):
                check_template(template, context)
        elif key == "class_name":
            keras = True
    if keras:
        check_config(content, context)


def _items(content: Any) -> Iterator[tuple[str, Any]]:
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _templates(value: Any) -> Iterator[str]:
    """Yield the templates that `chat_template` holds: one, or a list or mapping of named ones."""
    if isinstance(value, str):
        yield value
    for _, inner in _items(value):
        if isinstance(inner, str):
            yield inner


def _whole(reader: Reader, context: Context) -> str:
    if reader.size_bytes > context.limits.parsed_bytes:
        raise context.stop("unscannable.limit", f"a template of {reader.size_bytes} bytes")
    return reader.read(0, reader.size_bytes).decode("utf-8", "replace")


def _search(reader: Reader, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, str]]:
    at = 0
    while at < reader.size_bytes:
        piece = reader.read(at, WINDOW_BYTES * 4)
        if not piece:
            return
        for found in pattern.finditer(piece):
            yield at + found.start(), found[0].decode("latin-1")
        at += len(piece) - _OVERLAP if len(piece) > _OVERLAP else len(piece)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:100])
