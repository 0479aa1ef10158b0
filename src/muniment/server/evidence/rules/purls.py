"""Package URLs, as what two of them must share to name the same package.

A package's key is `pkg:TYPE/NAMESPACE/NAME`, decoded, without version and qualifiers, written as
the package's own registry compares names. Source: purl-spec (types); PEP 503.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from packageurl import PackageURL

_MAX_CHARS: Final = 2000
#: Types whose registries take names that differ in case alone for the same.
_ANY_CASE: Final = frozenset(
    {"npm", "golang", "nuget", "composer", "githubactions", "github", "hex", "pub", "deb", "apk",
     "rpm", "bitbucket", "conan"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Package:
    """What a package URL names: the package's key, its version, and of which distribution it is.

    `distro` is the qualifier as written (`debian-12`); empty where nothing is said.
    """

    key: str
    version: str | None
    distro: str


def read_purl(text: str) -> Package | None:
    """Return what a package URL names, None if it is none."""
    if not text.startswith("pkg:") or len(text) > _MAX_CHARS:
        return None
    try:
        found = PackageURL.from_string(text)
    except ValueError:
        return None
    qualifiers = found.qualifiers if isinstance(found.qualifiers, dict) else {}
    key = package_key(found.type, found.namespace or "", found.name)
    return Package(key, found.version or None, qualifiers.get("distro") or "")


def package_key(kind: str, namespace: str, name: str) -> str:
    """Return the key of a package of a purl type."""
    if kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif kind in _ANY_CASE:
        namespace, name = namespace.lower(), name.lower()
    return f"pkg:{kind}/{namespace}/{name}" if namespace else f"pkg:{kind}/{name}"
