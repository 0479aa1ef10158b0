"""One pickle, followed as an unpickler would, with values known only by their kind.

What is imported must be allow-listed, and used as the list says. Whatever is not understood is a
finding: an unknown instruction, an empty stack, a name made while loading, the end before STOP.

Source: pickletools and PEP 307, 3154, 574 (the instructions); R-095.
"""

from __future__ import annotations

import functools
from typing import Any, Final, Protocol

from muniment.scan.context import Context, StopScan
from muniment.scan.pickles import allowlist
from muniment.scan.pickles.values import Dict, Global, Kind, Made, Use
from muniment.scan.reader import Cursor

MARK_DEPTH: Final = 10_000
MEMO_SIZE: Final = 4_000_000
#: So many texts, and so many other values, are kept in the memo; of later ones only the kind.
MEMO_KEPT: Final = 100_000
_HIGHEST_PROTOCOL: Final = 5
_KEPT: Final = frozenset({str, tuple, Made, Dict})


class Surroundings(Protocol):
    """What a pickle's instructions reach outside of the pickle itself."""

    def use_of(self, module: str, name: str) -> Use | None:
        """Return how a name may be used; None: not at all."""
        ...

    def persistent(self, machine: Machine, what: Any) -> Any:
        """Return what a persistent id stands for; note it if it is none that may be."""
        ...

    def built(self, machine: Machine, made: Made, state: Any) -> None:
        """Take what a loader reads from the file once `made` was given its state."""
        ...

    def content(self, machine: Machine, length: int) -> None:
        """Look at `length` bytes that come next, a text of bytes in the pickle."""
        ...


class MalformedError(Exception):
    """No unpickler gets past this."""


class Machine:
    """The state of following one pickle."""

    def __init__(self, cursor: Cursor, context: Context, surroundings: Surroundings) -> None:
        self.cursor, self.context, self.surroundings = cursor, context, surroundings
        self.stack: list[Any] = []
        self.started_at = cursor.position
        self.imports = 0
        self._outer: list[list[Any]] = []
        self._memo: list[Any] = []
        self._kept = {True: 0, False: 0}
        self._told: set[tuple[str, str]] = set()
        self.protocol = 0

    # -- the stack --

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the uppermost value.

        Raises:
            MalformedError: there is none.
        """
        if not self.stack:
            raise MalformedError("an instruction takes more than is there")
        return self.stack.pop()

    def mark(self) -> None:
        """Begin a group."""
        if len(self._outer) >= MARK_DEPTH:
            raise self.stop("unscannable.limit", f"more than {MARK_DEPTH} groups in each other")
        self._outer.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """End the group; return what is in it.

        Raises:
            MalformedError: there is none.
        """
        if not self._outer:
            raise MalformedError("a group ends that never began")
        items, self.stack = self.stack, self._outer.pop()
        return items

    def drop(self) -> None:
        """Take the uppermost value away, or the beginning of a group."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    @property
    def top(self) -> Any:
        """The uppermost value, which stays.

        Raises:
            MalformedError: there is none.
        """
        if not self.stack:
            raise MalformedError("an instruction takes more than is there")
        return self.stack[-1]

    @property
    def leftovers(self) -> int:
        """How many values and groups are there."""
        return len(self.stack) + len(self._outer)

    # -- the memo --

    def remember(self, index: int) -> None:
        """Keep the uppermost value under a number."""
        if not self.stack:
            raise MalformedError("nothing is there to be remembered")
        value, memo = self.stack[-1], self._memo
        if type(value) in _KEPT:
            value = self._thrifty(value)
        if index == len(memo) < MEMO_SIZE:
            memo.append(value)
        elif index < len(memo):
            memo[index] = value
        elif index >= MEMO_SIZE or index > len(memo) + 1000:
            raise self.stop("unscannable.limit", f"value number {index} is remembered")
        else:
            memo.extend([Kind.UNSET] * (index - len(memo)))
            memo.append(value)

    def remember_next(self) -> None:
        """Keep the uppermost value under the next number."""
        self.remember(len(self._memo))

    def _thrifty(self, value: Any) -> Any:
        is_text = type(value) is str
        if self._kept[is_text] < MEMO_KEPT:
            self._kept[is_text] += 1
            return value
        if isinstance(value, str):
            return Kind.TEXT
        if isinstance(value, Made):
            return _forgotten(value.of)
        return Kind.OBJECT if isinstance(value, tuple) else Kind.DICT

    def recall(self, index: int) -> None:
        """Put a remembered value on the stack.

        Raises:
            MalformedError: there is none of that number.
        """
        found = self._memo[index] if 0 <= index < len(self._memo) else Kind.UNSET
        if found is Kind.UNSET:
            raise MalformedError(f"value number {index} was never remembered")
        self.stack.append(found)

    # -- names --

    def named(self, module: Any, name: Any) -> Global:
        """Return what a module's attribute is, and note it if it is not allow-listed."""
        self.imports += 1
        if type(module) is not str or type(name) is not str:
            self.found("pickle.unresolved-name", "a name is put together while loading")
            return Global("?", "?", None)
        use = self.surroundings.use_of(module, name)
        found = Global(module, name, use)
        if use is None and (module, name) not in self._told:
            self._told.add((module, name))
            rule = "runs-code" if allowlist.runs_code(module) else "not-allow-listed"
            self.found(f"pickle.{rule}", f"`{_shown(module)}.{_shown(name)}` is imported")
        return found

    def called(self, what: Any, uses: tuple[Use, ...]) -> Global | None:
        """Return the name that is called, and note it if it may not be; None if it is none."""
        if not isinstance(what, Global):
            self.found("pickle.computed-call", "the result of a call is called")
            return None
        if what.use is not None and what.use not in uses:
            self.found("pickle.misused", f"`{what}` is called")
        return what

    # -- findings --

    def found(self, rule: str, what: str) -> None:
        """Note a finding at the instruction that is being followed."""
        self.context.found(rule, what, self.cursor.position)

    def stop(self, rule: str, what: str) -> StopScan:
        """Note a finding after which nothing more is followed; raise what is returned."""
        return self.context.stop(rule, what, self.cursor.position)

    def begin(self, protocol: int) -> None:
        """Go on as another protocol says.

        Raises:
            MalformedError: there is none of that number.
        """
        if protocol > _HIGHEST_PROTOCOL:
            raise MalformedError(f"protocol {protocol} is not known")
        self.protocol = protocol


#: What the last instruction returns.
STOP: Final = object()


@functools.lru_cache(maxsize=2000)
def _forgotten(what: Global | None) -> Made:
    """Return an object of which only the class is known; the same one for a class."""
    return Made(what)


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:100])


def state_rewrites(state: Any) -> str | None:
    """Return the special member that setting `state` would change, or None."""
    parts = state if isinstance(state, tuple) else (state,)
    return next((part.rewrites for part in parts if isinstance(part, Dict) and part.rewrites), None)
