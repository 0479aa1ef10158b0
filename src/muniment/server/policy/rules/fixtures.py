"""Fixtures: input documents, each with what one rule is to say of it.

A file has `rule`, a `base` document or none, and `fixtures`: each has a `name`, what is laid over
the base (`with`, a JSON merge patch: null removes), the `outcome`, and the `cases` if it fails.
A file's `data`, a merge patch too, is laid over the bundle's tables for its fixtures.
`fixtures/base.yaml` is the base of all files that have none of their own.

Source: R-103; RFC 7396.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.server import evidence
from muniment.server.policy.records import Fixture, Outcome, Problem

_BASE: Final = "fixtures/base.yaml"
_DEPTH, _VALUES = 32, 50_000
_MEMBERS: Final = frozenset({"name", "with", "outcome", "cases"})


def merged(base: Any, patch: Any) -> Any:
    """Return `base` with a JSON merge patch applied; neither is changed. Source: RFC 7396 §2."""
    if not isinstance(patch, dict):
        return patch
    found = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def read_all(
    texts: Mapping[str, str], rules: set[str], problems: list[Problem]
) -> Iterator[Fixture]:
    """Yield the fixtures of a bundle's files; what is wrong is added to `problems`."""
    values = {}
    for path, text in texts.items():
        if path.startswith("fixtures/"):
            try:
                values[path], _ = evidence.load_yaml(text, _DEPTH, _VALUES)
            except evidence.NotYaml as error:
                problems.append(Problem(path, f"{error} {error.place}".strip(), error.fix))
    base = values.pop(_BASE, {})
    for path, value in values.items():
        yield from _file(path, value, base, rules, problems)


def _file(
    path: str, value: Any, base: Any, rules: set[str], problems: list[Problem]
) -> Iterator[Fixture]:
    listed = value.get("fixtures") if isinstance(value, dict) else None
    if not isinstance(listed, list) or set(value) - {"rule", "base", "data", "fixtures"}:
        problems.append(Problem(path, "expected `rule`, `fixtures`, `base` and `data` or none"))
        return
    data = value.get("data")
    if not isinstance(data, dict | None):
        problems.append(Problem(path, "`data`: expected members"))
        return
    rule = value.get("rule")
    if not isinstance(rule, str) or rule not in rules:
        problems.append(
            Problem(path, f"`rule`: expected a rule of this bundle, found {rule!r:.80}")
        )
        return
    for number, one in enumerate(listed):
        place = f"{path}: fixtures[{number}]"
        wrong = _wrong(one)
        if wrong:
            problems.append(Problem(place, wrong))
            continue
        document = merged(value.get("base", base), one.get("with", {}))
        yield Fixture(
            rule=str(rule),
            name=one["name"],
            document=document,
            outcome=Outcome(one["outcome"]),
            cases=tuple(sorted(one.get("cases", []))),
            place=place,
            data=data,
        )


def _wrong(one: Any) -> str:
    if not isinstance(one, dict) or set(one) - _MEMBERS:
        return f"expected {', '.join(sorted(_MEMBERS))}"
    if not isinstance(one.get("name"), str):
        return "`name`: expected text"
    if one.get("outcome") not in list(Outcome):
        return f"`outcome`: expected one of {', '.join(Outcome)}"
    if not isinstance(one.get("with", {}), dict):
        return "`with`: expected members"
    cases = one.get("cases", [])
    if not (isinstance(cases, list) and all(isinstance(case, str) for case in cases)):
        return "`cases`: expected a list of names"
    return ""
