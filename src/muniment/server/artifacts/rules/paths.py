"""Which paths an artifact may have.

A path is stored as it came and written by others, on other systems, below a directory of theirs. So:

1. relative, with `/`, in NFC, without control characters, backslashes or a drive letter;
2. no empty segment, `.` or `..`; at most 1024 bytes, 255 a segment;
3. no name that one of the usual file systems cannot hold (a trailing dot or space, `:`);
4. no path twice, not even on a file system that ignores case, and none that is both file and folder.

Source: R-011, R-030; the path-traversal history of MLflow's artifact API.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

PATH_BYTES = 1024
SEGMENT_BYTES = 255
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})


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
        ("\\" in path, "it has a backslash"),
        (":" in path, "it has a colon"),
        (
            len(path.encode(errors="surrogatepass")) > PATH_BYTES,
            f"it is longer than {PATH_BYTES} bytes",
        ),
        (path.startswith("/"), "it is absolute"),
    )
    found = next((problem for holds, problem in wrong if holds), None)
    return found or next(filter(None, map(_segment_problem, path.split("/"))), None)


def _segment_problem(segment: str) -> str | None:
    if segment == "":
        return "it has an empty segment"
    if segment in (".", ".."):
        return f"it has the segment `{segment}`"
    if len(segment.encode()) > SEGMENT_BYTES:
        return f"a segment is longer than {SEGMENT_BYTES} bytes"
    if segment[-1] in ". " or segment[0] == " ":
        return "a segment begins or ends with a space, or ends with a dot"
    return None


def tree_problems(paths: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Yield index and problem of each path that is wrong, in itself or beside the others."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for index, path in enumerate(paths):
        problem = path_problem(path) or _clash(path, seen, folders)
        if problem:
            yield index, problem
            continue
        seen[_folded(path)] = path
        for folder in _folders(path):
            folders.setdefault(_folded(folder), folder)


def _clash(path: str, seen: dict[str, str], folders: dict[str, str]) -> str | None:
    folded = _folded(path)
    if folded in seen:
        other = seen[folded]
        return "it is there twice" if other == path else f"it differs from `{other}` only in case"
    if folded in folders:
        return f"it is also a folder (`{folders[folded]}/`)"
    for folder in _folders(path):
        if _folded(folder) in seen:
            return f"its folder `{folder}` is also a file"
        known = folders.get(_folded(folder), folder)
        if known != folder:
            return f"its folder `{folder}` differs from `{known}` only in case"
    return None


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


def _folders(path: str) -> list[str]:
    segments = path.split("/")[:-1]
    return ["/".join(segments[: count + 1]) for count in range(len(segments))]
