"""Files from outside as plain values: strict, bounded, and with the place of every mistake.

All evidence is read by this one reader. In this order:

1. At most `Limits.max_bytes`; then what it is, told from its first bytes: zip, JSON, JSON Lines or
   YAML. Anything else is refused with what to do instead.
2. UTF-8 only. At most `max_values` values and `max_depth` levels; counted before anything is built.
3. Of two members of one name neither is believed: the file is refused. So are numbers that a
   double cannot hold. NaN and infinities become None, and their places are kept: only a format
   whose tool writes them may go on.
4. YAML is read as what JSON can say: no aliases (a small file can stand for a huge value), tags,
   merge keys, second documents, dates or keys that are not text.

Source: RFC 7493 §2; YAML 1.2.2 §10.2 (JSON schema).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from muniment.core.canon import MAX_INTEGER
from muniment.server.evidence.records import Unreadable
from muniment.server.evidence.rules import locating
from muniment.server.evidence.rules.locating import Offence
from muniment.server.evidence.rules.strict_yaml import NotYaml, load_yaml
from muniment.server.evidence.rules.zips import Archive, NotZip, open_zip

_MIB: Final = 1 << 20
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_BOM: Final = b"\xef\xbb\xbf"
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_INTEGER_DIGITS: Final = 19
_ELSEWHERE: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x1f\x8b", "gzip", "decompress it (`gunzip`) and add the file inside"),
    (b"BZh", "bzip2", "decompress it (`bunzip2`) and add the file inside"),
    (b"(\xb5/\xfd", "Zstandard", "decompress it (`unzstd`) and add the file inside"),
    (b"\xfd7zXZ", "xz", "decompress it (`unxz`) and add the file inside"),
    (b"7z\xbc\xaf", "7-Zip", "unpack it and add the file inside"),
    (b"<", "XML or HTML", "have the tool write JSON"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"\x80", "a pickle", "pickles are never loaded here: have the tool write JSON"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read. `max_unpacked_bytes` is of all members of a zip together."""

    max_bytes: int = 64 * _MIB
    max_depth: int = 64
    max_values: int = 2_000_000
    max_unpacked_bytes: int = 64 * _MIB


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. `name` is as the submitter calls it.

    `syntax` is `json`, `jsonl` (then `value` is the list of lines), `yaml`, or `zip` (then `value`
    is None and `archive` has the members). `nonfinite` are the places of NaN and infinities.
    """

    name: str
    syntax: str
    value: Any
    nonfinite: tuple[str, ...] = ()
    archive: Archive | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def lines(self) -> list[Any]:
        """The values of a JSON Lines file; a JSON file is one of one line."""
        return self.value if self.syntax == "jsonl" else [self.value]

    def member(self, name: str) -> Document | Unreadable:
        """Read a member of a zip.

        Returns the problem where there is none of that name, or it cannot be read.
        """
        assert self.archive is not None
        at = f"{self.name}!{name}"
        try:
            data = self.archive.read(name, self.limits.max_bytes)
        except NotZip as error:
            return refusal(at, str(error), error.fix)
        return read(data, at, self.limits)


def problem(field: str, message: str, fix: str = "") -> dict[str, Any]:
    """Return one problem: where, what, and how to mend it."""
    return {"field": field, "message": message} | ({"fix": fix} if fix else {})


def refusal(field: str, message: str, fix: str = "") -> Unreadable:
    """Return a refusal for one problem."""
    return Unreadable((problem(field, message, fix),))


def read(data: bytes, name: str, limits: Limits | None = None) -> Document | Unreadable:
    """Read a file called `name`, or say where and why it cannot be taken."""
    limits = limits or Limits()
    if len(data) > limits.max_bytes:
        return too_large(name, len(data), limits)
    if data.startswith(_ZIP):
        return _read_zip(data, name, limits)
    data = data.removeprefix(_BOM)
    head = data[:4096].lstrip()
    if elsewhere := _elsewhere(head):
        message = f"expected JSON, JSON Lines, YAML or a zip, found {elsewhere[0]}"
        return refusal(name, message, elsewhere[1])
    read_text = _read_json if head[:1] in b'{["' else _read_yaml
    try:
        return read_text(data.decode(), name, limits)
    except UnicodeDecodeError as error:
        place = f"{name} byte {error.start}"
        return refusal(place, "expected UTF-8, found another encoding", "save it as UTF-8")
    except RecursionError:
        return refusal(name, _too_deep(limits), _FLATTEN)


def _elsewhere(head: bytes) -> tuple[str, str] | None:
    """Return what a file is that begins with `head` and is not read, and what to do instead."""
    if not head:
        return "an empty file", "add the file that the tool wrote"
    return next(((what, fix) for mark, what, fix in _ELSEWHERE if head.startswith(mark)), None)


def too_large(name: str, size_bytes: int, limits: Limits) -> Unreadable:
    """Return the refusal of a file of `size_bytes`."""
    message = f"expected at most {limits.max_bytes} bytes, found {size_bytes}"
    return refusal(name, message, "add the tool's summary without its samples")


def _read_zip(data: bytes, name: str, limits: Limits) -> Document | Unreadable:
    try:
        archive = open_zip(data, limits.max_unpacked_bytes)
    except NotZip as error:
        return refusal(name, str(error), error.fix)
    return Document(name, "zip", None, (), archive, limits)


# --- JSON ----------------------------------------------------------------------------------------

_FLATTEN: Final = "no tool nests that deeply: send the file as the tool wrote it"


def _too_deep(limits: Limits) -> str:
    return f"expected at most {limits.max_depth} levels, found more"


class _Refused(ValueError):
    """Raised while decoding; the place is found afterwards."""

    def __init__(self, offence: Offence, message: str) -> None:
        super().__init__(message)
        self.offence, self.message = offence, message


def _read_json(text: str, name: str, limits: Limits) -> Document | Unreadable:
    if too_many := _too_many_values(text, limits):
        return refusal(name, too_many, "add the tool's summary without its samples")
    reader = _JsonReader()
    try:
        value = reader.decode(text)
    except json.JSONDecodeError as error:
        lines = _json_lines(text, error)
        if lines is None:
            place = f"{name} line {error.lineno} column {error.colno}"
            return refusal(place, f"expected JSON, found a mistake: {error.msg}")
        return _read_json_lines(lines, name, limits)
    except _Refused as error:
        return _located(text, name, error, limits)
    return _checked(value, text, name, reader, limits)


def _too_many_values(text: str, limits: Limits) -> str | None:
    """Say that `text` has more values than allowed; counted exactly only where it may be."""
    if _separators(text) <= limits.max_values:
        return None
    count = _separators(_STRINGS.sub("", text))
    if count <= limits.max_values:
        return None
    return f"expected at most {limits.max_values} values, found {count}"


def _separators(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def _checked(
    value: Any, text: str, name: str, reader: _JsonReader, limits: Limits
) -> Document | Unreadable:
    if _separators(text) > limits.max_depth and _is_too_deep(value, limits.max_depth):
        return _located(text, name, _Refused(Offence.DEPTH, _too_deep(limits)), limits)
    nonfinite: tuple[str, ...] = ()
    if reader.constants:
        found = locating.locate(text, Offence.CONSTANT, limits.max_depth)
        nonfinite = (f"{name} {found}",) * reader.constants
    return Document(name, "json", value, nonfinite, None, limits)


def _located(text: str, name: str, error: _Refused, limits: Limits) -> Unreadable:
    place = locating.locate(text, error.offence, limits.max_depth)
    return refusal(f"{name} {place}", error.message, _FIXES[error.offence])


_FIXES: Final = {
    Offence.TWICE: "two readers may believe different ones: send the file as the tool wrote it",
    Offence.NUMBER: "write it as a number that a double can hold",
    Offence.DEPTH: _FLATTEN,
}


def _is_too_deep(value: Any, max_depth: int) -> bool:
    level = [value]
    for _ in range(max_depth):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return any(isinstance(item, dict | list) for item in level)


class _JsonReader:
    """Decodes strictly; counts NaN and infinities, which become None."""

    def __init__(self) -> None:
        self.constants = 0
        self.decode = json.JSONDecoder(
            object_pairs_hook=_unique_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=self._constant,
        ).decode

    def _constant(self, _name: str) -> None:
        self.constants += 1


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Refused(Offence.TWICE, f"expected each member once, found {twice[:80]!r} again")
    return members


def _integer(digits: str) -> int | float:
    """Integers that a double cannot tell apart are read as the double they are nearest to."""
    number = int(digits) if len(digits) <= _INTEGER_DIGITS else _number(digits)
    return number if abs(number) <= MAX_INTEGER else float(number)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        message = f"expected a number that a double can hold, found {digits[:40]}"
        raise _Refused(Offence.NUMBER, message)
    return number


# --- JSON Lines ----------------------------------------------------------------------------------


def _json_lines(text: str, error: json.JSONDecodeError) -> list[str] | None:
    """Return the lines of `text` if it is one value after the other, each on its line."""
    if not error.msg.startswith("Extra data") or "\n" not in text[: error.pos]:
        return None
    return text.splitlines() if text[: error.pos].strip().count("\n") == 0 else None


def _read_json_lines(lines: list[str], name: str, limits: Limits) -> Document | Unreadable:
    values: list[Any] = []
    nonfinite: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _read_line(line, name, number, limits)
        if isinstance(found, Unreadable):
            return found
        values.append(found.value)
        nonfinite += found.nonfinite
    return Document(name, "jsonl", values, tuple(nonfinite), None, limits)


def _read_line(line: str, name: str, number: int, limits: Limits) -> Document | Unreadable:
    reader, at = _JsonReader(), f"{name} line {number}"
    try:
        value = reader.decode(line)
    except json.JSONDecodeError as error:
        message = f"expected one JSON value a line, found a mistake: {error.msg}"
        return refusal(f"{at} column {error.colno}", message)
    except _Refused as error:
        return refusal(at, error.message, _FIXES[error.offence])
    if _is_too_deep(value, limits.max_depth):
        return refusal(at, _too_deep(limits), _FLATTEN)
    return Document(name, "jsonl", value, (at,) * reader.constants, None, limits)


# --- YAML ----------------------------------------------------------------------------------------


def _read_yaml(text: str, name: str, limits: Limits) -> Document | Unreadable:
    try:
        value, nonfinite = load_yaml(text, limits.max_depth, limits.max_values)
    except NotYaml as error:
        return refusal(f"{name} {error.place}".strip(), str(error), error.fix)
    if not isinstance(value, dict | list):
        return refusal(
            name,
            "expected JSON, JSON Lines, YAML or a zip, found text",
            "add the file that the tool writes for programs",
        )
    places = tuple(f"{name} {place}" for place in nonfinite)
    return Document(name, "yaml", value, places, None, limits)


# --- picking values ------------------------------------------------------------------------------


def clean(value: object, most: int = 500) -> str:
    """Return text as it may be shown and stored: no control characters, at most `most` characters."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    shown = "".join(
        char
        if char.isprintable() and not "\ud800" <= char <= "\udfff"
        else "\N{REPLACEMENT CHARACTER}"
        for char in text[: most + 1]
    )
    return shown if len(shown) <= most else shown[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def walk(value: Any, *path: str | int) -> Any:
    """Return what stands at `path` in `value`, None where something is missing on the way."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str | None:
    """Return the text at `path`, cleaned; None where there is none, or an empty one."""
    found = walk(value, *path)
    return clean(found) if isinstance(found, str) and found.strip() else None


def number_at(value: Any, *path: str | int) -> float | None:
    """Return the number at `path`; None where there is none. A truth value is no number."""
    found = walk(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found)


def count_at(value: Any, *path: str | int) -> int | None:
    """Return the whole number of at least 0 at `path`; None where there is none."""
    number = number_at(value, *path)
    if number is None or not 0 <= number <= MAX_INTEGER or not number.is_integer():
        return None
    return int(number)


def items_at(value: Any, *path: str | int) -> list[Any]:
    """Return the list at `path`, an empty one where there is none."""
    found = walk(value, *path)
    return found if isinstance(found, list) else []


def members_at(value: Any, *path: str | int) -> Iterator[tuple[str, Any]]:
    """Yield the members of the object at `path`, none where there is none."""
    found = walk(value, *path)
    if isinstance(found, dict):
        yield from found.items()
