"""Parsers of tools' own files: each recognises its format from the content and reads it. Pure.

To add one here: write a module with a `PARSER`, name it in `formats`, and add real files of the
tool to `tests/samples`. A slice above adds its own with `add_parser`. A parser raises nothing for
bad input: what it cannot read it says in `Unreadable`.
"""

from __future__ import annotations

from muniment.server.evidence.plugins.formats import (
    PARSERS,
    UNKNOWN,
    Parser,
    add_parser,
    find_parser,
    parse,
    unparsed,
    version_of,
)

__all__ = [
    "PARSERS",
    "UNKNOWN",
    "Parser",
    "add_parser",
    "find_parser",
    "parse",
    "unparsed",
    "version_of",
]
