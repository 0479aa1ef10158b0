"""Checking a version's metadata against its schema, and saying everything wrong with it at once.

In this order:

1. It is JSON with a canonical form, without NUL, of at most 512 KiB.
2. It follows `schemas/version_metadata.v1.json`. Unknown members are refused: free ones go below
   `extra`.
3. The license is an SPDX expression by form; intervals do not end before they start; a prompt's
   template has exactly the declared variables.
4. What the kind cannot be without is there: an adapter's base model, a prompt's template.

Source: R-008, R-018, R-040 to R-060; Draft 2020-12 of JSON Schema.
"""

from __future__ import annotations

import datetime as dt
import difflib
import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from muniment.core.canon import canonical
from muniment.core.errors import BadMetadata, BadRequest
from muniment.server.catalog.records import Kind

METADATA_MAX_BYTES = 512 * 1024
PROBLEMS_MAX = 100
SCHEMA_NAME: Final = "muniment/version-metadata/v1"
SCHEMA: Final[dict[str, Any]] = json.loads(
    importlib.resources.files("muniment.server.catalog")
    .joinpath("schemas/version_metadata.v1.json")
    .read_bytes()
)
_VALIDATOR: Final = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True)
_PROPERTIES: Final[Mapping[str, Any]] = SCHEMA["properties"]

#: What the kind cannot be without, even as a draft.
KIND_NEEDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.MODEL: (),
    Kind.ADAPTER: ("base_models",),
    Kind.PROMPT: ("prompt",),
}

#: Members that people try and that belong elsewhere.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "approved_date": "it follows from decisions; leave it out",
    "compliance_status": "it follows from evidence; leave it out",
    "owner": "it is the asset's: `muniment asset create NAME --owner OWNER`",
    "tags": "tags may change, so they are not metadata: `--tag KEY=VALUE`",
    "description": "it may change, so it is not metadata: `--description TEXT`",
    "name": "it is the asset's; leave it out",
    "version": "it is given at registration: `--version 1.0.0`",
    "framework": "use `frameworks`, a list of {name, version}",
    "base_model": "use `base_models`, a list of {name, version, digest}",
    "dataset": "use `training_datasets`, a list of {name, version, digest, window}",
    "params": "use `hyperparameters`",
}
_SPDX: Final = re.compile(r"\(|\)|[A-Za-z0-9.+:-]+")
_SPDX_OPERATORS: Final = frozenset({"AND", "OR", "WITH"})
_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

Problem = dict[str, Any]


def check_metadata(kind: Kind, metadata: Mapping[str, Any]) -> None:
    """Go on only if `metadata` may be recorded with a version of an asset of that kind.

    Raises:
        BadMetadata: it may not. `problems` has all that is wrong (at most 100), each with `field`
            (a JSON pointer), `message` and `fix`.
    """
    problems = metadata_problems(kind, metadata)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see `problems`)" if problems[1:] else ""
        where = f"`{first['field']}`: " if first["field"] else ""
        raise BadMetadata(f"metadata: {where}{first['message']}{more}", problems=problems)


def metadata_problems(kind: Kind, metadata: Mapping[str, Any]) -> list[Problem]:
    """Return all that is wrong with `metadata`, at most 100; empty if nothing is."""
    return read_metadata(kind, metadata)[1]


def read_metadata(kind: Kind, metadata: Mapping[str, Any]) -> tuple[bytes, list[Problem]]:
    """Return the canonical JSON of `metadata`, and all that is wrong with it, at most 100.

    Without a canonical form there is one problem, and no bytes.
    """
    try:
        text = canonical(metadata)
    except BadRequest as error:
        return b"", [_problem("", error.message, "send JSON as RFC 7493 has it")]
    return text, _problems(kind, metadata, text)


def _problems(kind: Kind, metadata: Mapping[str, Any], text: bytes) -> list[Problem]:
    if len(text) > METADATA_MAX_BYTES:
        message = f"expected at most {METADATA_MAX_BYTES} bytes, found {len(text)}"
        return [_problem("", message, "store large content as a file and link its digest")]
    if b"\\u0000" in text:
        return [_problem("", "holds the character NUL", "leave U+0000 out")]
    found = list(_schema_problems(metadata))
    if not isinstance(metadata, Mapping):
        return found
    if not found:
        checks = (_licenses, _windows, _variables, _not_applicable)
        found = [problem for check in checks for problem in check(metadata)]
    found += _needs(kind, metadata)
    return found[:PROBLEMS_MAX]


def _problem(field: str, message: str, fix: str) -> Problem:
    return {"field": field, "message": message, "fix": fix}


def how_to_supply(field: str) -> str:
    """Say how to supply a top-level field: the lines of `metadata.yaml`."""
    example = json.dumps(_PROPERTIES[field]["examples"][0], ensure_ascii=False)
    return f"add to metadata.yaml: `{field}: {example}` ({_PROPERTIES[field]['description']})"


