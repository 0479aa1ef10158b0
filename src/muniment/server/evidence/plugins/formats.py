"""Which parser reads a file: told from its content, never from its name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Protocol

from muniment.core.canon import canonical
from muniment.core.errors import BadJson, MunimentError
from muniment.server.evidence.plugins import (
    attestations,
    cyclonedx,
    deepeval,
    evidently,
    fairlearn,
    garak,
    gates,
    generic,
    helm,
    inspect_ai,
    lm_eval,
    mlflow,
    promptfoo,
    spdx,
)
from muniment.server.evidence.records import EvidenceKind, Metric, Parsed, Unreadable
from muniment.server.evidence.rules.parsed import MAX_BYTES, MAX_METRICS, parsed_json
from muniment.server.evidence.rules.reading import Document, Limits, problem, read, refusal


class Parser(Protocol):
    """Reads one format.

    `name` is what the format is called; `version` grows when the same file would be read otherwise.
    `takes_nonfinite`: the tool itself writes NaN, and the parser leaves such numbers out.
    """

    name: str
    version: str
    kind: EvidenceKind
    takes_nonfinite: bool

    def recognises(self, document: Document) -> bool:
        """Say whether the file is of this format, from its content alone. Cheap."""
        ...

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read a file that `recognises` took."""
        ...


#: Every format, in the order they are asked.
PARSERS: Final[list[Parser]] = [
    generic.PARSER,
    fairlearn.PARSER,
    gates.PLAN,
    gates.RECORD,
    cyclonedx.PARSER,
    spdx.PARSER,
    attestations.PROVENANCE,
    attestations.SIGNATURE,
    lm_eval.PARSER,
    inspect_ai.PARSER,
    promptfoo.PARSER,
    deepeval.PARSER,
    evidently.PARSER,
    garak.PARSER,
    helm.PARSER,
    mlflow.PARSER,
]

#: The format of what no parser read.
UNKNOWN: Final = "unknown"
MISREAD: Final = "cannot be read as"
_SHOWN: Final = 20


def add_parser(parser: Parser) -> None:
    """Have a parser of another slice asked, before those that know less; once is enough."""
    if all(one.name != parser.name for one in PARSERS):
        PARSERS.insert(0, parser)


def find_parser(document: Document) -> Parser | None:
    """Return the first parser that recognises `document`."""
    return next((parser for parser in PARSERS if parser.recognises(document)), None)


def version_of(name: str) -> str:
    """Return the version of the parser of a format; that of `unknown` is 1, of one gone `gone`."""
    if name == UNKNOWN:
        return "1"
    return next((parser.version for parser in PARSERS if parser.name == name), "gone")


def unparsed(kind: EvidenceKind) -> Parsed:
    """Return what is known of a file that is kept as it is."""
    return Parsed(kind=kind, format=UNKNOWN, format_version="1")


def parse(
    data: bytes, name: str, *, kind: EvidenceKind | None = None, limits: Limits | None = None
) -> Parsed | Unreadable:
    """Read a file called `name`; `kind`, where given, is what it must be.

    Of kind `other` any file is taken, and nothing is read from it.
    """
    if kind is EvidenceKind.OTHER:
        return unparsed(kind)
    document = read(data, name, limits)
    if isinstance(document, Unreadable):
        return document
    parser = find_parser(document)
    if parser is None:
        return refusal(name, f"expected one of {_known()}, found a format nobody knows", _OTHER)
    if kind is not None and parser.kind is not kind:
        message = f"expected {kind.value}, found {parser.kind.value} ({parser.name})"
        return refusal(name, message, f"leave the kind out, or say {parser.kind.value}")
    return read_with(parser, document)


_OTHER: Final = (
    "put the numbers into `muniment/evaluation/v1`, or keep the file unread with the kind `other`"
)


def _known() -> str:
    return ", ".join(sorted({parser.name for parser in PARSERS}))


def read_with(parser: Parser, document: Document) -> Parsed | Unreadable:
    """Read `document` with `parser`; refuse what no evidence may hold."""
    if document.nonfinite and not parser.takes_nonfinite:
        return Unreadable(
            tuple(
                problem(place, "expected a finite number, found NaN or an infinity", _FINITE)
                for place in document.nonfinite[:_SHOWN]
            )
        )
    try:
        parsed = parser.parse(document)
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        MunimentError,
    ) as error:
        # A parser must not raise; should one, its mistake is not to be the sender's 500.
        return refusal(document.name, f"{MISREAD} {parser.name}: {type(error).__name__}", _OTHER)
    if isinstance(parsed, Unreadable):
        return Unreadable(parsed.problems[:100])
    problems = tuple(_problems(parsed, document.name)) or tuple(
        _size_problems(parsed, document.name)
    )
    return Unreadable(problems[:100]) if problems else parsed


_FINITE: Final = "JSON has no such value: have the tool leave the number out"


def _problems(parsed: Parsed, name: str) -> Iterator[dict[str, str]]:
    if len(parsed.metrics) > MAX_METRICS:
        message = f"expected at most {MAX_METRICS} metrics, found {len(parsed.metrics)}"
        yield problem(name, message, "add the files of several runs one by one")
    for metric in parsed.metrics:
        if not all(math.isfinite(number) for number in _numbers(metric)):
            yield problem(f"{name} {metric.task} {metric.metric}", "expected a finite number")


def _size_problems(parsed: Parsed, name: str) -> Iterator[dict[str, str]]:
    """What keeps that from being stored which was read from a file."""
    try:
        size_bytes = len(canonical(parsed_json(parsed)))
    except BadJson as error:
        yield problem(name, error.message)
        return
    if size_bytes > MAX_BYTES:
        message = f"expected to read at most {MAX_BYTES} bytes from it, found {size_bytes}"
        yield problem(name, message, "add the files of several runs one by one")


def _numbers(metric: Metric) -> Iterator[float]:
    yield metric.value
    yield from metric.ci or ()
    if metric.stderr is not None:
        yield metric.stderr
