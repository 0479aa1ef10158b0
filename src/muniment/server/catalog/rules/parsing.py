"""Reading filters: text to the tree of `rules.filters`, every value typed as its field asks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from muniment.core.digest import Digest
from muniment.core.errors import BadFilter, MunimentError
from muniment.core.names import SemVer
from muniment.server.catalog.rules.fields import Field, Type, field_named
from muniment.server.catalog.rules.filters import All, Comparison, Filter, Not, Some, Value

MAX_CHARS = 4096
MAX_COMPARISONS = 100
MAX_VALUES = 500
MAX_DEPTH = 32
MAX_TEXT_CHARS = 1000

_GRAMMAR: Final = r"""
    ?start: any
    ?any: all (_OR all)*
    ?all: negated (_AND negated)*
    ?negated: _NOT negated -> negate
        | "(" any ")" -> group
        | field OPERATOR value -> compare
        | field _NOT LIKE value -> compare_not
        | field LIKE value -> compare
        | field _IN values -> within
        | field _NOT _IN values -> not_within
    field: WORD | WORD "." (WORD | QUOTED_KEY)
    values: "(" value ("," value)* ")"
    value: TEXT | NUMBER | MOMENT | TRUTH

    _OR.3: /or(?![\w.-])/i
    _AND.3: /and(?![\w.-])/i
    _NOT.3: /not(?![\w.-])/i
    _IN.3: /in(?![\w.-])/i
    LIKE.3: /i?like(?![\w.-])/i
    TRUTH.3: /(true|false)(?![\w.-])/i
    OPERATOR: "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">"
    WORD: /[A-Za-z_][\w-]*(\.[\w-]+)*/
    QUOTED_KEY: /"(?:[^"]|"")*"/ | /`[^`]*`/
    TEXT: /'(?:[^']|'')*'/
    MOMENT.2: /\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?(?![\w.-])/
    NUMBER: /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.-])/
    %import common.WS
    %ignore WS
