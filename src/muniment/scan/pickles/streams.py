"""Pickles as they stand in files: one after the other, with arrays and storages between them.

Joblib writes the elements of an array behind the instruction that builds its wrapper; PyTorch's
older files hold five pickles and then the storages. Both are stepped over, their lengths computed
from what the pickles say. Whatever else follows an end is a finding.

Source: joblib's numpy_pickle; torch.serialization; R-095.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from muniment.scan.context import PICKLED_KEPT, Context, StopScan, Totals
from muniment.scan.formats import following
from muniment.scan.pickles import allowlist, arrays, calls, data  # noqa: F401 -- fill the table
from muniment.scan.pickles.machine import STOP, Machine, MalformedError
from muniment.scan.pickles.table import TABLE
from muniment.scan.pickles.values import Global, Kind, Made, Use
from muniment.scan.reader import Cursor, OutOfBoundsError, Reader
from muniment.scan.records import Severity

STACK_DEPTH: Final = 1_000_000
_CHECK_EVERY: Final = 1 << 16
_TORCH_MARK: Final = 0x1950A86A20F9469CFC6C
_LOOKED_AT: Final = 4096
_SHORTEST: Final = 8
_PROTOCOLS: Final = range(2, 6)
#: What else bytes in a pickle may be that somebody takes out and loads.
_CONTAINERS: Final = (b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x89HDF\r\n\x1a\n")
_STORAGE: Final = re.compile(r"(\w+?)Storage")
_ITEM_BYTES: Final = {
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Char", "Byte", "Bool", "QInt8", "QUInt8", "QUInt4x2", "QUInt2x4"), 1),
    "ComplexDouble": 16,
    "Untyped": 1,
}


@dataclass
class Loader:
    """What the program that loads the pickles adds to them.

    `torch`: persistent ids are storages. `script`: classes of TorchScript are known.
    `storages` are those met so far: bytes by key.
    """

    torch: bool = False
    script: bool = False
    storages: dict[str, int] = field(default_factory=dict)

    def use_of(self, module: str, name: str) -> Use | None:
        """Return how a name may be used; None: not at all."""
        if self.script and module.split(".", 1)[0] == "__torch__":
            return Use.CLASS
        return allowlist.use_of(module, name)

    def persistent(self, machine: Machine, what: Any) -> Any:
        """Return a storage, or note what else is asked for."""
        match what:
            case ("storage", Global() as kind, str() as key, str(), int() as count, *_):
                item = _STORAGE.fullmatch(kind.name)
                if self.torch and kind.use is Use.CLASS and item and count >= 0:
                    self.storages[key] = count * _ITEM_BYTES.get(item[1], 1)
                    return Kind.OBJECT
        machine.found("pickle.persistent-id", "something is asked for that is not in the pickle")
        return Kind.OBJECT

    def built(self, machine: Machine, made: Made, state: Any) -> None:
        """Step over the elements of joblib's arrays; keep what element types are made of."""
        if made.of is None:
            return
        if made.of.name == "dtype":
            made.state = state
        elif made.of.name == "NumpyArrayWrapper" and made.of.use is not None:
            self._array(machine, state)

    def _array(self, machine: Machine, state: Any) -> None:
        found = arrays.of_wrapper(state)
        if found is None:
            raise machine.stop("unscannable.damaged", "an array of unknown shape or type follows")
        cursor = machine.cursor
        if found.objects:
            _one(cursor, machine.context, self)
            return
        _polyglot(cursor, machine.context, found.size_bytes)
        if found.aligned:
            cursor.skip(cursor.uint(1))
        cursor.skip(found.size_bytes)

    def content(self, machine: Machine, length: int) -> None:
        """Look into bytes of a pickle: they may be a pickle, or hold some."""
        cursor, context = machine.cursor, machine.context
        if not _SHORTEST <= length <= cursor.left:
            return  # too short to import and call; what is cut off is told elsewhere
        head = cursor.peek(min(length, _LOOKED_AT))
        pickled = head[0] == 0x80 and head[1] in _PROTOCOLS  # noqa: PLR2004 -- PROTO
        if pickled or head.startswith(_CONTAINERS):
            _nested(cursor.rest(length), context, cursor.position, pickled=pickled)
        else:
            _polyglot(cursor, context, length)


def _polyglot(cursor: Cursor, context: Context, length: int) -> None:
    """Note bytes that, read as instructions, import something and call it."""
    head = cursor.peek(min(length, _LOOKED_AT))
    # Two lines make a name; STACK_GLOBAL and the extension registry need none.
    named = head.count(b"\n") > 1 and (b"c" in head or b"i" in head)
    if (named or any(code in head for code in b"\x93\x82\x83\x84")) and (
        following.calls_an_import(head)
    ):
        context.found("pickle.polyglot", "data that is a pickle if read from here", cursor.position)


