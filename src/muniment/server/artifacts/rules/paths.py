"""Which paths an artifact may have.

A path is stored as it came and written by others, on other systems, below a directory of theirs. So:

1. relative, with `/`, in NFC, without backslashes or a drive letter, without control characters or
   those that turn the direction of writing (a name must be what it looks like);
2. no empty segment, `.` or `..`; at most 1024 bytes, 255 a segment, 64 folders deep;
3. no name that one of the usual file systems cannot hold (a trailing dot or space, `:`);
4. no path twice, not even on a file system that ignores case, and none that is both file and folder.

Source: R-011, R-030; the path-traversal history of MLflow's artifact API.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

PATH_BYTES: Final = 1024
SEGMENT_BYTES: Final = 255
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: Most paths, told from the rest at a glance; none of these is wrong in itself.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")


def path_problem(path: str) -> str | None:
    """Say what is wrong with one path, or None."""
    if len(path) <= SEGMENT_BYTES and _PLAIN.fullmatch(path):
        return None
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
    if segment in {".", ".."}:
        return f"it has the segment `{segment}`"
    if len(segment.encode()) > SEGMENT_BYTES:
        return f"a segment is longer than {SEGMENT_BYTES} bytes"
    if segment[-1] in ". " or segment[0] == " ":
        return "a segment begins or ends with a space, or ends with a dot"
    return None


def tree_problems(paths: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Yield index and problem of each path that is wrong, in itself or beside those before it."""
    tree = _Tree()
    for index, path in enumerate(paths):
        problem = path_problem(path) or tree.clash(path)
        if problem:
            yield index, problem
        else:
            tree.add(path)


class _Tree:
    """The paths so far as a file system sees them that ignores case: folded, with their spelling."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._spelled: set[str] = {""}  # folders all of whose parts are in `_folders` just so

    def clash(self, path: str) -> str | None:
        folded = _folded(path)
        if folded in self._files:
            other = self._files[folded]
            twice = other == path
            return "it is there twice" if twice else f"it differs from `{other}` only in case"
        if folded in self._folders:
            return f"it is also a folder (`{self._folders[folded]}/`)"
        return next(filter(None, map(self._folder_clash, reversed(self._new_folders(path)))), None)

    def _folder_clash(self, folder: str) -> str | None:
        folded = _folded(folder)
        if folded in self._files:
            return f"its folder `{folder}` is also a file"
        known = self._folders.get(folded, folder)
        if known == folder:
            return None
        return f"its folder `{folder}` differs from `{known}` only in case"

    def add(self, path: str) -> None:
        for folder in self._new_folders(path):
            self._folders[_folded(folder)] = folder
            self._spelled.add(folder)
        self._files[_folded(path)] = path

    def _new_folders(self, path: str) -> list[str]:
        """Return the folders of `path` that were not met before, innermost first."""
        found = []
        folder = path.rpartition("/")[0]
        while folder not in self._spelled:
            found.append(folder)
            folder = folder.rpartition("/")[0]
        return found


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
