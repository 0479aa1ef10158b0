"""A bundle from its files: everything is looked at, and all that is wrong is said at once.

    rules/NAME.rego     one rule, package muniment.rules.<id>: `applies`, `violations`
    lib/NAME.rego       what rules share, package muniment.lib.<name>
    data.json           tables the rules read
    fixtures/NAME.yaml  input documents with what each rule is to say of them
    README.md, LICENSE  for people

The digest is of the list of all files with their digests, in canonical JSON: where the files lie
and how they were packed does not matter.

Source: R-103; requirements §1.11.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.canon import canonical, loads_strict
from muniment.core.digest import digest_of
from muniment.core.errors import BadJson, BadPolicy
from muniment.server.policy.records import Bundle, Problem, Rule
from muniment.server.policy.rules import fixtures, tables, words
from muniment.server.policy.rules.annotations import read_rule
from muniment.server.ports.policy_engine import Program

#: Where rules are, in an engine; and where those of a step are asked for, all at once.
RULES_PATH: Final = "muniment/rules"
ASKED_PATH: Final = "muniment/asked"
#: Written beside the files when a bundle is packed for an agent; not files of the bundle.
MANIFEST: Final = ".manifest"
ASKED: Final = "asked.rego"
_REGO: Final = re.compile(r"(rules|lib)/([A-Za-z0-9_-]{1,100})\.rego")
_FIXTURE: Final = re.compile(r"fixtures/[A-Za-z0-9_-]{1,100}\.yaml")
_OTHER: Final = frozenset({"data.json", "README.md", "LICENSE"})


def manifest_digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of a bundle: 64 hexadecimal digits over the list of its files."""
    rows = [
        {"path": path, "sha256": digest_of(data).hex, "size_bytes": len(data)}
        for path, data in sorted(files.items())
    ]
    return digest_of(canonical({"schema": "muniment.policy-bundle.v1", "files": rows})).hex


def read_bundle(files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle that `files` are.

    Raises:
        BadPolicy: with everything that is wrong with them.
    """
    bundle, problems = look(files)
    if bundle is None:
        raise bad(problems)
    return bundle


def read_held(files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle that `files` of one are that was taken earlier: its tables are as they are.

    Raises:
        BadPolicy: with everything else that is wrong with them.
    """
    bundle, problems = _read(files)
    if bundle is None:
        raise bad(problems)
    return bundle


def bad(problems: list[Problem]) -> BadPolicy:
    """Return the error that says all that is wrong with a bundle."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    shown = [{"field": one.place, "message": one.message, "fix": one.fix} for one in problems]
    return BadPolicy(f"the bundle has {count}", problems=shown)


def look(files: Mapping[str, bytes]) -> tuple[Bundle | None, list[Problem]]:
    """Return the bundle, or all that is wrong, with the tables that the registry reads too."""
    bundle, problems = _read(files)
    problems += tables.problems_of(_data(files, []))
    return (None if problems else bundle), problems


def _read(files: Mapping[str, bytes]) -> tuple[Bundle | None, list[Problem]]:
    files = {path: data for path, data in files.items() if path not in {MANIFEST, ASKED}}
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    for path, data in sorted(files.items()):
        if not (_REGO.fullmatch(path) or _FIXTURE.fullmatch(path) or path in _OTHER):
            fix = "known: rules/*.rego, lib/*.rego, fixtures/*.yaml, data.json, README.md, LICENSE"
            problems.append(Problem(path, "is no part of a bundle", fix))
            continue
        try:
            texts[path] = data.decode()
        except UnicodeDecodeError:
            problems.append(Problem(path, "expected UTF-8"))
    rules = list(_rules(texts, problems))
    held = _data(texts, problems)
    found = tuple(fixtures.read_all(texts, {rule.id for rule in rules}, problems))
    if problems:
        return None, problems
    modules = tuple((path, text) for path, text in texts.items() if _REGO.fullmatch(path))
    digest = manifest_digest(files)
    ordered = tuple(sorted(rules, key=lambda rule: rule.id))
    modules = (*modules, (ASKED, asked(ordered)))
    return Bundle(
        digest, files, ordered, held, found, Program(digest, modules, canonical(held))
    ), []


def with_tables(bundle: Bundle, patch: Mapping[str, Any]) -> Bundle:
    """Return a bundle with a JSON merge patch over its tables: to be asked, not to be kept."""
    data = fixtures.merged(bundle.data, patch)
    held = canonical(data)
    digest = digest_of(bundle.digest.encode() + held).hex
    return dataclasses.replace(
        bundle, digest=digest, data=data, program=Program(digest, bundle.program.modules, held)
    )


def asked(rules: Sequence[Rule]) -> str:
    """Return the module through which rules are asked: for each step what its rules answer, no more.

    A rule that is not of a step is not evaluated there, nor what it only reads itself.
    """
    lines = ["package muniment.asked"]
    for rule in rules:
        for step in dict.fromkeys(rule.steps):
            for name in ("applies", "violations"):
                said = f"data.muniment.rules.{rule.package}.{name}"
                lines.append(f"{step}.{rule.package}.{name} := {said}")
    return "\n\n".join(lines) + "\n"


def _rules(texts: Mapping[str, str], problems: list[Problem]) -> Iterator[Rule]:
    taken: dict[str, str] = {}
    for path, text in texts.items():
        match = _REGO.fullmatch(path)
        if match is None:
            continue
        problems += [
            Problem(
                f"{path}:{line}",
                f"`{name}` is not for rules: the same input must give the same answer, and quickly",
                "have the fact put into the input document",
            )
            for name, line in words.forbidden(text)
        ]
        if match[1] == "lib":
            _check_package(path, text, f"muniment.lib.{match[2]}", problems)
            continue
        rule, wrong = read_rule(path, text)
        problems += wrong
        if rule is None:
            continue
        _check_package(path, text, f"muniment.rules.{rule.package}", problems)
        if rule.id in taken:
            problems.append(
                Problem(path, f"{rule.id} is in {taken[rule.id]} too", "give it another id")
            )
        taken[rule.id] = path
        yield rule
    if not any(path.startswith("rules/") for path in texts):
        problems.append(Problem("rules/", "expected at least one rule, found none"))


def _check_package(path: str, text: str, expected: str, problems: list[Problem]) -> None:
    found = words.package_of(text)
    if found != expected:
        said = "none" if found is None else f"`{found}`"
        problems.append(Problem(path, f"expected the line `package {expected}`, found {said}"))


def _data(texts: Mapping[str, str | bytes], problems: list[Problem]) -> dict[str, Any]:
    try:
        value = loads_strict(texts.get("data.json", "{}"))
    except BadJson as error:
        problems.append(Problem("data.json", error.message))
        return {}
    if not isinstance(value, dict):
        problems.append(Problem("data.json", "expected a JSON object"))
        return {}
    if "muniment" in value:
        problems.append(Problem("data.json", "`muniment` is where the rules are", "rename it"))
    return value
