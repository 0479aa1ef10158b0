"""Rego evaluated by `regopy` in a process of its own, which may be killed when it is too slow."""

from __future__ import annotations

import importlib.metadata
import json
import os
import selectors
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from muniment.core.errors import Unavailable
from muniment.server.ports.policy_engine import (
    DEFAULT_SECONDS,
    MAX_ANSWER_BYTES,
    EngineFailed,
    EngineFault,
    Program,
)

MEMORY_BYTES: Final = 1 << 30
_STARTS_SECONDS: Final = 20.0
_LOOKS_SECONDS: Final = 0.05
_PIECE_BYTES: Final = 1 << 16
#: How many programs the process keeps ready: what is in force, and drafts that are tried.
_HELD: Final = 3
#: Of our environment the process is given this: nothing that could be a secret.
_PASSED: Final = (
    "PATH",
    "PYTHONPATH",
    "LANG",
    "LC_ALL",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
)


class _Ended(Exception):
    """The process ended by itself, or somebody ended it."""


class EmbeddedRego:
    """The engine that needs no server. Close it at the end; the process is started when asked."""

    name = "regopy"

    def __init__(
        self, *, seconds: float = DEFAULT_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        """Allow each question `seconds`; the process `memory_bytes`.

        Raises:
            Unavailable: `regopy` is not installed.
        """
        try:
            self.version = importlib.metadata.version("regopy")
        except importlib.metadata.PackageNotFoundError:
            raise Unavailable(
                "the embedded policy engine is not installed (no `regopy`):"
                " run `pip install 'muniment[server]'`"
            ) from None
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._command = [sys.executable, "-P", "-m", "muniment.server.ports.rego_process"]
        self._running: subprocess.Popen[bytes] | None = None
        self._loaded: OrderedDict[str, None] = OrderedDict()

    def ask(self, program: Program, path: str, document: bytes) -> Any:
        """Return the value at `path`. See `PolicyEngine`.

        A process that somebody else ended is started again, once.
        """
        lines = [json.dumps({"digest": program.digest, "path": path}).encode(), document]
        fresh = self._running is None
        try:
            return self._asked(program, lines)
        except _Ended as error:
            if fresh:
                raise EngineFailed(EngineFault.ERROR, str(error)) from None
        try:
            return self._asked(program, lines)
        except _Ended as error:
            raise EngineFailed(EngineFault.ERROR, str(error)) from None

    def close(self) -> None:
        """End the process."""
        running, self._running = self._running, None
        self._loaded.clear()
        if running is None:
            return
        running.kill()
        for pipe in (running.stdin, running.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was not sent to it any more does not matter
                continue
        running.wait()

    def _asked(self, program: Program, lines: list[bytes]) -> Any:
        if self._running is None or program.digest not in self._loaded:
            self._load(program)
        self._loaded.move_to_end(program.digest)
        return self._exchange(lines, self._seconds)

    def _load(self, program: Program) -> None:
        if self._running is None:
            self._running = subprocess.Popen(  # noqa: S603 -- ourselves
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _PASSED if name in os.environ},
                start_new_session=True,
            )
        head = {
            "digest": program.digest,
            "modules": program.modules,
            "data": program.data.decode(),
            "drop": [self._loaded.popitem(last=False)[0]] if len(self._loaded) == _HELD else [],
        }
        self._exchange([json.dumps(head).encode()], self._seconds + _STARTS_SECONDS)
        self._loaded[program.digest] = None

    def _exchange(self, lines: list[bytes], seconds: float) -> Any:
        """Send lines, read one; whatever goes wrong ends the process."""
        assert self._running is not None
        deadline = time.monotonic() + seconds
        try:
            assert self._running.stdin is not None
            self._running.stdin.write(b"".join(line + b"\n" for line in lines))
            self._running.stdin.flush()
            told = json.loads(self._line(self._running, deadline))
        except TimeoutError:
            self.close()
            message = f"no answer within {self._seconds:g} s"
            raise EngineFailed(EngineFault.TIMEOUT, message) from None
        except OSError as error:
            self.close()
            raise _Ended(f"the engine ended: {str(error)[:200]}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            self.close()
            message = f"the engine was ended: {str(error)[:200]}"
            raise EngineFailed(EngineFault.ERROR, message) from None
        if "error" in told:
            raise EngineFailed(EngineFault.ERROR, str(told["error"]))
        return told.get("value")

    def _line(self, running: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert running.stdout is not None
        held = bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(running.stdout, selectors.EVENT_READ)
            while not held.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if not waiting.select(min(left, _LOOKS_SECONDS)):
                    if _resident_bytes(running.pid) > self._memory_bytes:
                        raise MemoryError(
                            f"it took more than {self._memory_bytes:,} bytes of memory"
                        )
                    continue
                piece = os.read(running.stdout.fileno(), _PIECE_BYTES)
                held += piece
                if not piece:
                    raise OSError("it died")
                if len(held) > MAX_ANSWER_BYTES:
                    raise ValueError("it said too much")
        return bytes(held)


def _resident_bytes(process: int) -> int:
    """Return how much memory a process has; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