def _nested(reader: Reader, context: Context, offset: int, *, pickled: bool) -> None:
    """Look for bad things in bytes that begin as something that can hold them.

    They may begin so by accident: then they are damaged, and that is no finding.
    """
    context.totals.pickles += 1
    if context.totals.pickles > context.limits.pickles or context.depth >= context.limits.depth:
        raise context.stop("unscannable.limit", "too many pickles in each other", offset)
    inner = context.into(f"bytes at {offset}")
    ours, inner.totals = (
        inner.totals,
        Totals(
            inflated_bytes=context.totals.inflated_bytes,
            members=context.totals.members,
            pickles=context.totals.pickles,
            executable=True,
        ),
    )
    try:
        if pickled:
            scan_stream(reader, inner)
        else:
            inner.scan(reader, inner)
    except (StopScan, OutOfBoundsError):
        pass
    found, inner.totals.findings = inner.totals.findings, ours.findings
    ours.inflated_bytes = inner.totals.inflated_bytes
    ours.members, ours.pickles = inner.totals.members, inner.totals.pickles
    told = {Severity.CRITICAL, Severity.HIGH}
    ours.findings += [one for one in found if one.severity in told and _sure(one.rule)]


def _sure(rule: str) -> bool:
    return not rule.endswith((".malformed", ".bad-checksum")) and not rule.startswith("unscannable")


def follow(machine: Machine) -> Any:
    """Follow a pickle's instructions to STOP; return the object.

    Raises:
        MalformedError: no unpickler gets past what was met.
        OutOfBoundsError: the bytes end before that.
        StopScan: it cannot be followed further; noted.
    """
    cursor, table = machine.cursor, TABLE
    count = 0
    while True:
        at = cursor.at
        try:
            code = cursor.window[at]
            cursor.at = at + 1
        except IndexError:
            code = cursor.take(1)[0]
        instruction = table[code]
        if instruction is None:
            raise MalformedError(f"0x{code:02x} is no instruction")
        if instruction(machine) is STOP:
            return machine.pop()
        count += 1
        if count % _CHECK_EVERY == 0 and len(machine.stack) > STACK_DEPTH:
            raise machine.stop("unscannable.limit", f"more than {STACK_DEPTH} values in a group")


def _one(cursor: Cursor, context: Context, loader: Loader) -> Any:
    """Follow one pickle from where `cursor` is; return its object.

    Raises:
        StopScan: it cannot be followed to its end; noted.
    """
    context.totals.pickles += 1
    if context.totals.pickles > context.limits.pickles:
        raise context.stop("unscannable.limit", "too many pickles", cursor.position)
    machine = Machine(cursor, context, loader)
    try:
        made = follow(machine)
    except MalformedError as error:
        raise context.stop("pickle.malformed", str(error), cursor.position) from None
    except OutOfBoundsError as error:
        raise context.stop("pickle.malformed", "it ends before STOP", error.offset) from None
    if machine.leftovers:
        context.found("pickle.leftover", f"{machine.leftovers} objects are left", cursor.position)
    return made


def scan_stream(reader: Reader, context: Context, loader: Loader | None = None) -> None:
    """Scan the pickles in `reader`, from its first byte to its last.

    Raises:
        StopScan: they cannot be followed to the end; noted.
    """
    context.totals.executable = True
    if len(context.totals.pickled) < PICKLED_KEPT:
        context.totals.pickled.append(reader)
    cursor = Cursor(reader)
    chosen = loader or Loader()
    made = _one(cursor, context, chosen)
    if made == _TORCH_MARK and type(made) is int:
        _torch_rest(cursor, context)
        return
    while cursor.left:
        head = cursor.peek(_LOOKED_AT)
        begins = head[0] == 0x80 and len(head) > 1 and head[1] in _PROTOCOLS  # noqa: PLR2004
        if not begins and not following.calls_an_import(head):
            what = f"{cursor.left} bytes after the end"
            context.found("pickle.trailing", what, cursor.position)
            return
        _one(cursor, context, chosen)


def _torch_rest(cursor: Cursor, context: Context) -> None:
    """Scan what follows the mark of PyTorch's older files: four pickles, and storages."""
    loader = Loader(torch=True)
    for _ in ("protocol", "machine", "object", "keys"):
        _one(cursor, context, loader)
    expected = sum(8 + size_bytes for size_bytes in loader.storages.values())
    _polyglot(cursor, context, cursor.left)
    if cursor.left != expected:
        what = f"{cursor.left} bytes of storages, expected {expected}"
        context.found("pickle.trailing", what, cursor.position)
