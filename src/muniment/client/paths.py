"""Paths inside an artifact, checked before anything is sent and again before anything is written.

The server refuses bad paths too; a client that downloads must not depend on it. In order:

1. relative, `/`-separated, no empty, `.` or `..` part, none that begins or ends with a space or
   ends with a dot;
2. no control characters, no backslash, no colon (drive letters, streams), Unicode in NFC;
3. no two paths equal after case folding and NFC: they would be one file on some disks;
4. no path that is also a directory of another.

Source: design §8; R-028.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from muniment.core.errors import BadPath

_FORBIDDEN = frozenset("\\:")
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MAX_BYTES = 1024


def path_problem(path: str) -> str | None:
    """Say what is wrong with one path, or None."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    rules = (
        (0 < length <= _MAX_BYTES, f"must have 1 to {_MAX_BYTES} bytes"),
        (not path.startswith("/"), "must be relative"),
        (
            not any(part in {"", ".", ".."} for part in path.split("/")),
            "must not have empty, `.` or `..` parts",
        ),
        (
            not any(part.startswith(" ") or part.endswith((".", " ")) for part in path.split("/")),
            "must not have parts that begin or end with a space or end with a dot",
        ),
        (unicodedata.is_normalized("NFC", path), "is not in Unicode form NFC"),
        (
            not any(unicodedata.category(char) in _CONTROLS for char in path),
            "has control characters",
        ),
        (not _FORBIDDEN.intersection(path), "must not contain a backslash or a colon"),
    )
    return next((rule for holds, rule in rules if not holds), None)


def check_paths(paths: Iterable[str]) -> None:
    """Accept paths that can lie in one directory on any disk.

    Raises:
        BadPath: some cannot; `problems` lists each with why.
    """
    found = list(paths)
    problems = [(path, why) for path in found if (why := path_problem(path))]
    problems += _collisions(found)
    if problems:
        listed = [{"field": ascii(path), "message": why} for path, why in problems]
        count = len(problems)
        msg = f"{count} path{'s' if count > 1 else ''} cannot be part of an artifact"
        raise BadPath(msg, problems=listed)


def _collisions(paths: list[str]) -> list[tuple[str, str]]:
    seen: dict[str, str] = {}
    problems = []
    for path in paths:
        folded = _folded(path)
        if folded in seen:
            problems.append((path, f"is the same file as {seen[folded]!a} on some disks"))
        seen.setdefault(folded, path)
    for path in paths:
        above = _folded(path).rpartition("/")[0]
        while above:
            if above in seen:
                problems.append((path, f"lies in {seen[above]!a}, which is a file"))
                break
            above = above.rpartition("/")[0]
    return problems


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def place(into: Path, path: str) -> Path:
    """Return where `path` goes below `into`, making its directories.

    Raises:
        BadPath: something on the way is a symbolic link or a file; nothing outside is touched.
    """
    at = into
    for part in path.split("/")[:-1]:
        at = at / part
        if at.is_symlink() or (at.exists() and not at.is_dir()):
            msg = f"`{at}` is in the way of `{path}`: expected a directory; remove it"
            raise BadPath(msg)
        at.mkdir(exist_ok=True)
    target = at / path.rsplit("/", 1)[-1]
    if target.is_symlink() or target.is_dir():
        kind = "symbolic link" if target.is_symlink() else "directory"
        msg = f"`{target}` is a {kind}: expected a file or nothing; remove it"
        raise BadPath(msg)
    return target