"""

_EXPECTED: Final[Mapping[str, str]] = {
    "WORD": "a field",
    "QUOTED_KEY": "a key in double quotes",
    "TEXT": "text in single quotes",
    "NUMBER": "a number",
    "MOMENT": "a date",
    "TRUTH": "true or false",
    "OPERATOR": "= != < <= > >=",
    "LIKE": "LIKE or ILIKE",
    "_IN": "IN",
    "_NOT": "NOT",
    "_AND": "AND",
    "_OR": "OR",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "DOT": ".",
    "$END": "the end",
}


def parse_filter(text: str, fields: Mapping[str, Field]) -> Filter | None:
    """Read a filter over `fields`; None for one that is empty.

    Raises:
        BadFilter: it is none; the message says where, what was expected and what was found.
    """
    if len(text) > MAX_CHARS:
        raise BadFilter(f"expected a filter of at most {MAX_CHARS} characters, found {len(text)}")
    if "\0" in text or not _is_unicode(text):
        raise BadFilter("expected Unicode text without NUL in the filter")
    if not text.strip():
        return None
    tree = _parsed(text)
    try:
        return _Reader(fields).transform(tree)[0]
    except VisitError as error:
        raise error.orig_exc from None


def parse_field(text: str, fields: Mapping[str, Field]) -> Field:
    """Read one field as a filter names it: `name`, `tags.team`, `tags."team name"`.

    Raises:
        BadFilter: it is none of `fields`.
    """
    found = _FIELD.fullmatch(text)
    if not found or "\0" in text or not _is_unicode(text):
        raise BadFilter(f"expected a field, found {text[:80]!a}")
    key = _unquoted_key(found["key"]) if found["key"] else None
    return field_named(found["name"], key, fields)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(text: str) -> Any:
    depth = _nesting(text)
    if depth > MAX_DEPTH:
        raise BadFilter(f"expected at most {MAX_DEPTH} levels of parentheses and NOT")
    try:
        return _PARSER.parse(text)
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None


def _nesting(text: str) -> int:
    """An upper bound of how deep `text` nests, so that no reader of its tree runs out of stack."""
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`", " ", text)
    depth = deepest = 0
    for word in re.findall(r"[()]|\bnot\b|\band\b|\bor\b", bare, re.IGNORECASE):
        if word == ")":
            depth = max(0, depth - 1)
        elif word == "(":
            depth += 1
        deepest = max(deepest, depth)
    # NOTs in a row nest without parentheses.
    runs = re.findall(r"(?:\bnot\b[\s(]*)+", bare, re.IGNORECASE)
    return deepest + max((len(re.findall("not", run, re.IGNORECASE)) for run in runs), default=0)


def _unexpected(text: str, error: UnexpectedInput) -> BadFilter:
    position = error.pos_in_stream
    at = len(text) if position is None or position < 0 else position
    if isinstance(error, UnexpectedToken):
        names, found = error.accepts or error.expected, str(error.token)
        at = len(text) if error.token.type == "$END" else at
    else:
        assert isinstance(error, UnexpectedCharacters)
        names, found = error.allowed or set(), text[at : at + 1]
    expected = sorted({_EXPECTED.get(name, name) for name in names})
    shown = repr(found[:40]) if at < len(text) else "the end"
    remedy = ""
    if found.startswith('"'):
        remedy = "; text goes in single quotes"
    elif found.startswith("'") and at < len(text):
        remedy = "; is a quote left open?"
    message = f"at character {at + 1}: expected {', '.join(expected)}, found {shown}{remedy}"
    problem = {"field": "filter", "message": message, "position": at + 1}
    return BadFilter(f"the filter cannot be read {message}", problems=[problem])


class _Reader(Transformer[Token, tuple[Filter, int]]):
    """From lark's tree to ours. Each part comes with how many comparisons it holds."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__()
        self._fields = fields

    def any(self, parts: list[Any]) -> tuple[Filter, int]:
        return self._joined(Some, parts)

    def all(self, parts: list[Any]) -> tuple[Filter, int]:
        return self._joined(All, parts)

    @staticmethod
    def _joined(kind: type[All | Some], parts: list[Any]) -> tuple[Filter, int]:
        count = sum(part[1] for part in parts)
        if count > MAX_COMPARISONS:
            raise BadFilter(f"expected at most {MAX_COMPARISONS} comparisons, found {count}")
        flat: list[Filter] = []
        for part, _ in parts:
            flat += part.parts if isinstance(part, kind) else [part]
        return kind(tuple(flat)), count

    def group(self, parts: list[Any]) -> tuple[Filter, int]:
        inner: tuple[Filter, int] = parts[0]
        return inner

    def negate(self, parts: list[Any]) -> tuple[Filter, int]:
        return Not(parts[0][0]), parts[0][1]

    def compare(self, parts: list[Any]) -> tuple[Filter, int]:
        field, operator, value = parts
        op = {"<>": "!="}.get(str(operator), str(operator).upper())
        if op == "!=":
            return Not(comparison(field, "=", [value])), 1
        return comparison(field, op, [value]), 1

    def compare_not(self, parts: list[Any]) -> tuple[Filter, int]:
        field, operator, value = parts
        return Not(comparison(field, str(operator).upper(), [value])), 1

    def within(self, parts: list[Any]) -> tuple[Filter, int]:
        return comparison(parts[0], "IN", parts[1]), 1

    def not_within(self, parts: list[Any]) -> tuple[Filter, int]:
        return Not(comparison(parts[0], "IN", parts[1])), 1

    def field(self, parts: list[Token]) -> Field:
        name, _, key = str(parts[0]).partition(".")
        if len(parts) > 1:
            key = _unquoted_key(str(parts[1]))
        try:
            return field_named(name, key or None, self._fields)
        except BadFilter as error:
            where = f"at character {(parts[0].start_pos or 0) + 1}: {error.message}"
            problem = {"field": "filter", "message": where, "position": parts[0].start_pos}
            raise BadFilter(where, problems=[problem | (error.extra or {})]) from None

    def values(self, parts: list[Any]) -> list[Any]:
        if len(parts) > MAX_VALUES:
            raise BadFilter(f"expected at most {MAX_VALUES} values in an IN, found {len(parts)}")
        return parts

    def value(self, parts: list[Token]) -> Token:
        return parts[0]


