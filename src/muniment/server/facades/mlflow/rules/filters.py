"""MLflow's filter and order grammar for its registry.

    filter     := [ comparison { AND comparison } ]
    comparison := identifier operator value
    identifier := NAME | attribute.NAME | tags.KEY | tag.KEY   (parts may stand in ` or ")
    operator   := = | != | > | >= | < | <= | LIKE | ILIKE | IN | NOT IN
    value      := 'text' | "text" | number | ( value { , value } )
    order      := identifier [ ASC | DESC ]

Nothing else: no OR, NOT, parentheses around comparisons, IS NULL or comments. What was read is data;
SQL is written elsewhere, and every value is a parameter of it.

Source: MLflow's documented search syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.errors import BadFilter
from muniment.server.facades.mlflow.rules.prompts import IS_PROMPT

FILTER_MAX_CHARS: Final = 20_000
COMPARISONS_MAX: Final = 100
_TEXT: Final = frozenset({"=", "!=", "LIKE", "ILIKE"})
_SET: Final = frozenset({"IN", "NOT IN"})
_NUMBER: Final = frozenset({"=", "!=", ">", ">=", "<", "<="})

#: What registered models are found by, and model versions; by attribute, with its operators.
MODELS: Final[Mapping[str, frozenset[str]]] = {"name": _TEXT | _SET}
VERSIONS: Final[Mapping[str, frozenset[str]]] = {
    "name": _TEXT | _SET,
    "run_id": _TEXT | _SET,
    "source_path": _TEXT,
    "version_number": _NUMBER,
}
MODEL_ORDERS: Final = frozenset({"name", "timestamp", "last_updated_timestamp"})
VERSION_ORDERS: Final = frozenset(
    {"name", "version_number", "creation_timestamp", "last_updated_timestamp"}
)

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`)|(?P<op>!=|>=|<=|=|<|>)"
    r"|(?P<mark>[().,])|(?P<word>[^\s'\"`!=<>(),.]+))"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison; `attribute` is empty for a tag, whose key is `tag`."""

    attribute: str
    tag: str
    op: str
    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for.

    `prompts` says whether prompts are asked for instead of models; None: both, which nothing is.
    """

    comparisons: tuple[Comparison, ...] = ()
    prompts: bool | None = False


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    attribute: str
    descending: bool = False


@dataclass(slots=True)
class _Tokens:
    """Tokens with what kind each is, and how far they are read."""

    tokens: list[tuple[str, str]]
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def word(self, *words: str) -> bool:
        """Take the next token if it is one of these words, in any case."""
        kind, text = self.peek()
        if kind == "word" and text.upper() in words:
            self.at += 1
            return True
        return False


def _tokens(text: str) -> _Tokens:
    found, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        matched = _TOKEN.match(stripped, at)
        if matched is None or matched.end() == at:
            raise BadFilter(f"Invalid filter string: cannot read {stripped[at : at + 40]!r}")
        assert matched.lastgroup is not None
        found.append((matched.lastgroup, matched[matched.lastgroup]))
        at = matched.end()
    return _Tokens(found)


def parse_filter(text: str, attributes: Mapping[str, frozenset[str]]) -> Search:
    """Read a filter over `attributes` (with their operators) and tags.

    Raises:
        BadFilter: it is none.
    """
    if len(text) > FILTER_MAX_CHARS:
        raise BadFilter(f"expected a filter of at most {FILTER_MAX_CHARS} characters")
    tokens = _tokens(text)
    comparisons: list[Comparison] = []
    while tokens.peek()[0] != "end":
        if comparisons and not tokens.word("AND"):
            raise BadFilter(f"Invalid clause(s) in filter string: {tokens.peek()[1][:40]}")
        if len(comparisons) == COMPARISONS_MAX:
            raise BadFilter(f"expected at most {COMPARISONS_MAX} comparisons")
        comparisons.append(_comparison(tokens, attributes))
    asked = {
        (one.values[0] == "true") == (one.op == "=") for one in comparisons if _asks_prompts(one)
    }
    rest = tuple(one for one in comparisons if not _asks_prompts(one))
    return Search(rest, None if len(asked) > 1 else True in asked)


def _asks_prompts(one: Comparison) -> bool:
    return one.tag == IS_PROMPT and one.op in {"=", "!="}


def _comparison(tokens: _Tokens, attributes: Mapping[str, frozenset[str]]) -> Comparison:
    attribute, tag = _identifier(tokens)
    op = _operator(tokens)
    if not tag and attribute not in attributes:
        valid = ", ".join(sorted(attributes))
        raise BadFilter(
            f"Invalid attribute key '{attribute[:80]}'. Valid keys are {valid} and tags"
        )
    if op not in (_TEXT if tag else attributes[attribute]):
        raise BadFilter(f"Invalid comparator '{op}' for '{(tag or attribute)[:80]}'")
    values = _values(tokens) if op in _SET else (_value(tokens),)
    if attribute == "version_number":
        return Comparison(attribute, "", op, (_number(values[0]),))
    if any(kind != "text" for kind, _ in values):
        raise BadFilter(
            f"Expected a quoted string value for '{(tag or attribute)[:80]}', "
            f"found {values[0][1][:40]}"
        )
    return Comparison(attribute, tag, op, tuple(text for _, text in values))


def _identifier(tokens: _Tokens) -> tuple[str, str]:
    """Return (attribute, "") or ("", tag key)."""
    kind, first = tokens.take()
    if kind not in {"word", "text"} or first.startswith("'"):
        raise BadFilter(f"Invalid clause(s) in filter string: {first[:40] or 'it ends early'}")
    first = _bare(first)
    parts = list(_dotted(tokens))
    entity = first.lower()
    if not parts:
        return first, ""
    if entity in {"tag", "tags"}:
        return "", ".".join(parts)
    if entity in {"attribute", "attributes", "attr"} and len(parts) == 1:
        return parts[0], ""
    raise BadFilter(f"Invalid entity type '{first[:40]}'. Valid values are attribute and tag")


def _dotted(tokens: _Tokens) -> Iterator[str]:
    while tokens.peek() == ("mark", "."):
        tokens.take()
        kind, text = tokens.take()
        if kind not in {"word", "text"} or text.startswith("'"):
            raise BadFilter(f"Invalid identifier in filter string near {text[:40]!r}")
        yield _bare(text)


def _operator(tokens: _Tokens) -> str:
    kind, text = tokens.take()
    if kind == "op":
        return text
    word = text.upper()
    if word == "NOT" and tokens.word("IN"):
        return "NOT IN"
    if kind == "word" and word in {"LIKE", "ILIKE", "IN"}:
        return word
    raise BadFilter(
        f"Invalid clause(s) in filter string: expected an operator, found {text[:40]!r}"
    )


def _values(tokens: _Tokens) -> tuple[tuple[str, str], ...]:
    if tokens.take() != ("mark", "("):
        raise BadFilter("Invalid filter string: IN takes a list such as ('a', 'b')")
    values = [_value(tokens)]
    while tokens.peek() == ("mark", ","):
        tokens.take()
        values.append(_value(tokens))
    if tokens.take() != ("mark", ")"):
        raise BadFilter("Invalid filter string: a list ends with )")
    return tuple(values)


def _value(tokens: _Tokens) -> tuple[str, str]:
    kind, text = tokens.take()
    if kind == "text" and not text.startswith("`"):
        return "text", _bare(text)
    if kind == "word":
        return "number", text
    raise BadFilter(f"Invalid filter string: expected a value, found {text[:40] or 'its end'!r}")


def _number(value: tuple[str, str]) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", value[1]):
        raise BadFilter(f"Parameter value is not a number: {value[1][:40]!r}")
    return int(value[1])


def _bare(text: str) -> str:
    if text[:1] in {"'", '"', "`"}:
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    return text


def parse_order(clauses: Sequence[str], attributes: frozenset[str]) -> tuple[Order, ...]:
    """Read order clauses such as `name DESC`.

    Raises:
        BadFilter: one is none, or names an attribute a second time.
    """
    found: list[Order] = []
    for clause in clauses:
        name, _, way = " ".join(clause.split()).rpartition(" ")
        if way.upper() not in {"ASC", "DESC"}:
            name, way = clause.strip(), "ASC"
        name = name.removeprefix("attribute.").strip('`"')
        if name not in attributes:
            valid = ", ".join(sorted(attributes))
            raise BadFilter(f"Invalid order by key '{clause[:80]}'. Valid keys are {valid}")
        if any(one.attribute == name for one in found):
            raise BadFilter(f"`order_by` contains duplicate fields: {name}")
        found.append(Order(name, way.upper() == "DESC"))
    return tuple(found)
