r"""The filter language: text to a tree, checked field by field, and back.

    name LIKE 'fraud%' AND (tags.team = 'risk' OR metrics.auc >= 0.9) AND NOT license IN ('MIT')

1. A field is a word (`FIELDS`), or `tags.`, `metrics.`, `params.` and a key; a key with other
   characters is quoted: `tags."team name"`. `tag`, `metric` and `param` say the same.
2. A value is text in single quotes (`''` is one quote), a number, a date or time, true or false.
3. Operators: = != < <= > >= LIKE ILIKE IN NOT IN NOT LIKE NOT ILIKE; NOT, AND, OR and parentheses.
   In patterns `%` is any text, `_` any character, `\` takes the next character as it is. ILIKE
   ignores the case of A-Z.
4. A comparison is true or false, never unknown: with a field that is absent, every comparison is
   false but `!=` and the NOT forms, which are true. `x != y` is `NOT x = y`.
5. A field of many values (dataset, license, framework, …) is compared one by one: any may match.
6. At most 4 096 characters, 100 comparisons, 500 values in an IN, 32 levels.

Source: R-012.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import assert_never

from muniment.core.names import SemVer
from muniment.server.catalog.rules.fields import Field

Value = str | float | bool | dt.datetime | bytes | SemVer


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value, or against several where `op` is IN.

    `op` is one of = < <= > >= LIKE ILIKE IN; the negative ones are a `Not` around these.
    """

    field: Field
    op: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where `part` is false."""

    part: Filter


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is; there are at least two."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True where some part is; there are at least two."""

    parts: tuple[Filter, ...]


Filter = Comparison | Not | All | Some


def filter_text(part: Filter) -> str:
    """Write a filter so that reading it gives an equal one."""
    match part:
        case Comparison(field, "IN", values):
            return f"{field} IN ({', '.join(_written(value) for value in values)})"
        case Comparison(field, op, values):
            return f"{field} {op} {_written(values[0])}"
        case Not(inner):
            return f"NOT ({filter_text(inner)})"
        case All(parts):
            return " AND ".join(f"({filter_text(inner)})" for inner in parts)
        case Some(parts):
            return " OR ".join(f"({filter_text(inner)})" for inner in parts)
        case _:
            assert_never(part)


def _written(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() | int():
            return repr(value)
        case dt.datetime():
            return f"'{value.isoformat()}'"
        case bytes():
            return f"'sha256:{value.hex()}'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"
