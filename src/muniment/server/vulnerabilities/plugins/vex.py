"""VEX documents as evidence: OpenVEX, and CycloneDX without components.

A CycloneDX file with components is an SBOM, whatever else it says.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muniment.server.evidence import Document, clean, items_at, text_at
from muniment.server.evidence.records import EvidenceKind, Parsed, Run, Unreadable
from muniment.server.vulnerabilities.records import Statement
from muniment.server.vulnerabilities.rules import vex

_OPENVEX: Final = "https://openvex.dev/ns"


class OpenVex:
    """Reads OpenVEX. Source: OpenVEX 0.2.0."""

    name = "openvex"
    version = "1"
    kind = EvidenceKind.VEX
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A JSON-LD object in OpenVEX's context."""
        return (text_at(document.value, "@context") or "").startswith(_OPENVEX)

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read its statements; one that gives no reason for `not_affected` refuses the file."""
        found = vex.read_openvex(document.value, document.name)
        tooling = clean(document.value.get("tooling"), 100)
        return _parsed(self, found, text_at(document.value, "author"), tooling)


class CycloneDxVex:
    """Reads CycloneDX VEX. Source: CycloneDX 1.6 (vulnerabilities)."""

    name = "cyclonedx-vex"
    version = "1"
    kind = EvidenceKind.VEX
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A CycloneDX document of vulnerabilities alone."""
        value = document.value
        return (
            text_at(value, "bomFormat") == "CycloneDX"
            and bool(items_at(value, "vulnerabilities"))
            and not items_at(value, "components")
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read the analysis of each vulnerability."""
        found = vex.read_cyclonedx(document.value, document.name)
        authors = items_at(document.value, "metadata", "authors")
        author = text_at(authors[0], "name") if authors else None
        return _parsed(self, found, author, "")


def _parsed(
    parser: OpenVex | CycloneDxVex,
    found: list[Statement] | list[dict[str, Any]],
    author: str | None,
    tool: str,
) -> Parsed | Unreadable:
    statements = [one for one in found if isinstance(one, Statement)]
    problems = [one for one in found if isinstance(one, dict)]
    if problems:
        return Unreadable(tuple(problems))
    return Parsed(
        kind=parser.kind,
        format=parser.name,
        format_version=parser.version,
        run=Run(tool_name=tool or None),
        details={"author": author or "", "statements": msgspec.to_builtins(statements)},
    )


def statements_from(details: Any) -> list[Statement]:
    """Read the statements in the details of recorded evidence."""
    return msgspec.convert(details["statements"], list[Statement])


PARSERS: Final = (OpenVex(), CycloneDxVex())
