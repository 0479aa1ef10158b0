"""Which paths an artifact may have.

A path is stored as it came and written by others, on other systems, below a directory of theirs. So:

1. relative, with `/`, in NFC, without backslashes or a drive letter, without control characters or
   those that turn the direction of writing (a name must be what it looks like);
2. no empty segment, `.` or `..`; at most 1024 bytes, 255 a segment, 64 folders deep;
3. no name that one of the usual file systems cannot hold (a trailing dot or space, `:`), or that
   opens a device on Windows, with whatever extension (`NUL`, `com1.txt`);
4. no path twice, not even on a file system that ignores case, and none that is both file and folder.

Source: R-011, R-030; the path-traversal history of MLflow's artifact API.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

PATH_BYTES: Final = 1024
SEGMENT_BYTES: Final = 255
FOLDERS_DEEP: Final = 64
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DEVICES: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"}
    | {f"{name}{digit}" for name in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"}
)
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def path_problem(path: str) -> str | None:
    """Say what is wrong with one path, or None."""
    if not path:
        return "it is empty"
    wrong = (
        (unicodedata.normalize("NFC", path) != path, "it is not in Unicode normal form C"),
        (
            any(unicodedata.category(char) in _CONTROLS for char in path),
            "it has a control character",
        ),
        (not _DIRECTIONS.isdisjoint(path), "it turns the direction of writing"),
        ("\\" in path, "it has a backslash"),
        (":" in path, "it has a colon"),
        (
            len(path.encode(errors="surrogatepass")) > PATH_BYTES,
            f"it is longer than {PATH_BYTES} bytes",
        ),
        (path.startswith("/"), "it is absolute"),
        (path.count("/") > FOLDERS_DEEP, f"it is more than {FOLDERS_DEEP} folders deep"),
    )
    found = next((problem for holds, problem in wrong if holds), None)
    return found or next(filter(None, map(_segment_problem, path.split("/"))), None)


def _segment_problem(segment: str) -> str | None:
    if segment == "":
        return "it has an empty segment"
    if segment in {".", ".."}:
        return f"it has the segment `{segment}`"
    if len(segment.encode()) > SEGMENT_BYTES:
        return f"a segment is longer than {SEGMENT_BYTES} bytes"
    if segment[-1] in ". " or segment[0] == " ":
        return "a segment begins or ends with a space, or ends with a dot"
    if segment.partition(".")[0].rstrip(" ").upper() in _DEVICES:
        return f"`{segment}` is the name of a device on Windows"
    return None


@dataclass(slots=True)
class _Folder:
    """A folder of the tree: the names in it, by what they are where case does not count."""

    name: str = ""
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, _Folder] = field(default_factory=dict)


def tree_problems(paths: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield index and problem of each path that is wrong, in itself or beside those before it."""
    root = _Folder()
    for index, path in enumerate(paths):
        problem = path_problem(path) or _add(root, path.split("/"), _folded(path).split("/"))
        if problem:
            yield index, problem


def _add(root: _Folder, segments: list[str], folded: list[str]) -> str | None:
    """Add a path to the tree, or say what it clashes with."""
    at = root
    for depth, key in enumerate(folded[:-1]):
        known = at.folders.get(key)
        if key in at.files or (known is not None and known.name != segments[depth]):
            return _folder_clash(at, key, segments[: depth + 1])
        if known is None:
            for name, fold in zip(segments[depth:-1], folded[depth:-1], strict=True):
                at.folders[fold] = at = _Folder(name)
            break
        at = known
    if folded[-1] in at.files or folded[-1] in at.folders:
        return _file_clash(at, folded[-1], segments)
    at.files[folded[-1]] = segments[-1]
    return None


def _folder_clash(at: _Folder, key: str, segments: list[str]) -> str:
    folder = "/".join(segments)
    if key in at.files:
        return f"its folder `{folder}` is also a file"
    other = "/".join([*segments[:-1], at.folders[key].name])
    return f"its folder `{folder}` differs from `{other}` only in case"


def _file_clash(at: _Folder, key: str, segments: list[str]) -> str:
    if key in at.folders:
        other = "/".join([*segments[:-1], at.folders[key].name])
        return f"it is also a folder (`{other}/`)"
    if at.files[key] == segments[-1]:
        return "it is there twice"
    other = "/".join([*segments[:-1], at.files[key]])
    return f"it differs from `{other}` only in case"


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
