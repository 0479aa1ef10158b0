"""JSON that every reader understands alike, and its one canonical form.

Whatever is hashed or signed is written by `canonical` and read by `loads_strict`. Reading what
was written and writing it again gives the same bytes.

Refused, reading and writing: NaN and infinities; integers a double cannot hold; half of a
surrogate pair; nesting deeper than `MAX_DEPTH`. Reading also refuses: two members of one name;
anything but UTF-8; more bytes than the caller allows. Writing also refuses: keys that are not
strings; values JSON does not have.

Source: RFC 8785 (canonical form), RFC 7493 (what to refuse).
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NoReturn

from muniment.core.errors import BadJson, BadProof

MAX_DEPTH = 64
MAX_BYTES = 16 * 1024 * 1024
MAX_INTEGER = 2**53 - 1

_ASTRAL = "\U00010000"
_DECIMAL_FROM, _DECIMAL_BELOW = 1e-4, 1e16
_SIMPLE = frozenset({str, bool, type(None)})
_LARGE_INTEGER = "expected an integer within ±(2**53-1), found a larger one: write it as a string"
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode


def canonical(value: Any) -> bytes:
    """Return the one canonical JSON form of `value`, UTF-8.

    `value` is None, bool, int, float, str, list, tuple or dict with string keys.

    Raises:
        BadJson: `value` has no canonical form, or is nested deeper than `MAX_DEPTH`.
    Source: RFC 8785 §3.2.
    """
    try:
        # The standard library's encoder is many times faster and agrees wherever there is neither
        # a float that is written differently nor a key beyond the BMP (sorted differently).
        if _is_plain(value):
            return _encode(value).encode()
        return _canonical_slowly(value)
    except ValueError:  # only text is left to be wrong, and each encoder says so in its own way
        raise BadJson("expected Unicode text, found half of a surrogate pair") from None


def canonical_no_floats(value: Any) -> bytes:
    """Return the canonical form of `value`, in which a float anywhere is an error.

    Raises:
        BadJson: as `canonical`, or there is a float: write it as a string, or as an integer in a
            smaller unit.
    Source: requirements §1.5, rule 2.
    """
    _refuse_floats(value)
    return canonical(value)


def loads_strict(data: bytes | str, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one JSON value.

    Integers come back as int, other numbers as float; an integer beyond 2**53-1 comes back as a
    float if it is exactly how RFC 8785 writes that float, and is refused otherwise.

    Raises:
        BadJson: not JSON, ambiguous, too deep or larger than `max_bytes`.
    Source: RFC 7493 §2.
    """
    text = _text(data, max_bytes)
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise BadJson(f"expected at most {MAX_DEPTH} levels, found more") from None
    except ValueError as error:
        raise BadJson(f"expected JSON, found a mistake: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text:
        _refuse_unwritable(value)
    return value


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding. Source: RFC 4648 §4."""
    return base64.b64encode(data).decode()


def from_base64(text: object) -> bytes:
    """Read what `to_base64` wrote, and nothing else that would decode to the same bytes.

    Raises:
        BadProof: it is anything else.
    Source: RFC 4648 §3.5, §12 (other spellings of the same bytes).
    """
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if to_base64(data) != text:
        raise BadProof("expected standard base64 with padding, found something else")
    return data


def _is_plain(value: Any) -> bool:
    """Whether both encoders write `value` alike; refuses what JSON cannot hold."""
    plain = True
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _SIMPLE:
                continue
            if kind is dict and _are_ascii(item):  # nearly all there are, in few instructions
                below.extend(item.values())
            else:
                plain = _look_into(item, below) and plain
        if not below:
            return plain
        level = below
    raise BadJson(f"expected at most {MAX_DEPTH} levels, found more")


def _are_ascii(keys: dict[Any, Any]) -> bool:
    try:
        return "".join(keys).isascii()
    except TypeError:
        return False


def _look_into(item: Any, below: list[Any]) -> bool:
    """Put what `item` contains into `below`; False if `item` needs the slow encoder."""
    if isinstance(item, (list, tuple)):
        below.extend(item)
    elif isinstance(item, dict):
        below.extend(item.values())
        return all([_is_plain_key(key) for key in item])  # noqa: C419 -- look at every key
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise BadJson(f"expected a finite number, found {item}")
        return _is_plain_float(item)
    elif isinstance(item, int):
        if not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise BadJson(_LARGE_INTEGER)
    elif not isinstance(item, str):
        raise BadJson(f"expected a JSON value, found {type(item).__name__}")
    return True


def _is_plain_float(value: float) -> bool:
    """Whether Python writes `value` as ECMAScript does: both take the fewest digits that read back.

    They differ where one of them has an exponent, and in whole numbers (`1.0` against `1`).
    """
    return _DECIMAL_FROM <= abs(value) < _DECIMAL_BELOW and not value.is_integer()


def _is_plain_key(key: Any) -> bool:
    if not isinstance(key, str):
        raise BadJson(f"expected text as a key, found {type(key).__name__}")
    return key.isascii() or max(key) < _ASTRAL


def _canonical_slowly(value: Any) -> bytes:
    import rfc8785  # noqa: PLC0415 -- most values need it never

    return rfc8785.dumps(value)


def _refuse_floats(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, float):
                msg = f"expected no floating-point number, found {item}: write it as a string"
                raise BadJson(msg)
            if isinstance(item, (list, tuple, dict)):
                below.extend(item.values() if isinstance(item, dict) else item)
        level = below


def _text(data: bytes | str, max_bytes: int) -> str:
    if not isinstance(data, (bytes, str)):
        raise BadJson(f"expected JSON as bytes, found {type(data).__name__}")
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > max_bytes:
            raise BadJson(f"expected at most {max_bytes} bytes, found {len(raw)}")
        return raw.decode()
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise BadJson(f"expected UTF-8, found another encoding: {error.reason}") from None


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadJson(f"expected each member once, found {twice[:80]!r} again")
    return members


def _read_integer(digits: str) -> int | float:
    if len(digits) <= 15:  # noqa: PLR2004 -- 10**15 < 2**53
        return int(digits)
    number = _read_float(digits)
    if abs(number) <= MAX_INTEGER:
        return int(digits)
    if _canonical_slowly(number).decode() != digits:
        raise BadJson(_LARGE_INTEGER)
    return number


def _read_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadJson(f"expected a number a double can hold, found {digits[:40]}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"expected a finite number, found {name}")


def _refuse_unwritable(value: Any) -> None:
    """Refuse what `canonical` would refuse: depth, and half surrogate pairs from escapes."""
    _is_plain(value)
    try:
        _encode(value).encode()
    except UnicodeEncodeError:
        raise BadJson("expected Unicode text, found half of a surrogate pair") from None


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_read_integer,
    parse_float=_read_float,
    parse_constant=_refuse_constant,
)
