"""The input document: facts, checked against its schema, in canonical JSON, with a digest.

Source: `schemas/policy_input.v1.json`, published as `docs/reference/policy_input.v1.schema.json`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jsonschema_rs

from muniment.core.canon import canonical_no_floats, loads_strict
from muniment.core.digest import digest_of
from muniment.core.errors import BadBody, BadJson

_MAX_PROBLEMS, _MAX_CHARS = 50, 300


@functools.cache
def validator() -> jsonschema_rs.Validator:
    """Return the schema, compiled once."""
    text = (resources.files("muniment.server.policy") / "schemas/policy_input.v1.json").read_text()
    return jsonschema_rs.Draft202012Validator(json.loads(text), offline=True)


def read_input(data: bytes | str) -> Mapping[str, Any]:
    """Return the input document in a text.

    Raises:
        BadBody: with everything that is wrong with it.
    """
    try:
        document = loads_strict(data)
    except BadJson as error:
        raise BadBody(f"the input document: {error.message}") from None
    check_input(document)
    found: Mapping[str, Any] = document
    return found


def check_input(document: Any) -> None:
    """Go on only if `document` is an input document.

    Raises:
        BadBody: with everything that is wrong with it.
    """
    problems = input_problems(document)
    if problems:
        raise BadBody(f"the input document has {len(problems)} problems", problems=problems)


def input_problems(document: Any) -> list[dict[str, Any]]:
    """Return what is wrong with a document, each with its place."""
    try:
        canonical_no_floats(document)
    except BadJson as error:
        return [{"field": "", "message": error.message, "fix": "write whole numbers"}]
    found = []
    for wrong in validator().iter_errors(document):
        field = "/".join(str(part) for part in wrong.instance_path)
        found.append({"field": field, "message": wrong.message[:_MAX_CHARS]})
        if len(found) == _MAX_PROBLEMS:
            break
    return sorted(found, key=lambda one: (one["field"], one["message"]))


def canonical_input(document: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the document in canonical JSON, and the digest of that in hexadecimal.

    Raises:
        BadJson: it has no such form.
    """
    data = canonical_no_floats(document)
    return data, digest_of(data).hex
