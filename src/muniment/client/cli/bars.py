"""Progress bars on stderr: bytes and files of each stage, gone when there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from muniment.client.progress import OnProgress
from muniment.client.progress import Progress as State

_TITLES = {
    "hash": "Hashing",
    "upload": "Uploading",
    "download": "Downloading",
    "verify": "Checking",
    "scan": "Scanning",
}


@contextmanager
def bars(*, quiet: bool) -> Iterator[OnProgress | None]:
    """Draw every stage reported within the block; give None when nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[files]}"),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        tasks: dict[str, TaskID] = {}

        def on_progress(state: State, /) -> None:
            files = f"{state.files_done}/{state.files_total} files"
            if state.stage not in tasks:
                title = _TITLES.get(state.stage, state.stage)
                tasks[state.stage] = drawn.add_task(title, files=files, total=state.bytes_total)
            drawn.update(tasks[state.stage], completed=state.bytes_done, files=files)

        yield on_progress
