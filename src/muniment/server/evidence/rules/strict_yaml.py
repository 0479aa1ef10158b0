"""YAML as what JSON can say, read event by event so that nothing is built before it is counted.

Refused: aliases, anchors and tags; merge keys; a second document; members of one name; keys that
are not text. Numbers, truth values and null are those of JSON (and NaN, infinities: None, with
their place); everything else is text, dates included.

Source: YAML 1.2.2 §10.2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from muniment.core.canon import MAX_INTEGER

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]{1,4})?")
_CONSTANT: Final = re.compile(r"[-+]?\.(inf|Inf|INF|nan|NaN|NAN)")
_WORDS: Final[dict[str, bool | None]] = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip


class NotYaml(ValueError):
    """Why a text cannot be taken, where (`line 3 column 5`), and what to do."""

    def __init__(self, message: str, mark: Any = None, fix: str = "") -> None:
        super().__init__(message)
        self.place = "" if mark is None else f"line {mark.line + 1} column {mark.column + 1}"
        self.fix = fix


def load_yaml(text: str, max_depth: int, max_values: int) -> tuple[Any, list[str]]:
    """Return the value of a YAML text, and the places of NaN and infinities in it.

    Raises:
        NotYaml: it cannot be taken.
    """
    try:
        return _Builder(yaml.parse(text, Loader=_LOADER), max_depth, max_values).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "a character YAML does not have"
        raise NotYaml(f"expected YAML, found a mistake: {what}", mark) from None


class _Builder:
    """Builds one document from events."""

    def __init__(self, events: Iterator[Any], max_depth: int, max_values: int) -> None:
        self._events = events
        self._max_depth, self._max_values = max_depth, max_values
        self._values = 0
        self._nonfinite: list[str] = []

    def document(self) -> tuple[Any, list[str]]:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise NotYaml("expected one document, found a second one", event.start_mark)
                value = self._value(next(self._events), 0)
        return value, self._nonfinite

    def _value(self, event: Any, depth: int) -> Any:
        self._count(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(depth + 1)
        return self._mapping(depth + 1)

    def _count(self, event: Any, depth: int) -> None:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            fix = "write the value out where it is used"
            raise NotYaml(
                "expected no aliases, found one: a small file could become huge", mark, fix
            )
        if event.anchor is not None:
            raise NotYaml("expected no anchors, found one", mark, "leave `&name` out")
        if event.tag is not None:
            raise NotYaml("expected no tags, found one", mark, "leave `!tag` out")
        self._values += 1
        if self._values > self._max_values:
            raise NotYaml(f"expected at most {self._max_values} values, found more", mark)
        if depth >= self._max_depth and not isinstance(event, yaml.ScalarEvent):
            raise NotYaml(f"expected at most {self._max_depth} levels, found more", mark)

    def _list(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._name(event)
            if name in members:
                message = f"expected each member once, found {name[:80]!r} again"
                raise NotYaml(message, event.start_mark, "keep one")
            members[name] = self._value(next(self._events), depth)
        return members

    def _name(self, event: Any) -> str:
        self._count(event, 0)
        mark = event.start_mark
        if not isinstance(event, yaml.ScalarEvent):
            raise NotYaml("expected text as a key, found a list or mapping", mark)
        if event.value == "<<" and event.implicit[0]:
            raise NotYaml("expected no merge keys, found one", mark, "write the members out")
        return str(event.value)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _CONSTANT.fullmatch(text):
            mark = event.start_mark
            self._nonfinite.append(f"line {mark.line + 1} column {mark.column + 1}")
            return None
        if not _NUMBER.fullmatch(text):
            return text
        number = float(text)
        if text.lstrip("-+").isdigit() and abs(number) <= MAX_INTEGER:
            return int(text)
        if math.isinf(number):
            raise NotYaml("expected a number that a double can hold", event.start_mark)
        return number
