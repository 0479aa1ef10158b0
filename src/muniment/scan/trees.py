"""Scan what is on a disk: a file, or a folder with all that is in it. Nothing is sent anywhere."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from muniment.scan import process, reports
from muniment.scan.catalogue import RULES
from muniment.scan.process import Allowance, Processes
from muniment.scan.records import FileReport, Finding, Place, VerdictClass, worst
from muniment.scan.ruleset import RULESET_ID, TOOL, tool_version


def _silent(name: str, size_bytes: int) -> None:
    """Tell nobody."""
    del name, size_bytes


def files_in(root: Path) -> list[tuple[str, Path]]:
    """Return what is in a folder, or `root` itself: (path with `/`, where it is), sorted.

    Links are in it; folders they lead to are not.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if not root.exists() and not root.is_symlink():
        raise FileNotFoundError(f"there is no file or folder `{root}`")
    if not root.is_dir():
        return [(root.name, root)]
    return sorted(_walk(root, ""))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as inside:
        for one in inside:
            if one.is_dir(follow_symlinks=False):
                yield from _walk(Path(one.path), f"{prefix}{one.name}/")
            else:
                yield f"{prefix}{one.name}", Path(one.path)


def scan_tree(
    root: Path,
    *,
    allowance: Allowance | None = None,
    progress: Callable[[str, int], None] = _silent,
) -> dict[str, Any]:
    """Return the report of a file or folder, as JSON (`muniment.scan.reports`).

    `progress` is told of each file's name and size once it is done.

    Raises:
        OSError: something cannot be read.
    """
    started = dt.datetime.now(dt.UTC)
    listed = files_in(root.absolute())
    names = [name for name, _ in listed]
    files = []
    with Processes(allowance) as processes:
        for name, path in listed:
            plain = path.is_file() and not path.is_symlink()
            size_bytes = path.stat().st_size if plain else 0
            siblings = names if name.lower().endswith(".onnx") else None
            report = processes.scan(str(path), name, siblings=siblings) if plain else _LINK
            files.append({"path": name, "size_bytes": size_bytes, **reports.report_json(report)})
            progress(name, size_bytes)
    return whole(str(root), files, started=started, ended=dt.datetime.now(dt.UTC))


_LINK = FileReport(
    "link",
    True,
    VerdictClass.FINDINGS,
    (
        Finding(
            "archive.link",
            RULES["archive.link"].severity,
            Place(),
            "it is no plain file",
            RULES["archive.link"].why,
            "put the file itself there",
        ),
    ),
)


def whole(
    subject: str, files: list[dict[str, Any]], *, started: dt.datetime, ended: dt.datetime
) -> dict[str, Any]:
    """Return a report of `files` together."""
    return {
        "format": reports.FORMAT,
        "tool": {"name": TOOL, "version": tool_version()},
        "ruleset": {
            "id": RULESET_ID,
            "digest": process.ruleset_digest(),
            "with": [{"name": name, "version": version} for name, version in process.others()],
        },
        "subject": subject,
        "started": _time(started),
        "ended": _time(ended),
        "verdict": worst([VerdictClass(one["verdict"]) for one in files]).value,
        "files": files,
    }


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
