"""CycloneDX JSON 1.4 to 1.7: checked against its schema, components read from all levels.

Source: CycloneDX specification, `bom-1.x.schema.json` (in cyclonedx-python-lib).
"""

from __future__ import annotations

import functools
import importlib.resources
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from muniment.core.digest import Digest
from muniment.core.errors import BadDigest
from muniment.server.evidence.plugins import sboms
from muniment.server.evidence.records import (
    Component,
    EvidenceKind,
    Flag,
    Parsed,
    Run,
    Unreadable,
)
from muniment.server.evidence.rules.minimum import missing_elements
from muniment.server.evidence.rules.reading import (
    Document,
    clean,
    items_at,
    refusal,
    text_at,
    walk,
)

VERSIONS: Final = ("1.4", "1.5", "1.6", "1.7")
_BASE: Final = "http://cyclonedx.org/schema/"
_AUTHORS: Final = ("authors", "manufacturer", "manufacture", "supplier")
_SHARED: Final = (
    "spdx.SNAPSHOT.schema.json",
    "jsf-0.82.SNAPSHOT.schema.json",
    "cryptography-defs.SNAPSHOT.schema.json",
)


@functools.cache
def validator(version: str) -> jsonschema_rs.Validator:
    """Return the validator of one version of the specification; it never goes to the network."""
    at = importlib.resources.files("cyclonedx.schema._res")
    shared = [(_BASE + name, sboms.load_schema(at / name)) for name in _SHARED]
    return jsonschema_rs.Draft7Validator(
        sboms.load_schema(at / f"bom-{version}.SNAPSHOT.schema.json"),
        registry=jsonschema_rs.Registry(shared),
        validate_formats=True,
        offline=True,
    )


class CycloneDx:
    """Reads an SBOM, or an ML-BOM, of CycloneDX."""

    name = "cyclonedx"
    version = "2"
    kind = EvidenceKind.SBOM
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A JSON object that says so itself."""
        return text_at(document.value, "bomFormat") == "CycloneDX"

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Check against the schema of its version, then read the components of all levels."""
        bom = document.value
        version = walk(bom, "specVersion")
        if version not in VERSIONS:
            message = (
                f"expected CycloneDX {VERSIONS[0]} to {VERSIONS[-1]}, found {clean(version, 40)!r}"
            )
            return refusal(
                f"{document.name} /specVersion", message, "have the tool write a newer one"
            )
        problems = sboms.schema_problems(validator(version), bom, document.name)
        if problems:
            return Unreadable(tuple(problems))
        components = tuple(_components(bom))
        if len(components) > sboms.MAX_COMPONENTS:
            message = f"expected at most {sboms.MAX_COMPONENTS} components, found {len(components)}"
            return refusal(document.name, message)
        return _parsed(bom, version, components)


def _parsed(bom: Any, version: str, components: tuple[Component, ...]) -> Parsed:
    tool = _tool(bom)
    made = sboms.moment(walk(bom, "metadata", "timestamp"))
    flags = {Flag.MISSING_TIME} if made is None else set()
    if tool[1] is None:
        flags.add(Flag.MISSING_TOOL_VERSION)
    details = {
        "spec_version": version,
        "serial_number": text_at(bom, "serialNumber"),
        "subject": text_at(bom, "metadata", "component", "name"),
        "types": dict(Counter(one.type for one in components)),
        "licenses": dict(
            Counter(name for one in components for name in one.licenses).most_common(200)
        ),
        "unlicensed": sum(not one.licenses for one in components),
        "without_purl": sum(one.purl is None for one in components),
        "vulnerabilities": len(items_at(bom, "vulnerabilities")),
        "missing_elements": missing_elements(
            zip(components, map(_supplied, _each(bom)), strict=True),
            author=tool[0] is not None or any(walk(bom, "metadata", name) for name in _AUTHORS),
            made=made is not None,
            related=bool(items_at(bom, "dependencies") or items_at(bom, "compositions")),
        ),
    }
    return Parsed(
        kind=EvidenceKind.SBOM,
        format=CycloneDx.name,
        format_version=CycloneDx.version,
        run=Run(tool_name=tool[0], tool_version=tool[1], ended=made),
        components=components,
        flags=frozenset(flags),
        subjects=tuple(_subjects(bom)),
        details={name: value for name, value in details.items() if value is not None},
    )


def _tool(bom: Any) -> tuple[str | None, str | None]:
    """Name and version of the first tool; a list until 1.4, an object with components since 1.5."""
    tools = walk(bom, "metadata", "tools")
    first = walk(tools, 0) or walk(tools, "components", 0) or walk(tools, "services", 0)
    return text_at(first, "name"), text_at(first, "version")


def _components(bom: Any) -> Iterator[Component]:
    return map(_component, _each(bom))


def _each(bom: Any) -> Iterator[Any]:
    """Every component in the order of the file, those inside others after them."""
    waiting = list(reversed(items_at(bom, "components")))
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(items_at(one, "components"))


def _supplied(one: Any) -> bool:
    """Whether a component names who supplies it."""
    return any(walk(one, name) for name in ("supplier", "manufacturer", "publisher", "author"))


def _component(one: Any) -> Component:
    pairs = {str(each.get("alg")): each.get("content") for each in items_at(one, "hashes")}
    return Component(
        name=text_at(one, "name") or "",
        version=text_at(one, "version"),
        purl=text_at(one, "purl"),
        type=text_at(one, "type") or "",
        licenses=tuple(dict.fromkeys(_licenses(one))),
        hashes=sboms.hashes_of(pairs),
    )


def _licenses(one: Any) -> Iterator[str]:
    for choice in items_at(one, "licenses"):
        said = (
            text_at(choice, "expression")
            or text_at(choice, "license", "id")
            or text_at(choice, "license", "name")
        )
        if said:
            yield said


def _subjects(bom: Any) -> Iterator[Digest]:
    """The SHA-256 of what the SBOM says it is of."""
    for each in items_at(bom, "metadata", "component", "hashes"):
        if walk(each, "alg") == "SHA-256":
            try:
                yield Digest.parse(str(walk(each, "content")).lower())
            except BadDigest:
                continue


PARSER: Final = CycloneDx()
