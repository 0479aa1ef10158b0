"""What the instructions do that name, make and call: where a pickle can do harm.

Source: pickletools (the instructions and their arguments), PEP 307, 3154; R-095.
"""

from __future__ import annotations

from typing import Any, Final

from muniment.scan.pickles.machine import Machine, MalformedError, state_rewrites
from muniment.scan.pickles.table import on, take_line
from muniment.scan.pickles.values import Global, Kind, Made, Use

_CALLABLE: Final = (Use.CLASS, Use.CALL)


# -- names and calls --


def _name_line(machine: Machine) -> str | None:
    content = take_line(machine)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("a name is not UTF-8") from None


@on(b"c")
def _global(machine: Machine) -> None:
    module, name = _name_line(machine), _name_line(machine)
    machine.stack.append(machine.named(module, name))


@on(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(machine.named(module, name))


@on(b"i")
def _inst(machine: Machine) -> None:
    named = machine.named(_name_line(machine), _name_line(machine))
    machine.found("pickle.old-instruction", f"INST makes an object of `{named}`")
    machine.pop_mark()
    machine.stack.append(Made(named))


@on(b"o")
def _obj(machine: Machine) -> None:
    items = machine.pop_mark()
    if not items:
        raise MalformedError("an object is made of nothing")
    machine.found("pickle.old-instruction", f"OBJ makes an object of `{items[0]}`")
    machine.stack.append(Made(machine.called(items[0], _CALLABLE)))


@on(b"R")
def _reduce(machine: Machine) -> None:
    args, what = machine.pop(), machine.pop()
    _arguments(args)
    called = machine.called(what, _CALLABLE)
    machine.stack.append(_result(machine, called, args))


@on(b"\x81")
def _newobj(machine: Machine) -> None:
    args, what = machine.pop(), machine.pop()
    _arguments(args)
    called = machine.called(what, (Use.CLASS,))
    machine.stack.append(_result(machine, called, args))


@on(b"\x92")
def _newobj_ex(machine: Machine) -> None:
    _, args, what = machine.pop(), machine.pop(), machine.pop()
    _arguments(args)
    machine.found("pickle.old-instruction", f"NEWOBJ_EX makes an object of `{what}`")
    machine.stack.append(Made(machine.called(what, (Use.CLASS,))))


def _arguments(args: Any) -> None:
    if not isinstance(args, tuple) and args is not Kind.TUPLE:
        raise MalformedError("what is called is not given a tuple")


_ALLOCATING: Final = frozenset({"bytes", "bytearray"})
_RECONSTRUCTING: Final = frozenset({("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")})


def _result(machine: Machine, called: Global | None, args: Any) -> Any:
    """Return what a call gives; note arguments that make a harmless call harmful."""
    if called is None:
        return Made(None)
    first = args[0] if isinstance(args, tuple) and args else None
    if called.name in _ALLOCATING and isinstance(first, int) and first:
        machine.found("pickle.bomb", f"`{called}` makes {first} bytes")
    if (called.module, called.name) in _RECONSTRUCTING:
        # It calls the class it is given, and the base class with the state.
        for given in args if isinstance(args, tuple) else (None,):
            if isinstance(given, Global):
                machine.called(given, (Use.CLASS,))
        return Made(machine.called(first, (Use.CLASS,)))
    return Made(called, args)


@on(b"b")
def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.top
    special = state_rewrites(state)
    if isinstance(target, Global):
        machine.found("pickle.rewrites", f"members of `{target}` itself are set")
    elif not isinstance(target, Made):
        raise MalformedError("what has no members is given some")
    elif special is not None:
        machine.found("pickle.rewrites", f"`{special}` of an object is set")
    elif state is Kind.DICT or state is Kind.OBJECT:
        machine.found("unscannable.limit", "a state was remembered too long ago to be known")
    else:
        machine.surroundings.built(machine, target, state)


@on(b"\x82", b"\x83", b"\x84")
def _ext(machine: Machine) -> None:
    raise machine.stop("pickle.extension", "a name is taken from the extension registry")


@on(b"P")
def _persid(machine: Machine) -> None:
    take_line(machine)
    machine.stack.append(machine.surroundings.persistent(machine, Kind.TEXT))


@on(b"Q")
def _binpersid(machine: Machine) -> None:
    machine.stack.append(machine.surroundings.persistent(machine, machine.pop()))
