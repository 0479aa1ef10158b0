"""The process Rego is evaluated in: asked on standard input, answers on standard output, in lines.

`{"digest": "…", "modules": [[name, text], …], "data": "…", "drop": ["…"]}` loads a program, after
others are dropped. `{"digest": "…", "path": "a/b"}`, followed by a line with the input document,
asks one. Each is answered with one line, `{"value": …}` or `{"error": "…"}`.
Rego's own output goes nowhere: the library prints what it thinks of a program.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, BinaryIO, Final

from regopy import Interpreter, RegoError

_OPEN_FILES: Final = 64
_ERROR_CHARS: Final = 500


def limit_itself() -> None:
    """Give up what evaluating does not need. Where the system has no such limits, nothing happens.

    Memory is watched from outside: the library takes 256 GiB of addresses when it is loaded.
    """
    try:
        import resource  # noqa: PLC0415 -- not on every system
    except ImportError:  # pragma: no cover -- Windows
        return
    for what, most in ((resource.RLIMIT_NOFILE, _OPEN_FILES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


class Evaluator:
    """One program, compiled for each path that was asked for."""

    def __init__(self, modules: list[list[str]], data: str) -> None:
        self._rego = Interpreter()
        # A built-in that fails is an error, not a rule that quietly does not apply.
        self._rego.strict_built_in_errors = True
        for name, text in modules:
            self._rego.add_module(name, text)
        self._rego.add_data_json(data)
        self._compiled: dict[str, Any] = {}

    def value(self, path: str, document: bytes) -> Any:
        """Return what is at `path`; None if it is undefined."""
        if path not in self._compiled:
            self._compiled[path] = self._rego.build(None, [path])
        self._rego.set_input(json.loads(document))
        found = self._rego.query_bundle_entrypoint(self._compiled[path], path)
        if not found.ok():
            raise ValueError(f"it cannot be evaluated: {str(found)[:_ERROR_CHARS]}")
        expressions = found[0].expressions
        return expressions[0] if expressions else None


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until nothing more is asked."""
    held: dict[str, Evaluator] = {}
    for line in asked:
        told: dict[str, Any]
        request = json.loads(line)
        document = asked.readline() if "path" in request else b""
        try:
            if "path" in request:
                told = {"value": held[request["digest"]].value(request["path"], document)}
            else:
                for digest in request["drop"]:
                    held.pop(digest, None)
                held[request["digest"]] = Evaluator(request["modules"], request["data"])
                told = {}
        except (RegoError, ValueError, TypeError, RecursionError) as error:
            told = {
                "error": " ".join(str(error).split())[:_ERROR_CHARS] or "it cannot be evaluated"
            }
        answers.write(json.dumps(told).encode() + b"\n")
        answers.flush()


def main() -> None:
    """Serve on what were standard input and output; print nothing else there."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    limit_itself()
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