def _unquoted_key(text: str) -> str:
    if text.startswith('"'):
        return text[1:-1].replace('""', '"')
    return text[1:-1] if text.startswith("`") else text


def comparison(field: Field, op: str, tokens: list[Any]) -> Comparison:
    """Return a comparison whose values have the field's type.

    Raises:
        BadFilter: the field does not have the operator, or a value is not of its type.
    """
    if op not in field.operators:
        raise BadFilter(
            f"expected one of {' '.join(field.operators)} after {field}, found {op}; "
            f"{field} is {field.type.value}"
        )
    if op in {"LIKE", "ILIKE"}:
        return Comparison(field, op, (_pattern(field, tokens[0]),))
    return Comparison(field, op, tuple(_typed(field, token) for token in tokens))


def _pattern(field: Field, token: Token) -> str:
    if token.type != "TEXT":
        raise BadFilter(f"expected a pattern in single quotes for {field}, found {token}")
    pattern = _text_of(token)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise BadFilter(
            "expected a character after the last backslash of the pattern; write \\\\ for one"
        )
    return pattern


def _text_of(token: Token) -> str:
    text = str(token)[1:-1].replace("''", "'") if token.type == "TEXT" else str(token)
    if len(text) > MAX_TEXT_CHARS:
        raise BadFilter(f"expected text of at most {MAX_TEXT_CHARS} characters, found {len(text)}")
    return text


def _typed(field: Field, token: Token) -> Value:
    """Read one value as the field's type asks."""
    try:
        value = _READ[field.type](token)
    except (ValueError, OverflowError, MunimentError) as error:
        if isinstance(error, BadFilter):
            raise
        value = None
    if value is None:
        raise BadFilter(f"expected {field.type.value} for {field}, found {str(token)[:80]}")
    if field.choices and value not in field.choices:
        raise BadFilter(f"expected one of {', '.join(field.choices)} for {field}, found {token}")
    return value


def _read_number(token: Token) -> float | None:
    text = _text_of(token)
    if token.type != "NUMBER" and not re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return None
    number = float(text)
    return number if abs(number) != float("inf") else None


def _read_text(token: Token) -> str | None:
    return _text_of(token) if token.type == "TEXT" else None


def _read_truth(token: Token) -> bool | None:
    return str(token).lower() == "true" if token.type == "TRUTH" else None


def _read_moment(token: Token) -> dt.datetime | None:
    if token.type not in {"TEXT", "MOMENT"}:
        return None
    at = dt.datetime.fromisoformat(_text_of(token))
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _read_scalar(token: Token) -> Value | None:
    """A parameter or such: whatever was written, as its own type."""
    reader = {"NUMBER": _read_number, "TRUTH": _read_truth, "TEXT": _read_text}.get(token.type)
    return reader(token) if reader else _text_of(token)


def _read_digest(token: Token) -> bytes | None:
    return Digest.parse(_text_of(token)).raw if token.type == "TEXT" else None


def _read_semver(token: Token) -> SemVer | None:
    return SemVer.parse(_text_of(token)) if token.type == "TEXT" else None


_READ: Final = {
    Type.TEXT: _read_text,
    Type.MANY: _read_text,
    Type.NUMBER: _read_number,
    Type.TRUTH: _read_truth,
    Type.MOMENT: _read_moment,
    Type.SCALAR: _read_scalar,
    Type.DIGEST: _read_digest,
    Type.SEMVER: _read_semver,
}

_FIELD: Final = re.compile(
    r"(?P<name>[A-Za-z_][\w-]*)(?:\.(?P<key>[\w-]+(?:\.[\w-]+)*|\"(?:[^\"]|\"\")*\"|`[^`]*`))?"
)
_PARSER: Final = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)
