"""SPDX 2.3 and 3.0 JSON: checked against schema or model, packages read.

2.3 is checked against the specification's JSON schema (shipped: `schemas/NOTICE.md`), 3.0.1 by
deserialising it into the model's generated classes, which refuse what the model does not have.

Source: SPDX 2.3, `spdx-schema.json`; SPDX 3.0.1, JSON-LD serialization.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

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
    problem,
    refusal,
    text_at,
    walk,
)

VERSION_2: Final = "SPDX-2.3"
CONTEXT_3: Final = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_NOTHING: Final = frozenset({"NOASSERTION", "NONE"})
_PACKAGES: Final = frozenset({"software_Package", "ai_AIPackage", "dataset_DatasetPackage"})
_TOOL: Final = "Tool: "


@functools.cache
def validator() -> jsonschema_rs.Validator:
    """Return the validator of SPDX 2.3; it never goes to the network."""
    at = importlib.resources.files("muniment.server.evidence") / "schemas" / "spdx-2.3.schema.json"
    return jsonschema_rs.Draft7Validator(sboms.load_schema(at), validate_formats=True, offline=True)


class Spdx:
    """Reads an SBOM of SPDX."""

    name = "spdx"
    version = "2"
    kind = EvidenceKind.SBOM
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """It names its version (2.x), or the context of the model (3.x)."""
        context = text_at(document.value, "@context") or ""
        return text_at(document.value, "spdxVersion") is not None or context.startswith(
            "https://spdx.org/rdf/3"
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Check it, then read its packages."""
        value = document.value
        if "@context" in value:
            if value["@context"] != CONTEXT_3:
                message = (
                    f"expected SPDX 3.0.1 ({CONTEXT_3}), found {clean(value['@context'], 80)!r}"
                )
                return refusal(
                    f"{document.name} /@context", message, "have the tool write SPDX 3.0.1"
                )
            return _read_3(document)
        if value["spdxVersion"] != VERSION_2:
            message = f"expected {VERSION_2}, found {clean(value['spdxVersion'], 40)!r}"
            return refusal(f"{document.name} /spdxVersion", message, "have the tool write SPDX 2.3")
        problems = sboms.schema_problems(validator(), value, document.name)
        return Unreadable(tuple(problems)) if problems else _read_2(value)


def _parsed(components: tuple[Component, ...], run: Run, details: dict[str, Any]) -> Parsed:
    flags = {Flag.MISSING_TIME} if run.ended is None else set()
    if run.tool_version is None:
        flags.add(Flag.MISSING_TOOL_VERSION)
    counted = {
        "types": dict(Counter(one.type for one in components)),
        "licenses": dict(
            Counter(name for one in components for name in one.licenses).most_common(200)
        ),
        "unlicensed": sum(not one.licenses for one in components),
        "without_purl": sum(one.purl is None for one in components),
    }
    return Parsed(
        kind=EvidenceKind.SBOM,
        format=Spdx.name,
        format_version=Spdx.version,
        run=run,
        components=components,
        flags=frozenset(flags),
        details={name: value for name, value in (details | counted).items() if value is not None},
    )


# --- 2.3 -----------------------------------------------------------------------------------------


def _read_2(value: Any) -> Parsed:
    described = {
        relation.get("relatedSpdxElement")
        for relation in items_at(value, "relationships")
        if walk(relation, "relationshipType") == "DESCRIBES"
    } | set(items_at(value, "documentDescribes"))
    packages = items_at(value, "packages")
    name, version = _tool_2(value)
    run = Run(
        tool_name=name,
        tool_version=version,
        ended=sboms.moment(walk(value, "creationInfo", "created")),
    )
    details: dict[str, Any] = {
        "spec_version": "2.3",
        "serial_number": text_at(value, "documentNamespace"),
        "subject": next(
            (text_at(one, "name") for one in packages if walk(one, "SPDXID") in described), None
        ),
    }
    found = tuple(map(_package_2, packages))
    details["missing_elements"] = missing_elements(
        zip(found, map(_supplied_2, packages), strict=True),
        author=bool(items_at(value, "creationInfo", "creators")),
        made=run.ended is not None,
        related=bool(items_at(value, "relationships")),
    )
    return _parsed(found, run, details)


def _supplied_2(one: Any) -> bool:
    """Whether a package names who supplies it."""
    said = (text_at(one, "supplier"), text_at(one, "originator"))
    return any(each and each not in _NOTHING for each in said)


def _tool_2(value: Any) -> tuple[str | None, str | None]:
    """`Tool: NAME-VERSION`; the version is what follows the last hyphen and begins with a digit."""
    for creator in items_at(value, "creationInfo", "creators"):
        said = clean(creator, 200)
        if said.startswith(_TOOL):
            name, hyphen, version = said.removeprefix(_TOOL).rpartition("-")
            if hyphen and version.lstrip("v")[:1].isdigit():
                return name, version
            return said.removeprefix(_TOOL), None
    return None, None


