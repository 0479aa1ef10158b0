"""The table of a pickle's instructions, by their byte. Filled by `data` and `calls`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from muniment.scan.pickles.machine import Machine

Instruction = Callable[[Machine], object]

TABLE: Final[list[Instruction | None]] = [None] * 256
#: A longer line is no name and no number that matters.
_LINE: Final = 4096


def on(*codes: bytes) -> Callable[[Instruction], Instruction]:
    """Have a function be what these instructions do."""

    def note(instruction: Instruction) -> Instruction:
        for code in codes:
            TABLE[code[0]] = instruction
        return instruction

    return note


def take_line(machine: Machine) -> bytes | None:
    """Take a line; None if it is too long to matter.

    Raises:
        OutOfBoundsError: it has no end.
    """
    return machine.cursor.line(_LINE)
