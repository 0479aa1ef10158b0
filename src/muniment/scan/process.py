"""Scan files in processes of their own, which may take so much memory and so much time.

A process that dies, or is too slow, is ended; the file it was at is unscannable, and the next is
given to a new one. So a hostile file costs its own scan and nothing else.
"""

from __future__ import annotations

import functools
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from muniment.scan import opinions, plugins, reports
from muniment.scan.catalogue import RULES
from muniment.scan.records import FileReport, Finding, Place, VerdictClass, verdict_of
from muniment.scan.ruleset import digest_with

#: What the processes are told of the environment: nothing that could be a secret.
_PASSED: Final = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SYSTEMROOT")
_PASSED_FROM: Final = ("COVERAGE_",)
_ANSWER_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 1 << 16
_BYTES_PER_SECOND: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a process may take: memory (addresses, in bytes), and seconds for one file.

    For large files `seconds` grows by one for each ten million bytes.
    """

    memory_bytes: int = 1 << 30
    seconds: float = 60.0


class _EndedError(Exception):
    """A process died, was too slow, or said what no scanner says."""


class _Process:
    def __init__(self, allowance: Allowance, plugin: str | None) -> None:
        # -P: the folder we are in may be the one that is scanned, and have modules in it.
        self._command = [sys.executable, "-P", "-m", "muniment.scan", str(allowance.memory_bytes)]
        self._command += [] if plugin is None else [plugin]
        self._running: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        """Yield what the process answers, starting it if need be.

        Raises:
            _EndedError: it ended before its answer did; it is gone.
        """
        running = self._running or self._start()
        deadline = time.monotonic() + seconds
        try:
            assert running.stdin is not None
            running.stdin.write(json.dumps(request).encode() + b"\n")
            running.stdin.flush()
            for line in self._lines(running, deadline):
                told = json.loads(line)
                if told.get("end"):
                    return
                yield told
        except (OSError, ValueError, AttributeError) as error:
            self.close()
            raise _EndedError(str(error)) from None

    def _start(self) -> subprocess.Popen[bytes]:
        passed = {
            key: value
            for key, value in os.environ.items()
            if key in _PASSED or key.startswith(_PASSED_FROM)
        }
        self._running = subprocess.Popen(  # noqa: S603 -- ourselves
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=passed,
            start_new_session=True,
        )
        return self._running

    def _lines(self, running: subprocess.Popen[bytes], deadline: float) -> Iterator[bytes]:
        assert running.stdout is not None
        descriptor = running.stdout.fileno()
        held, size_bytes = b"", 0
        with selectors.DefaultSelector() as waiting:
            waiting.register(descriptor, selectors.EVENT_READ)
            while True:
                if not waiting.select(max(0.0, deadline - time.monotonic())):
                    raise OSError("it took too long")
                piece = os.read(descriptor, _PIECE_BYTES)
                size_bytes += len(piece)
                if not piece or size_bytes > _ANSWER_BYTES:
                    raise OSError("it ended, probably for want of memory")
                *lines, held = (held + piece).split(b"\n")
                yield from lines

    def close(self) -> None:
        """End it."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            for pipe in (running.stdin, running.stdout):
                if pipe is not None:
                    # What was not sent to it any more does not matter.
                    try:
                        pipe.close()
                    except OSError:
                        continue
            running.wait()


class Processes:
    """Scans files one after the other; not for several threads at once. Close it at the end."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance()
        self._ours = _Process(self._allowance, None)
        self._plugins = [(name, _Process(self._allowance, name)) for name, _ in plugins.installed()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._ours.close()
        for _, process in self._plugins:
            process.close()

    def scan(self, path: str, name: str, *, siblings: Sequence[str] | None = None) -> FileReport:
        """Return the report of the file at `path`, called `name` in its artifact."""
        request = {"path": path, "name": name, "siblings": siblings}
        seconds = self._allowance.seconds + Path(path).stat().st_size / _BYTES_PER_SECOND
        report = self._of_ours(request, seconds)
        for plugin, process in self._plugins:
            report = _added(report, self._of_plugin(plugin, process, request, seconds))
        return report

    def _of_ours(self, request: dict[str, Any], seconds: float) -> FileReport:
        report: FileReport | None = None
        try:
            for told in self._ours.ask(request, seconds):
                report = reports.report_from(told["report"])
        except (_EndedError, KeyError, TypeError) as error:
            self._ours.close()
            if report is None:
                return FileReport(
                    "unknown", True, VerdictClass.UNSCANNABLE, (_stopped(f"the scan: {error}"),)
                )  # fmt: skip
            # We were through: it was the second opinion that did not come.
            failed = opinions.failed(str(error))
            return report if failed is None else opinions.joined(report, failed)
        assert report is not None, "the scanner answers with a report"
        return report

    def _of_plugin(
        self, plugin: str, process: _Process, request: dict[str, Any], seconds: float
    ) -> list[Finding]:
        found: list[Finding] = []
        try:
            for told in process.ask(request, seconds):
                found += [reports.finding_from(one) for one in told["findings"]]
        except (_EndedError, KeyError, TypeError, ValueError) as error:
            process.close()
            found.append(_stopped(f"scanner `{plugin}`: {error}"))
        return found


def _stopped(what: str) -> Finding:
    told = RULES["unscannable.stopped"]
    return Finding("unscannable.stopped", told.severity, Place(), what, told.why, told.remedy)


def _added(report: FileReport, found: list[Finding]) -> FileReport:
    findings = (*report.findings, *found)
    verdict = verdict_of(findings, executable=report.executable)
    return FileReport(report.format, report.executable, verdict, findings, report.opinions)


def others() -> tuple[tuple[str, str], ...]:
    """Return name and version of what judges, or unpacks, besides the built-in rules."""
    told = [(name, _version(name)) for name in ("lz4", opinions.TOOL)]
    return (*((name, version) for name, version in told if version), *plugins.installed())


@functools.cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def ruleset_digest() -> str:
    """Return the SHA-256 of all that judges here, in hex."""
    return digest_with(others())


def was_stopped(report: FileReport) -> bool:
    """Say whether a scan was ended before it was through: another try may come further."""
    return any(one.rule == "unscannable.stopped" for one in report.findings)
