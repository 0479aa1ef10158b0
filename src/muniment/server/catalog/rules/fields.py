"""What can be filtered and sorted by, and which operators each field has."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from muniment.core.errors import BadFilter
from muniment.server.catalog.records import Kind, Lifecycle, RiskTier
from muniment.server.catalog.rules.terms import TERM_FIELDS

KEY_MAX_CHARS = 250
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


class Type(enum.Enum):
    """What values a field has, in words for messages."""

    TEXT = "text in single quotes"
    MANY = "text in single quotes, compared with each"
    NUMBER = "a number"
    TRUTH = "true or false"
    MOMENT = "a date or time (2026-01-31, '2026-01-31T08:00:00Z')"
    SCALAR = "a number, text in single quotes, true or false"
    DIGEST = "a SHA-256 digest in single quotes"
    SEMVER = "a semantic version in single quotes"


_ORDERED: Final = ("=", "<", "<=", ">", ">=", "IN")
_MATCHED: Final = ("=", "IN", "LIKE", "ILIKE")
_OPERATORS: Final[Mapping[Type, tuple[str, ...]]] = {
    Type.TEXT: (*_ORDERED, "LIKE", "ILIKE"),
    Type.MANY: _MATCHED,
    Type.NUMBER: _ORDERED,
    Type.TRUTH: ("=",),
    Type.MOMENT: _ORDERED,
    Type.SCALAR: (*_ORDERED, "LIKE", "ILIKE"),
    Type.DIGEST: ("=", "IN"),
    Type.SEMVER: _ORDERED,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field as a filter names it. `key` is set for tags, metrics and params.

    `choices`, where not empty, are all the values it can have.
    """

    name: str
    type: Type
    sortable: bool = False
    choices: tuple[str, ...] = ()
    keyed: bool = False
    key: str | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators it has, without the negative forms."""
        if self.choices:
            return ("=", "IN")
        return _OPERATORS[self.type]

    def __str__(self) -> str:
        if self.key is None:
            return self.name
        if _BARE_KEY.fullmatch(self.key):
            return f"{self.name}.{self.key}"
        return f'{self.name}."{self.key.replace(chr(34), chr(34) * 2)}"'


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


_SHARED: Final = (
    Field("name", Type.TEXT, sortable=True),
    Field("namespace", Type.TEXT, sortable=True),
    Field("kind", Type.TEXT, choices=tuple(Kind)),
    Field("owner", Type.TEXT, sortable=True),
    Field("backup_owner", Type.TEXT),
    Field("risk_tier", Type.TEXT, choices=tuple(RiskTier)),
    Field("description", Type.TEXT),
    Field("tags", Type.TEXT, sortable=True, keyed=True),
)

#: What assets are found by.
ASSET_FIELDS: Final[Mapping[str, Field]] = _table(
    *_SHARED,
    Field("escalation_contact", Type.TEXT),
    Field("created_at", Type.MOMENT, sortable=True),
    Field("created_by", Type.TEXT),
    Field("updated_at", Type.MOMENT, sortable=True),
)

#: What versions are found by.
VERSION_FIELDS: Final[Mapping[str, Field]] = _table(
    *_SHARED,
    Field("lifecycle", Type.TEXT, choices=tuple(Lifecycle)),
    Field("version", Type.SEMVER, sortable=True),
    Field("number", Type.NUMBER, sortable=True),
    Field("digest", Type.DIGEST),
    Field("alias", Type.MANY),
    *(Field(name, Type.MANY) for name in TERM_FIELDS),
    Field("executable", Type.TRUTH),
    Field("size_bytes", Type.NUMBER, sortable=True),
    Field("registered_at", Type.MOMENT, sortable=True),
    Field("registered_by", Type.TEXT),
    Field("metrics", Type.NUMBER, sortable=True, keyed=True),
    Field("params", Type.SCALAR, keyed=True),
)

_SYNONYMS: Final[Mapping[str, str]] = {"tag": "tags", "metric": "metrics", "param": "params"}


def field_named(name: str, key: str | None, fields: Mapping[str, Field]) -> Field:
    """Return the field of that name, with its key.

    Raises:
        BadFilter: there is none (with the nearest name), or the key is missing, superfluous or
            longer than 250 characters.
    """
    found = name.lower()
    found = _SYNONYMS.get(found, found)
    if found == "created_at" and found not in fields:
        found = "registered_at"
    field = fields.get(found)
    if field is None:
        near = difflib.get_close_matches(found, fields, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(sorted(fields))}"
        raise BadFilter(f"there is no field `{name[:80]}`; {hint}")
    if field.keyed and not key:
        raise BadFilter(
            f'expected a key after `{field.name}`: {field.name}.key or {field.name}."a key"'
        )
    if key and not field.keyed:
        raise BadFilter(f"`{field.name}` has no keys; leave out `.{key[:80]}`")
    if key and len(key) > KEY_MAX_CHARS:
        raise BadFilter(f"expected a key of at most {KEY_MAX_CHARS} characters, found {len(key)}")
    return replace(field, key=key) if key else field
