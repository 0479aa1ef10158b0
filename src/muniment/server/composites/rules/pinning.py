"""From what is asked for to a manifest: versions that are pinned become records with their digest.

1. `{"pin": "fraud@1.0.0"}` is a version of this registry: its record has the kind of its asset, its
   asset's name, where it is kept and the digest of its manifest. A `name` beside it is kept, so that
   one asset can be there twice.
2. Every other record is taken as it is.
3. What a manifest must be is `muniment.core.composite`'s to say; its identifier too.

Source: requirements §1.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.composite import SCHEMA, cvi, sorted_components
from muniment.core.errors import BadComposite, BadRequest
from muniment.core.names import VersionRef
from muniment.server.composites.records import Pinned

_PIN: Final = {"pin", "name"}
#: Longer ones are not looked for.
_DIGEST_BYTES: Final = 500


def pins(components: Sequence[Mapping[str, Any]]) -> dict[int, VersionRef]:
    """Return the versions that are pinned, by the place of their record.

    Raises:
        BadComposite: one is written wrong; all of them are named.
    """
    found: dict[int, VersionRef] = {}
    problems: list[dict[str, Any]] = []
    for place, record in enumerate(components):
        if "pin" not in record:
            continue
        more = sorted(str(name) for name in record.keys() - _PIN)
        if more:
            message = f"a pinned version has nothing beside it but `name`, found `{more[0][:80]}`"
            problems.append(problem(place, message, "leave it out, or write the whole record"))
            continue
        try:
            found[place] = VersionRef.parse(record["pin"])
        except BadRequest as error:
            problems.append(problem(place, error.message, "write NAME@1.2.0"))
    if problems:
        raise refused(problems)
    return found


def problem(place: int, message: str, fix: str) -> dict[str, Any]:
    """Return what is wrong with the record at `place`."""
    return {"field": f"components[{place}]", "message": message, "fix": fix}


def refused(problems: list[dict[str, Any]]) -> BadComposite:
    """Return the error that says all of `problems`."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more, see `problems`)" if len(problems) > 1 else ""
    return BadComposite(
        f"the composite manifest cannot be accepted: {first['field']}: {first['message']}{more}",
        problems=problems,
    )


def manifest_of(
    system: str, components: Sequence[Mapping[str, Any]], pinned: Mapping[int, Pinned]
) -> tuple[str, dict[str, Any]]:
    """Return the identifier of what was asked for, and its manifest, components by kind and name.

    Raises:
        BadComposite: the manifest breaks a rule; `problems` names every one it breaks.
    """
    records = [
        _record(pinned[place], record.get("name")) if place in pinned else dict(record)
        for place, record in enumerate(components)
    ]
    manifest = {"schema": SCHEMA, "system": system, "components": records}
    identifier = cvi(manifest)
    return identifier, {**manifest, "components": sorted_components(manifest)}


def _record(version: Pinned, name: Any) -> dict[str, Any]:
    asset = version.asset
    return {
        "kind": version.kind,
        "name": str(asset) if name is None else name,
        "ref": f"muniment:{asset.namespace}/{asset.name}@{version.version}",
        "digest": {"sha256": version.sha256},
    }


def digests_of(manifest: Mapping[str, Any]) -> list[str]:
    """Return every digest of every component as `ALGORITHM:VALUE`, sorted, each once."""
    return sorted({text for _, text in _digests(manifest)})


def _digests(manifest: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for record in manifest["components"]:
        for algorithm, value in (record.get("digest") or {}).items():
            text = f"{algorithm}:{value}"
            if len(text.encode()) <= _DIGEST_BYTES:
                yield record, text


def having(manifest: Mapping[str, Any], digests: frozenset[str]) -> list[Mapping[str, Any]]:
    """Return the records that have one of `digests`, by kind and name, each once."""
    found = {
        (record["kind"], record["name"]): record
        for record, text in _digests(manifest)
        if text in digests
    }
    return list(found.values())


def behaviour(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the components with a digest as evidence is bound to them: `KIND:NAME` and the digest."""
    return {
        f"{record['kind']}:{record['name']}": text
        for record, text in reversed(list(_digests(manifest)))
    }
