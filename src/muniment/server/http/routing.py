"""Which operation a path means.

A tree of path segments: the cost is that of the path's depth, not of the number of operations.
Literal segments win over parameters; a parameter never matches an empty segment; each segment is
percent-decoded once, after splitting, so `%2F` in a name does not split it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)(:path)?\}")


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    parameter: _Node[T] | None = None
    here: dict[str, T] = field(default_factory=dict)  # by method
    rest: dict[str, T] = field(default_factory=dict)  # by method; takes all that follows


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """What is at a path: targets by method, and the decoded parameters in order."""

    methods: Mapping[str, T]
    values: tuple[str, ...]


def parameters(path: str) -> list[str]:
    """Return the names of the parameters of a path template, in order."""
    return [name for name, _ in _PARAMETER.findall(path)]


def plain(path: str) -> str:
    """Return a path template without `:path`, as OpenAPI writes it."""
    return _PARAMETER.sub(r"{\1}", path)


class Router(Generic[T]):
    """Targets by method and path template."""

    def __init__(self, targets: Iterable[tuple[str, str, T]]) -> None:
        """Take (method, path template, target) triples.

        Raises:
            ValueError: two targets have the same method and shape of path.
        """
        self._root: _Node[T] = _Node()
        for method, path, target in targets:
            self._add(method, path, target)

    def _add(self, method: str, path: str, target: T) -> None:
        node, rest = self._root, False
        for segment in path[1:].split("/"):
            matched = _PARAMETER.fullmatch(segment)
            if matched is None:
                node = node.literals.setdefault(segment, _Node())
            elif matched[2]:
                rest = True
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        methods = node.rest if rest else node.here
        if method in methods:
            raise ValueError(f"two operations answer {method} {path}")
        methods[method] = target

    def find(self, path: str) -> Match[T] | None:
        """Return what is at `path` (percent-encoded, as it was sent), or None."""
        if "%" in path:
            try:
                segments = [unquote(part, errors="strict") for part in path[1:].split("/")]
            except UnicodeDecodeError:
                return None
            if any("\0" in segment for segment in segments):
                return None
        else:
            segments = path[1:].split("/")
        return _find(self._root, segments, 0, ())


def _find(
    node: _Node[T], segments: list[str], depth: int, values: tuple[str, ...]
) -> Match[T] | None:
    if depth == len(segments):
        return Match(node.here, values) if node.here else None
    segment = segments[depth]
    found: Match[T] | None = None
    if (literal := node.literals.get(segment)) is not None:
        found = _find(literal, segments, depth + 1, values)
    if found is None and node.parameter is not None and segment:
        found = _find(node.parameter, segments, depth + 1, (*values, segment))
    if found is None and node.rest:
        return Match(node.rest, (*values, "/".join(segments[depth:])))
    return found


def sent_path(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI request as it was sent, without what we are mounted under."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.split(b"?", 1)[0].decode("latin-1")
    return path.removeprefix(scope.get("root_path", ""))
