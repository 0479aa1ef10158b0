"""Rego read into words, as far as it takes to say which names it uses and what its package is.

No parser of Rego: comments and strings are told apart, and `http["send"]` is `http.send`, as it is
for an engine. Rules may use the built-ins that give the same answer every time, and no others: what
reads a clock, the network, the machine or chance, or takes long by design, is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

_TEMPLATE: Final = '$"…"'
#: Built-ins that a rule may not name, and every name below those that end in a full stop.
FORBIDDEN: Final = (
    "http.", "rand.", "uuid.", "net.", "opa.", "trace", "print", "time.now_ns", "rego.parse_module",
    "io.jwt.decode_verify", "crypto.x509.", "providers.", "walk", "graph.", "numbers.range",
    "numbers.range_step", "ucast.", _TEMPLATE,
)  # fmt: skip
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)"""
    r"""|(?P<template>\$["`])|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<other>.)""",
    re.DOTALL,
)
_PACKAGE: Final = re.compile(r"package ([a-z0-9_]+(?:\.[a-z0-9_]+)*)")
Word = tuple[str, int]


def names(text: str) -> list[Word]:
    """Return every dotted name in a module with its line, once for each place.

    A name starts with a word that does not follow a full stop: `input.a.b` is one name.
    """
    return list(_names(_tokens(text)))


def forbidden(text: str) -> list[Word]:
    """Return the names in a module that no rule may use, and where."""
    return [
        (name, line)
        for name, line in names(text)
        if any(
            name == one or name.startswith(one if one.endswith(".") else f"{one}.")
            for one in FORBIDDEN
        )
    ]


def package_of(text: str) -> str | None:
    """Return the package of a module, `muniment.rules.sec_001`; None if it does not plainly say."""
    for line in text.splitlines():
        stripped = line.split("#", 1)[0].strip()
        if stripped:
            found = _PACKAGE.fullmatch(stripped)
            return found[1] if found else None
    return None


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, line = [], 1
    for match in _TOKEN.finditer(text):
        kind, piece = str(match.lastgroup), match[0]
        if kind not in {"space", "comment"}:
            found.append((kind, piece, line))
        line += piece.count("\n")
    return found


def _names(tokens: list[tuple[str, str, int]]) -> Iterator[Word]:
    at = 0
    while at < len(tokens):
        kind, piece, line = tokens[at]
        at += 1
        if kind == "template":
            # Code hides in interpolated strings; what is in one is not looked for.
            yield _TEMPLATE, line
        if kind != "word":
            continue
        parts = [piece]
        while (step := _step(tokens, at)) is not None:
            part, at = step
            parts.append(part)
        yield ".".join(parts), line


def _step(tokens: list[tuple[str, str, int]], at: int) -> tuple[str, int] | None:
    """Return the next part of a name and where it ends: `.word`, or `["word"]`."""
    after = tokens[at : at + 3]
    if len(after) > 1 and after[0][1] == "." and after[1][0] == "word":
        return after[1][1], at + 2
    if len(after) > 2 and after[0][1] == "[" and after[2][1] == "]":  # noqa: PLR2004 -- [ " ]
        kind, piece, _ = after[1]
        if kind == "raw":
            return piece[1:-1], at + 3
        if kind == "string":
            try:
                return str(json.loads(piece)), at + 3
            except ValueError:
                return piece[1:-1], at + 3
    return None
