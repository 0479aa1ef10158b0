"""What the instructions do that make plain data: numbers, texts, bytes, containers; and the memo.

Source: pickletools (the instructions and their arguments), PEP 307, 3154, 574.
"""

from __future__ import annotations

import codecs
import struct
from typing import Any, Final

from muniment.scan.pickles.machine import STOP, Machine, MalformedError
from muniment.scan.pickles.table import TABLE, on, take_line
from muniment.scan.pickles.values import TEXT_KEPT, Dict, Global, Kind, Made, text, tuple_of

_SMALL: Final = 1 << 80  # PyTorch's mark is longer than 8 bytes


# -- numbers and constants --


def _constant(code: bytes, value: Any) -> None:
    TABLE[code[0]] = lambda machine: machine.stack.append(value)


for _code, _value in ((b"N", None), (b"\x88", True), (b"\x89", False), (b")", ())):
    _constant(_code, _value)
_constant(b"]", Kind.LIST)
_constant(b"\x8f", Kind.SET)


def _number(machine: Machine, value: int) -> None:
    machine.stack.append(value if -_SMALL < value < _SMALL else Kind.NUMBER)


@on(b"K")
def _binint1(machine: Machine) -> None:
    machine.stack.append(machine.cursor.take(1)[0])


@on(b"M")
def _binint2(machine: Machine) -> None:
    machine.stack.append(machine.cursor.uint(2))


@on(b"J")
def _binint(machine: Machine) -> None:
    machine.stack.append(int.from_bytes(machine.cursor.take(4), "little", signed=True))


@on(b"G")
def _binfloat(machine: Machine) -> None:
    machine.cursor.take(8)
    machine.stack.append(Kind.NUMBER)


@on(b"\x8a")
def _long1(machine: Machine) -> None:
    content = machine.cursor.take(machine.cursor.take(1)[0])
    _number(machine, int.from_bytes(content, "little", signed=True))


@on(b"\x8b")
def _long4(machine: Machine) -> None:
    machine.cursor.skip(_length4(machine))
    machine.stack.append(Kind.NUMBER)


@on(b"I", b"L")
def _int_line(machine: Machine) -> None:
    content = take_line(machine)
    if content in {b"00", b"01"}:
        machine.stack.append(content == b"01")
        return
    try:
        _number(machine, int((content or b"0").rstrip(b"L"), 0) if content is not None else _SMALL)
    except ValueError:
        raise MalformedError("a number is none") from None


@on(b"F")
def _float_line(machine: Machine) -> None:
    content = take_line(machine)
    try:
        float(content or b"0")
    except ValueError:
        raise MalformedError("a number is none") from None
    machine.stack.append(Kind.NUMBER)


# -- texts and bytes --


def _length4(machine: Machine) -> int:
    length = int.from_bytes(machine.cursor.take(4), "little", signed=True)
    if length < 0:
        raise MalformedError("a length is negative")
    return length


def _unicode(machine: Machine, length: int) -> None:
    if length > TEXT_KEPT * 4:
        machine.cursor.skip(length)
        machine.stack.append(Kind.TEXT)
        return
    try:
        machine.stack.append(text(machine.cursor.take(length).decode("utf-8", "surrogatepass")))
    except UnicodeDecodeError:
        raise MalformedError("a text is not UTF-8") from None


@on(b"\x8c")
def _short_unicode(machine: Machine) -> None:
    _unicode(machine, machine.cursor.take(1)[0])


@on(b"X")
def _binunicode(machine: Machine) -> None:
    _unicode(machine, machine.cursor.uint(4))


@on(b"\x8d")
def _binunicode8(machine: Machine) -> None:
    _unicode(machine, machine.cursor.uint(8))


@on(b"V")
def _unicode_line(machine: Machine) -> None:
    content = take_line(machine)
    try:
        machine.stack.append(
            Kind.TEXT if content is None else text(content.decode("raw-unicode-escape"))
        )
    except UnicodeDecodeError:
        raise MalformedError("a text is none") from None


@on(b"S")
def _string_line(machine: Machine) -> None:
    content = take_line(machine)
    if content is None:
        machine.stack.append(Kind.TEXT)
        return
    quoted = content.strip()
    if len(quoted) < 2 or quoted[:1] not in b"'\"" or quoted[:1] != quoted[-1:]:  # noqa: PLR2004
        raise MalformedError("a text has no quotes")
    try:
        machine.stack.append(text(codecs.escape_decode(quoted[1:-1])[0].decode("latin-1")))
    except ValueError:
        raise MalformedError("a text is none") from None


def _old_string(machine: Machine, length: int) -> None:
    """Python 2's: bytes there, a text here unless the loader asks for bytes."""
    machine.surroundings.content(machine, length)
    if length > TEXT_KEPT:
        machine.cursor.skip(length)
        machine.stack.append(Kind.TEXT)
    else:
        machine.stack.append(machine.cursor.take(length).decode("latin-1"))


@on(b"U")
def _short_binstring(machine: Machine) -> None:
    _old_string(machine, machine.cursor.take(1)[0])


@on(b"T")
def _binstring(machine: Machine) -> None:
    _old_string(machine, _length4(machine))


