"""What evaluates Rego: a port. Adapters: `embedded_rego` (a process of ours), `opa` (a server)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, Protocol

#: How long one evaluation may take; far more than any honest rule needs.
DEFAULT_SECONDS: Final = 5.0
#: The largest answer that is read.
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class EngineFault(enum.StrEnum):
    """Why an engine gave no answer. Codes are stable: they are kept with verdicts."""

    ERROR = "engine_error"
    TIMEOUT = "engine_timeout"
    UNAVAILABLE = "engine_unavailable"
    OTHER_BUNDLE = "engine_other_bundle"
    BAD_ANSWER = "engine_bad_answer"


class EngineFailed(Exception):
    """An engine gave no answer that can be used."""

    def __init__(self, fault: EngineFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


@dataclass(frozen=True, slots=True)
class Program:
    """What is evaluated: Rego modules by name, and the data they read, under a digest of all of it."""

    digest: str
    modules: tuple[tuple[str, str], ...]
    data: bytes


class PolicyEngine(Protocol):
    """Evaluates programs over input documents; not for several threads at once."""

    @property
    def name(self) -> str:
        """What kind of engine it is: `regopy` or `opa`."""
        ...

    @property
    def version(self) -> str:
        """Its version, as far as it has said so."""
        ...

    def ask(self, program: Program, path: str, document: bytes) -> Any:
        """Return the value at `path` (`muniment/rules`) for an input document in JSON.

        None if it is undefined; sets come back as lists in no order that means anything.

        Raises:
            EngineFailed: there is no answer; nothing is remembered of the question.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; it may be asked again afterwards."""
        ...
