"""The process a file is scanned in: asked on standard input, answers on standard output, in lines.

A request is `{"path", "name", "siblings"}`. The scanner answers with the report, then, once the
second opinion was asked, with the report that has it; a plugin answers with its findings. Each answer's
last line is `{"end": true}`. The process limits itself before it reads the first request: memory,
open files, no files written, no core. It is given nothing of its parent's environment that could be
a secret, see `muniment.scan.process`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

from muniment.scan import opinions, plugins, reports
from muniment.scan.reader import FileReader
from muniment.scan.scanner import scan_with_pickles

_OPEN_FILES: Final = 64
Answer = Iterator[dict[str, Any]]


def limit_itself(memory_bytes: int) -> None:
    """Give up what a scan does not need. Where the system has no such limits, nothing happens."""
    try:
        import resource  # noqa: PLC0415 -- not on every system
    except ImportError:  # pragma: no cover -- Windows
        return
    os.nice(10)  # who waits for an answer comes first
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def scan_one(request: dict[str, Any]) -> Answer:
    """Answer for a file: its report, and that with the second opinion."""
    siblings = request.get("siblings")
    descriptor = os.open(request["path"], os.O_RDONLY)
    try:
        report, pickles = scan_with_pickles(
            FileReader(descriptor),
            request["name"],
            siblings=None if siblings is None else frozenset(siblings),
        )
        yield {"report": reports.report_json(report)}
        opinion = opinions.ask(pickles)
        if opinion is not None:
            yield {"report": reports.report_json(opinions.joined(report, opinion))}
    finally:
        os.close(descriptor)


def plugged(name: str) -> Callable[[dict[str, Any]], Answer]:
    """Return what answers with a plugin's findings."""
    scanner = plugins.load(name)

    def answer(request: dict[str, Any]) -> Answer:
        told = scanner.scan(request["path"], request["name"])
        yield {"findings": [reports.finding_json(plugins.finding_of(name, one)) for one in told]}

    return answer


def serve(answer: Callable[[dict[str, Any]], Answer], asked: TextIO, out: TextIO) -> None:
    """Answer each line of `asked` until there is none."""
    for line in asked:
        for part in answer(json.loads(line)):
            out.write(json.dumps(part) + "\n")
            out.flush()
        out.write('{"end": true}\n')
        out.flush()


def main(arguments: list[str]) -> None:
    """Run: memory in bytes, and the name of a plugin if it is for one."""
    memory_bytes, *plugin = arguments
    limit_itself(int(memory_bytes))
    # What anything prints must not look like an answer.
    out, sys.stdout = sys.stdout, sys.stderr
    serve(plugged(plugin[0]) if plugin else scan_one, sys.stdin, out)
