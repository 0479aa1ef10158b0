"""Would loading these bytes as a pickle run something? Read operation by operation, never loaded.

Protocols 2 to 5 begin with a mark; 0 and 1 with anything. A file may also be two things at once: a
pickle ends where its STOP is, whatever follows, and what it calls is called before it is found to be
damaged. So nothing is called harmless before its operations were followed:

1. as long as there is something on the stack for each of them;
2. to the first that calls what one before it imported: that runs code;
3. to STOP: a pickle if something was imported, or if it is the file's last byte.

Source: R-095; pickletools (the operations); PEP 307, PEP 3154, PEP 574.
"""

from __future__ import annotations

import contextlib
import enum
import io
import pickletools
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

#: So many operations in a row that fit the stack are no accident.
_OPERATIONS: Final = 1000
_IMPORTS: Final = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLS: Final = frozenset({"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD"})
#: What GLOBAL and INST name, as pickletools joins it: a module and something in it.
_NAMES: Final = re.compile(r"[\w.-]+ [^\W\d][\w.]*")
_LINE_ARGUMENTS: Final = frozenset(b"SV")  # text of any length, to the end of the line
_NUMBER_ARGUMENTS: Final = frozenset(b"ILFpg")  # these too, with zeros or spaces before them
_NUMBER: Final = re.compile(rb"[\s0-9a-fA-FxX+.-]*")
_DAMAGED: Final = (ValueError, IndexError, KeyError, OverflowError, struct.error)


class Finding(enum.Enum):
    """What following the operations came to."""

    NO_PICKLE = "no pickle"
    PICKLE = "pickle"
    UNSURE = "it goes on where we do not see it"


class _BeyondWindowError(Exception):
    """An operation's argument ends after what is at hand, and before the file's end."""


class _Window(io.BytesIO):
    """The beginning of a longer file."""

    def __init__(self, head: bytes, size_bytes: int) -> None:
        super().__init__(head)
        self._head, self._size_bytes = head, size_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        end = self.tell() + (size or 0)
        if len(self._head) < end <= self._size_bytes:
            raise _BeyondWindowError
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        before = self._head[self.tell() - 1]
        line = super().readline(size)
        cut = not line.endswith(b"\n") and len(self._head) < self._size_bytes
        number = before in _NUMBER_ARGUMENTS and _NUMBER.fullmatch(line) is not None
        if cut and (number or before in _LINE_ARGUMENTS):
            raise _BeyondWindowError
        return line


def _unwarned() -> AbstractContextManager[object]:
    """Keep quiet about backslashes in texts, which bytes that are no pickle have anywhere."""
    return warnings.catch_warnings(action="ignore", category=DeprecationWarning)


def calls_an_import(head: bytes) -> bool:
    """Say whether `head`, as a pickle from its first byte on, imports something and calls it."""
    imported = False
    with _unwarned(), contextlib.suppress(_BeyondWindowError, *_DAMAGED):
        for name, argument, _ in _fitting(head, len(head)):
            if name in _IMPORTS and (not isinstance(argument, str) or _NAMES.fullmatch(argument)):
                imported = True
            if imported and name in _CALLS:
                return True
            if name == "STOP":
                return False
    return False


def follow(head: bytes, size_bytes: int) -> Finding:
    """Follow the operations in `head`, the beginning of a file of `size_bytes`."""
    try:
        with _unwarned():
            return _follow(head, size_bytes)
    except _BeyondWindowError:
        return Finding.UNSURE
    except _DAMAGED:
        return Finding.NO_PICKLE


def _follow(head: bytes, size_bytes: int) -> Finding:
    imported = False
    for count, (name, argument, position) in enumerate(_fitting(head, size_bytes), 1):
        if name in _IMPORTS and (not isinstance(argument, str) or _NAMES.fullmatch(argument)):
            imported = True
        if (imported and name in _CALLS) or count >= _OPERATIONS:
            return Finding.PICKLE
        if name == "STOP" and (imported or (count > 1 and position == size_bytes - 1)):
            return Finding.PICKLE
    return Finding.NO_PICKLE


def _fitting(head: bytes, size_bytes: int) -> Iterator[tuple[str, Any, int]]:
    """Yield name, argument and position of operations while the stack has what they take.

    A text naming what the unpickler should ask somebody else for (PERSID) ends it: nothing that
    loads files of this kind knows an answer.
    """
    stack: list[Any] = []
    for operation, argument, position in pickletools.genops(_Window(head, size_bytes)):
        before = operation.stack_before
        if pickletools.markobject in before or (
            operation.name == "POP" and stack[-1:] == [pickletools.markobject]
        ):
            while stack.pop() is not pickletools.markobject:
                pass
            before = before[: _mark_at(before)]
        if operation.name == "PERSID" or len(stack) < len(before):
            return
        del stack[len(stack) - len(before) :]
        stack += operation.stack_after
        yield operation.name, argument, position or 0


def _mark_at(taken: list[Any]) -> int:
    return taken.index(pickletools.markobject) if pickletools.markobject in taken else 0
