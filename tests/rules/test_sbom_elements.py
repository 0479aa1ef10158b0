"""Which minimum elements SBOMs lack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muniment.server.evidence import parse
from muniment.server.evidence.records import Component, Parsed
from muniment.server.evidence.rules.minimum import missing_elements
from tests.support.evidence import sample

WHOLE: dict[str, Any] = {"author": True, "made": True, "related": True}
LIBRARY = Component(name="a", version="1", purl="pkg:pypi/a@1", type="library")


def lacking(*components: tuple[Component, bool], **said: Any) -> list[str]:
    return missing_elements(components, **{**WHOLE, **said})


@pytest.mark.parametrize(
    ("component", "named", "missing"),
    [
        (LIBRARY, False, []),
        (Component(name="m", version="1", hashes={"sha-256": "0" * 64}), True, []),
        (Component(name="m", version="1", hashes={"sha-256": "0" * 64}), False, ["component supplier (1 of 1)"]),
        (Component(name="a", purl="pkg:pypi/a"), False, ["component version (1 of 1)"]),
        (Component(name="", type="file"), False, ["component name (1 of 1)"]),
        (Component(name="d", type="data"), False, []),
        (Component(name="a", version="1"), True, ["component identifier (1 of 1)"]),
    ],
)  # fmt: skip
def test_what_a_component_lacks(component: Component, named: bool, missing: list[str]) -> None:
    assert lacking((component, named)) == missing


def test_what_the_whole_lacks() -> None:
    assert lacking() == ["components"]
    assert lacking((LIBRARY, False), author=False, made=False, related=False) == [
        "author", "timestamp", "dependency relationships",
    ]  # fmt: skip


def elements(data: bytes, name: str = "bom.json") -> list[str]:
    found = parse(data, name)
    assert isinstance(found, Parsed)
    missing: list[str] = found.details["missing_elements"]
    return missing


def test_what_tools_write_has_them_or_says_what_is_missing() -> None:
    bom = json.loads(sample("cyclonedx-1.7.json"))
    assert elements(json.dumps(bom).encode()) == []
    bom["metadata"] = {}
    bom["dependencies"] = []
    assert elements(json.dumps(bom).encode()) == ["author", "timestamp", "dependency relationships"]
    assert elements(sample("spdx-3.0.1-package.json")) is not None


def test_spdx_2_names_suppliers_or_does_not() -> None:
    package = {
        "SPDXID": "SPDXRef-a", "name": "a", "versionInfo": "1", "downloadLocation": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": "0" * 64}],
    }  # fmt: skip
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "n",
        "documentNamespace": "https://example.com/n",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: syft-1.0"]},
        "packages": [package],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-a"}],
    }  # fmt: skip
    assert elements(json.dumps(document).encode()) == ["component supplier (1 of 1)"]
    package["supplier"] = "Organization: Acme"
    assert elements(json.dumps(document).encode()) == []
