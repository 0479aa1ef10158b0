"""What a filter means, in Python: the other opinion that SQL is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from muniment.core.names import SemVer
from muniment.server.catalog.records import Asset, Version
from muniment.server.catalog.rules.fields import Field, Type
from muniment.server.catalog.rules.filters import All, Comparison, Filter, Not, Some, Value
from muniment.server.catalog.rules.terms import TERM_FIELDS, terms


def matches(part: Filter, row: Mapping[str, Any]) -> bool:
    """Say whether the filter holds for a row (`row_of`)."""
    match part:
        case Not(inner):
            return not matches(inner, row)
        case All(parts):
            return all(matches(inner, row) for inner in parts)
        case Some(parts):
            return any(matches(inner, row) for inner in parts)
        case Comparison(field, op, values):
            held = [value for value in _values(field, row) if value is not None]
            return any(_holds(field, value, op, wanted) for value in held for wanted in values)


def _values(field: Field, row: Mapping[str, Any]) -> Iterable[Any]:
    if field.keyed:
        return [row[field.name].get(field.key)]
    value = row[field.name]
    return value if isinstance(value, (list, tuple)) else [value]


def _holds(field: Field, value: Any, op: str, wanted: Value) -> bool:
    if field.type is Type.SCALAR and _type(value) is not _type(wanted):
        return False
    if isinstance(value, SemVer):
        assert isinstance(wanted, SemVer)
        value, wanted = value.precedence, wanted.precedence  # type: ignore[assignment]
    if op in {"LIKE", "ILIKE"}:
        return bool(_pattern(str(wanted), ignore_case=op == "ILIKE").fullmatch(value))
    return bool(
        {
            "=": lambda: value == wanted,
            "IN": lambda: value == wanted,
            "<": lambda: value < wanted,
            "<=": lambda: value <= wanted,
            ">": lambda: value > wanted,
            ">=": lambda: value >= wanted,
        }[op]()
    )


def _type(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, (int, float)) else str


def _pattern(like: str, *, ignore_case: bool) -> re.Pattern[str]:
    """LIKE as a regular expression; only A-Z have a case to ignore."""
    out, escaped = "", False
    for char in like:
        if escaped or char not in "%_\\":
            both = f"[{char.lower()}{char.upper()}]"
            out += both if ignore_case and char.isascii() and char.isalpha() else re.escape(char)
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            out += ".*" if char == "%" else "."
    return re.compile(out, re.DOTALL)


def row_of(version: Version, asset: Asset) -> dict[str, Any]:
    """Return a version's fields as filters name them."""
    found = terms(version.metadata, version.formats)
    return {
        "name": str(version.asset.name),
        "namespace": str(version.asset.namespace),
        "kind": version.kind.value,
        "owner": asset.state.owner,
        "backup_owner": asset.state.backup_owner,
        "risk_tier": asset.state.risk_tier and asset.state.risk_tier.value,
        "description": version.state.description,
        "tags": version.state.tags,
        "lifecycle": version.lifecycle.value,
        "version": version.version,
        "number": version.number,
        "digest": version.manifest_digest.raw,
        "alias": version.aliases,
        "executable": version.executable,
        "size_bytes": version.size_bytes,
        "registered_at": version.registered_at,
        "registered_by": version.registered_by.id,
        "metrics": version.metrics_at_registration,
        "params": version.metadata.get("hyperparameters", {}),
        **{
            name: [term.partition(":")[2] for term in found if term.startswith(f"{name}:")]
            for name in TERM_FIELDS
        },
    }
