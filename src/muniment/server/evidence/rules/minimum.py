"""Which minimum elements an SBOM lacks.

1. Of the document: components, its author (who, or which tool, made it), when, and how components
   depend on each other.
2. Of each component: its name, its version, what identifies it (a package URL or a hash), and who
   supplies it: somebody it names, or the registry in its package URL.
3. Files and data are asked for neither version, identifier nor supplier.

Source: NTIA, The Minimum Elements for an SBOM (2021); requirements §2.6; R-088.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from muniment.server.evidence.records import Component

_NO_SOFTWARE: Final = frozenset({"file", "data", "dataset", "datasetpackage"})


def missing_elements(
    components: Iterable[tuple[Component, bool]], *, author: bool, made: bool, related: bool
) -> list[str]:
    """Return the elements that are missing, in words; empty if none is.

    With each component, whether it names who supplies it. `author`, `made` and `related`: whether
    the document says who made it, when, and how its components depend on each other.
    """
    every = list(components)
    software = [pair for pair in every if pair[0].type not in _NO_SOFTWARE]
    counted = {
        "component name": sum(not one.name for one, _ in every),
        "component version": sum(not one.version for one, _ in software),
        "component identifier": sum(not (one.purl or one.hashes) for one, _ in software),
        "component supplier": sum(not (named or one.purl) for one, named in software),
    }
    whole = {
        "components": bool(every),
        "author": author,
        "timestamp": made,
        "dependency relationships": related,
    }
    return [name for name, there in whole.items() if not there] + [
        f"{name} ({count} of {len(every)})" for name, count in counted.items() if count
    ]