def _schema_problems(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for error in _VALIDATOR.iter_errors(metadata):
        pointer = "".join(f"/{_escaped(part)}" for part in error.instance_path)
        kind = error.kind
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
            known = _known_members(error.schema_path)
            yield from (_unknown(pointer, name, known) for name in kind.unexpected)
        elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
            name = str(kind.property)
            yield _problem(f"{pointer}/{_escaped(name)}", "is required", f"add `{name}`")
        else:
            yield _problem(pointer, _shortened(error.message), _fix_of(error))


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _known_members(schema_path: Iterable[str | int]) -> list[str]:
    """The members of the object whose `additionalProperties` refused something."""
    return sorted(_schema_at([*schema_path][:-1]).get("properties", {}))


def _schema_at(path: Iterable[str | int]) -> dict[str, Any]:
    """The schema at a path in which `$ref`s are followed."""
    at: Any = SCHEMA
    for part in path:
        at = SCHEMA["$defs"][at["$ref"].rpartition("/")[2]] if part == "$ref" else at[part]
    found: dict[str, Any] = at
    return found


def _unknown(pointer: str, name: str, known: list[str]) -> Problem:
    if not pointer and name in _ELSEWHERE:
        fix = _ELSEWHERE[name]
    elif not pointer and name.endswith("_tested"):
        fix = "it follows from evidence; leave it out"
    elif near := difflib.get_close_matches(name, known, n=1):
        fix = f"did you mean `{near[0]}`? Anything of your own goes below `extra`"
    else:
        fix = f"known here are: {', '.join(known)}; anything of your own goes below `extra`"
    return _problem(f"{pointer}/{_escaped(name)}", "is not known here", fix)


def _shortened(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:200]} … {message[-80:]}"  # noqa: PLR2004


def _fix_of(error: Any) -> str:
    path = [*error.schema_path][:-1]
    described = _schema_at(path)
    text = described.get("description") or json.dumps(
        {key: value for key, value in described.items() if not key.startswith("x-")}
    )
    return f"expected {_shortened(text)}"


def _licenses(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    found = {"/license": metadata.get("license")}
    for field, index, dataset in _datasets(metadata):
        found[f"/{field}/{index}/license"] = dataset.get("license")
    for pointer, expression in found.items():
        if expression is not None and not is_spdx(expression):
            yield _problem(
                pointer,
                f"is not an SPDX license expression: {expression[:80]!r}",
                "write an id (`Apache-2.0`), an expression (`MIT OR Apache-2.0`), or "
                "`LicenseRef-NAME` for one of your own",
            )


def is_spdx(expression: str) -> bool:
    """Say whether `expression` has the form of an SPDX license expression; ids are not looked up.

    Source: SPDX 2.3, Annex D.
    """
    words = _SPDX.findall(expression)
    if "".join(words) != "".join(expression.split()):
        return False
    depth, wants_id = 0, True
    for word in words:
        if word == "(":
            if not wants_id:
                return False
            depth += 1
        elif word == ")":
            if wants_id or not depth:
                return False
            depth -= 1
        elif wants_id == (word in _SPDX_OPERATORS):
            return False
        else:
            wants_id = not wants_id
    return depth == 0 and not wants_id


def _datasets(metadata: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    for field in ("training_datasets", "evaluation_datasets"):
        for index, dataset in enumerate(metadata.get(field, ())):
            yield field, index, dataset


def _windows(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for field, index, dataset in _datasets(metadata):
        start, end = window_of(dataset)
        if start is not None and end is not None and end < start:
            yield _problem(
                f"/{field}/{index}/window", "ends before it starts", "exchange `start` and `end`"
            )


def window_of(dataset: Mapping[str, Any]) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return when a dataset's data starts and ends (UTC, inclusive), each None where unknown."""
    window = dataset.get("window", {})
    return _moment(window.get("start"), dt.time.min), _moment(window.get("end"), dt.time.max)


def _moment(text: str | None, time: dt.time) -> dt.datetime | None:
    if text is None:
        return None
    if len(text) == len("2026-01-31"):
        return dt.datetime.combine(dt.date.fromisoformat(text), time, dt.UTC)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:  # a leap second: RFC 3339 has it, Python has not
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def window_overlaps(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs (training dataset, evaluation dataset) whose time windows meet.

    Only windows with both ends known are compared. An overlap is a warning, not a mistake: the
    sets may be split otherwise.

    Source: R-042.
    """
    pairs = []
    for trained in metadata.get("training_datasets", ()):
        for evaluated in metadata.get("evaluation_datasets", ()):
            (start, end), (other_start, other_end) = window_of(trained), window_of(evaluated)
            if start is None or end is None or other_start is None or other_end is None:
                continue
            if start <= other_end and other_start <= end:
                pairs.append((str(trained["name"]), str(evaluated["name"])))
    return pairs


def _variables(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    prompt = metadata.get("prompt")
    if prompt is None:
        return
    declared = [
        variable if isinstance(variable, str) else variable["name"]
        for variable in prompt.get("variables", ())
    ]
    used = template_variables(prompt["template"])
    for name in sorted({name for name in declared if declared.count(name) > 1}):
        yield _problem("/prompt/variables", f"declares `{name}` twice", "declare it once")
    for name in sorted(used - set(declared)):
        yield _problem(
            "/prompt/template",
            f"uses `{{{{{name}}}}}`, which is not declared",
            f"add to `prompt.variables`: {name}",
        )
    for name in sorted(set(declared) - used):
        yield _problem(
            "/prompt/variables",
            f"declares `{name}`, which the template does not use",
            f"use `{{{{{name}}}}}` in the template, or leave the variable out",
        )


def template_variables(template: str | list[Mapping[str, str]]) -> set[str]:
    """Return the names in double braces in a template, or in any of its messages."""
    texts = (
        [template] if isinstance(template, str) else [message["content"] for message in template]
    )
    return {name for text in texts for name in _VARIABLE.findall(text)}


def _not_applicable(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for name in metadata.get("not_applicable", {}):
        # `extra.NAME` is a field that some namespace asks for.
        if name not in _PROPERTIES and not name.startswith("extra."):
            near = difflib.get_close_matches(name, _PROPERTIES, n=1)
            fix = f"did you mean `{near[0]}`?" if near else "name a field of the metadata"
            yield _problem(f"/not_applicable/{_escaped(name)}", "is not a field", fix)


def _needs(kind: Kind, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for field in KIND_NEEDS[kind]:
        if field not in metadata:
            yield _problem(f"/{field}", f"is required of every {kind.value}", how_to_supply(field))