def _bytes(machine: Machine, length: int) -> None:
    machine.surroundings.content(machine, length)
    machine.cursor.skip(length)
    machine.stack.append(Kind.BYTES)


@on(b"C")
def _short_binbytes(machine: Machine) -> None:
    _bytes(machine, machine.cursor.take(1)[0])


@on(b"B")
def _binbytes(machine: Machine) -> None:
    _bytes(machine, machine.cursor.uint(4))


@on(b"\x8e", b"\x96")
def _binbytes8(machine: Machine) -> None:
    _bytes(machine, machine.cursor.uint(8))


@on(b"\x97")
def _next_buffer(machine: Machine) -> None:
    machine.found("pickle.out-of-band", "a buffer is taken from outside the pickle")
    machine.stack.append(Kind.BYTES)


@on(b"\x98")
def _readonly_buffer(machine: Machine) -> None:
    _ = machine.top


# -- containers --


@on(b"(")
def _mark(machine: Machine) -> None:
    machine.mark()


@on(b"0")
def _pop(machine: Machine) -> None:
    machine.drop()


@on(b"1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@on(b"2")
def _dup(machine: Machine) -> None:
    machine.stack.append(machine.top)


@on(b"t")
def _tuple(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.stack.append(tuple_of(items))


@on(b"\x85")
def _tuple1(machine: Machine) -> None:
    machine.stack.append((machine.pop(),))


@on(b"\x86")
def _tuple2(machine: Machine) -> None:
    second, first = machine.pop(), machine.pop()
    machine.stack.append((first, second))


@on(b"\x87")
def _tuple3(machine: Machine) -> None:
    third, second, first = machine.pop(), machine.pop(), machine.pop()
    machine.stack.append((first, second, third))


@on(b"l")
def _list(machine: Machine) -> None:
    machine.pop_mark()
    machine.stack.append(Kind.LIST)


@on(b"\x91")
def _frozenset(machine: Machine) -> None:
    machine.pop_mark()
    machine.stack.append(Kind.FROZENSET)


@on(b"}")
def _empty_dict(machine: Machine) -> None:
    machine.stack.append(Dict())


@on(b"d")
def _dict(machine: Machine) -> None:
    items = machine.pop_mark()
    made = Dict()
    machine.stack.append(made)
    _put(machine, made, items)


def _put(machine: Machine, into: Any, items: list[Any]) -> None:
    if len(items) % 2:
        raise MalformedError("a key has no value")
    if isinstance(into, Dict):
        for at in range(0, len(items), 2):
            into.put(items[at], items[at + 1])
    else:
        _into(machine, into, Kind.DICT)


def _into(machine: Machine, into: Any, kind: Kind) -> None:
    """Go on if something can be put in `into`, a container of `kind` or an object."""
    if isinstance(into, Global):
        machine.found("pickle.rewrites", f"something is put into `{into}` itself")
    elif into is not kind and not isinstance(into, Made):
        raise MalformedError("something is put into what holds nothing")


@on(b"s")
def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _put(machine, machine.top, [key, value])


@on(b"u")
def _setitems(machine: Machine) -> None:
    items = machine.pop_mark()
    _put(machine, machine.top, items)


@on(b"a")
def _append(machine: Machine) -> None:
    machine.pop()
    _into(machine, machine.top, Kind.LIST)


@on(b"e")
def _appends(machine: Machine) -> None:
    machine.pop_mark()
    _into(machine, machine.top, Kind.LIST)


@on(b"\x90")
def _additems(machine: Machine) -> None:
    machine.pop_mark()
    _into(machine, machine.top, Kind.SET)


# -- the memo --


def _memo_index(machine: Machine) -> int:
    content = take_line(machine)
    try:
        return int(content or b"")
    except ValueError:
        raise MalformedError("the number of a value is none") from None


@on(b"p")
def _put_line(machine: Machine) -> None:
    index = _memo_index(machine)
    if index < 0:
        raise MalformedError("the number of a value is negative")
    machine.remember(index)


@on(b"q")
def _binput(machine: Machine) -> None:
    machine.remember(machine.cursor.take(1)[0])


@on(b"r")
def _long_binput(machine: Machine) -> None:
    machine.remember(machine.cursor.uint(4))


@on(b"\x94")
def _memoize(machine: Machine) -> None:
    machine.remember_next()


@on(b"g")
def _get_line(machine: Machine) -> None:
    machine.recall(_memo_index(machine))


@on(b"h")
def _binget(machine: Machine) -> None:
    machine.recall(machine.cursor.take(1)[0])


@on(b"j")
def _long_binget(machine: Machine) -> None:
    machine.recall(machine.cursor.uint(4))


# -- the frame of it all --


@on(b"\x80")
def _proto(machine: Machine) -> None:
    machine.begin(machine.cursor.take(1)[0])


@on(b"\x95")
def _frame(machine: Machine) -> None:
    (length,) = struct.unpack("<Q", machine.cursor.take(8))
    if length > machine.cursor.left:
        raise MalformedError("a frame goes on after the end")


@on(b".")
def _stop(machine: Machine) -> object:
    _ = machine.top
    return STOP