def _package_2(one: Any) -> Component:
    purls = [
        text_at(each, "referenceLocator")
        for each in items_at(one, "externalRefs")
        if walk(each, "referenceType") == "purl"
    ]
    pairs = {
        str(walk(each, "algorithm")): walk(each, "checksumValue")
        for each in items_at(one, "checksums")
    }
    said = [text_at(one, "licenseConcluded"), text_at(one, "licenseDeclared")]
    return Component(
        name=text_at(one, "name") or "",
        version=text_at(one, "versionInfo"),
        purl=next(iter(purls), None),
        type=(text_at(one, "primaryPackagePurpose") or "").lower(),
        licenses=tuple(dict.fromkeys(each for each in said if each and each not in _NOTHING)),
        hashes=_renamed(pairs),
    )


def _renamed(pairs: dict[str, Any]) -> dict[str, str]:
    """Hashes under CycloneDX's names: SHA256 is sha-256."""
    hashes = sboms.hashes_of(pairs)
    return {
        f"sha-{name[3:]}"
        if name.startswith("sha") and name[3:4].isdigit() and "-" not in name
        else name: value
        for name, value in hashes.items()
    }


# --- 3.0 -----------------------------------------------------------------------------------------


def _read_3(document: Document) -> Parsed | Unreadable:
    if wrong := _model_problem(document.value):
        return Unreadable((problem(document.name, wrong, "have the tool write valid SPDX 3.0.1"),))
    graph = [one for one in items_at(document.value, "@graph") if isinstance(one, dict)] or [
        document.value
    ]
    by_id = {one.get("spdxId", one.get("@id")): one for one in graph}
    info = next((one for one in graph if one.get("type") == "CreationInfo"), None)
    tool = next((one for one in graph if one.get("type") == "Tool"), None)
    run = Run(tool_name=text_at(tool, "name"), ended=sboms.moment(walk(info, "created")))
    licenses = _licenses_3(graph, by_id)
    packages = [one for one in graph if one.get("type") in _PACKAGES]
    document_ = next((one for one in graph if one.get("type") == "SpdxDocument"), None)
    found = tuple(_package_3(one, licenses) for one in packages)
    missing = missing_elements(
        zip(found, (bool(walk(one, "suppliedBy")) for one in packages), strict=True),
        author=tool is not None or bool(items_at(info, "createdBy")),
        made=run.ended is not None,
        related=any(str(one.get("type")).endswith("Relationship") for one in graph),
    )
    details = {
        "spec_version": "3.0.1",
        "serial_number": text_at(document_, "spdxId"),
        "missing_elements": missing,
    }
    return _parsed(found, run, details)


def _model_problem(value: Any) -> str | None:
    """Say what the model's classes refuse; they stop at the first mistake."""
    from spdx_python_model import v3_0_1 as model  # noqa: PLC0415 -- slow to import; few need it

    try:
        model.JSONLDDeserializer().deserialize_data(value, model.SHACLObjectSet())
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        return clean(f"is not SPDX 3.0.1: {error.args[0] if error.args else error}", 300)
    return None


def _licenses_3(graph: list[dict[str, Any]], by_id: dict[Any, Any]) -> dict[str, list[str]]:
    """License expressions by the element they are of."""
    found: dict[str, list[str]] = {}
    for one in graph:
        if one.get("relationshipType") not in ("hasConcludedLicense", "hasDeclaredLicense"):
            continue
        for target in items_at(one, "to"):
            named = by_id.get(target) if isinstance(target, str) else target
            said = text_at(named, "simplelicensing_licenseExpression") or text_at(named, "name")
            if said and isinstance(one.get("from"), str):
                found.setdefault(one["from"], []).append(said)
    return found


def _package_3(one: dict[str, Any], licenses: dict[str, list[str]]) -> Component:
    purl = text_at(one, "software_packageUrl") or next(iter(_purls_3(one)), None)
    pairs = {
        str(walk(each, "algorithm")): walk(each, "hashValue")
        for each in items_at(one, "verifiedUsing")
    }
    return Component(
        name=text_at(one, "name") or "",
        version=text_at(one, "software_packageVersion"),
        purl=purl,
        type=(
            text_at(one, "software_primaryPurpose") or str(one["type"]).partition("_")[2]
        ).lower(),
        licenses=tuple(dict.fromkeys(licenses.get(str(one.get("spdxId")), ()))),
        hashes=_renamed(pairs),
    )


def _purls_3(one: dict[str, Any]) -> Iterator[str]:
    for each in items_at(one, "externalIdentifier"):
        found = text_at(each, "identifier")
        if found and walk(each, "externalIdentifierType") == "packageUrl":
            yield found


PARSER: Final = Spdx()
