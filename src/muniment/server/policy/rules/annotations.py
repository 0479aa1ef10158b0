"""The `METADATA` annotations of a rule's file: YAML in comments above its package.

Read strictly: what is not known is refused, so that a misspelt member is never taken for absent.

Source: OPA, "Annotations"; R-103, R-106.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.server import evidence
from muniment.server.policy.records import Case, Lacks, Problem, Rule, RuleClass

#: When rules are asked.
STEPS: Final = ("candidate", "approve", "promote", "bind", "daily", "event", "dispose")
_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,15}-[0-9]{3}")
_CASE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_TOP: Final = frozenset({"title", "description", "scope", "related_resources", "custom"})
_CUSTOM: Final = frozenset(
    {"id", "class", "source", "steps", "passed", "not_applicable", "violations"}
)
_VIOLATION: Final = frozenset({"message", "remedy", "lacks", "waivable"})
_DEPTH, _VALUES = 8, 2000


def package_for(rule_id: str) -> str:
    """Return the last part of the package that the rule of this id is in: `SEC-001`, `sec_001`."""
    return rule_id.lower().replace("-", "_")


def read_rule(file: str, text: str) -> tuple[Rule | None, list[Problem]]:
    """Return what a file says of its rule, or everything that is wrong with what it says."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.rstrip() == "# METADATA"]
    if not starts:
        fix = "write `# METADATA` and YAML in comments straight above `package`"
        return None, [Problem(file, "expected annotations, found none", fix)]
    block = []
    for line in lines[starts[0] + 1 :]:
        if not line.startswith("#"):
            break
        block.append(line[1:].removeprefix(" "))
    try:
        value, _ = evidence.load_yaml("\n".join(block), _DEPTH, _VALUES)
    except evidence.NotYaml as error:
        return None, [Problem(file, f"annotations: {error} {error.place}".strip(), error.fix)]
    problems = [Problem(file, *one) for one in _wrong(value)]
    return (None, problems) if problems else (_rule(file, value), [])


def _rule(file: str, value: Mapping[str, Any]) -> Rule:
    custom = value["custom"]
    return Rule(
        id=custom["id"],
        package=package_for(custom["id"]),
        rule_class=RuleClass(custom["class"]),
        title=value["title"],
        description=value.get("description", ""),
        source=custom["source"],
        steps=tuple(custom["steps"]),
        cases={
            name: Case(
                name,
                one["message"],
                one["remedy"],
                Lacks(one.get("lacks", "nothing")),
                one.get("waivable", True) and custom["class"] == RuleClass.WAIVABLE,
            )
            for name, one in custom["violations"].items()
        },
        passed=custom["passed"],
        not_applicable=custom["not_applicable"],
        file=file,
    )


def _wrong(value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "annotations: expected members, found something else", ""
        return
    yield from _unknown(value, _TOP, "")
    yield from _text(value, "title", "")
    if not isinstance(value.get("description", ""), str):
        yield "`description`: expected text", ""
    if value.get("scope", "package") != "package":
        yield "`scope`: expected package: a file holds one rule", "leave it out"
    custom = value.get("custom")
    if not isinstance(custom, dict):
        yield "`custom`: expected id, class, source, steps, passed, not_applicable, violations", ""
        return
    yield from _unknown(custom, _CUSTOM, "custom.")
    for name in ("source", "passed", "not_applicable"):
        yield from _text(custom, name, "custom.")
    if not _ID.fullmatch(str(custom.get("id"))):
        yield f"`custom.id`: expected the form SEC-001, found {custom.get('id')!r:.80}", ""
    if custom.get("class") not in list(RuleClass):
        known = ", ".join(RuleClass)
        yield f"`custom.class`: expected one of {known}, found {custom.get('class')!r:.80}", ""
    steps = custom.get("steps")
    if not (isinstance(steps, list) and steps and all(one in STEPS for one in steps)):
        yield f"`custom.steps`: expected a list of {', '.join(STEPS)}", ""
    yield from _wrong_cases(custom.get("violations"))


def _wrong_cases(cases: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(cases, dict) or not cases:
        yield "`custom.violations`: expected a member for each way to fail, found none", ""
        return
    for name, one in cases.items():
        at = f"custom.violations.{name}."
        if not _CASE.fullmatch(name):
            yield f"`{at[:-1]}`: expected a name of a-z, 0-9 and _", ""
        if not isinstance(one, dict):
            yield f"`{at[:-1]}`: expected message and remedy", ""
            continue
        yield from _unknown(one, _VIOLATION, at)
        for member in ("message", "remedy"):
            yield from _text(one, member, at)
            yield from _fields(one, member, at)
        if one.get("lacks", "nothing") not in list(Lacks):
            yield f"`{at}lacks`: expected one of {', '.join(Lacks)}", ""
        if not isinstance(one.get("waivable", True), bool):
            yield f"`{at}waivable`: expected true or false", ""


def _unknown(found: Mapping[str, Any], known: frozenset[str], at: str) -> Iterator[tuple[str, str]]:
    for name in sorted(set(found) - known):
        yield f"`{at}{name}`: unknown", f"known here: {', '.join(sorted(known))}"


def _text(found: Mapping[str, Any], name: str, at: str) -> Iterator[tuple[str, str]]:
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        yield f"`{at}{name}`: expected text, found {'none' if value is None else 'no text'}", ""
    elif not value.replace("\n", " ").isprintable():
        yield f"`{at}{name}`: expected text that can be shown, found other characters in it", ""


def _fields(found: Mapping[str, Any], name: str, at: str) -> Iterator[tuple[str, str]]:
    for field in _FIELD.findall(str(found.get(name, ""))):
        if not (field.isascii() and field.isdecimal()):
            yield f"`{at}{name}`: expected `{{0}}`, `{{1}}` … for arguments, found {{{field}}}", ""
