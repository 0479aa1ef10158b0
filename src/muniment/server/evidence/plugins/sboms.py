"""What the parsers of SBOMs share: schemas checked without network, times, hashes, packages."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any, Final

import jsonschema_rs

from muniment.server.evidence.rules.reading import clean, problem

PROBLEMS_MAX: Final = 100
MAX_COMPONENTS: Final = 100_000
_HEX: Final = re.compile(r"[0-9a-fA-F]{16,256}")
_FAR: Final = 300


def load_schema(path: Traversable) -> Any:
    """Read a schema that comes with an installed package."""
    return json.loads(path.read_bytes())


def schema_problems(
    validator: jsonschema_rs.Validator, value: Any, name: str
) -> list[dict[str, Any]]:
    """Return what keeps `value` from being valid, at most 100, each with file and JSON pointer."""
    problems = []
    for error in validator.iter_errors(value):
        pointer = "".join(f"/{part}" for part in error.instance_path)
        message = clean(error.message, _FAR)
        problems.append(problem(f"{name} {clean(pointer)}".strip(), message))
        if len(problems) >= PROBLEMS_MAX:
            break
    return problems


def moment(text: object) -> dt.datetime | None:
    """Read an RFC 3339 time; None where it is none, or has no zone and so names no moment."""
    if not isinstance(text, str):
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(dt.UTC) if at.tzinfo else None


def hashes_of(pairs: Mapping[str, Any]) -> dict[str, str]:
    """Return hashes by algorithm, both in lower case; what is no hash is left out."""
    return {
        algorithm.lower()[:40]: value.lower()
        for algorithm, value in pairs.items()
        if isinstance(value, str) and _HEX.fullmatch(value)
    }
