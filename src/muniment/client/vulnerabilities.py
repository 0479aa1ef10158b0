"""Vulnerability databases: import them, follow the import, see which there are."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from muniment.client.files import LocalFile, find_files
from muniment.client.paging import all_items
from muniment.client.progress import OnProgress
from muniment.client.records import Page, Record, UploadSession
from muniment.client.transport import Transport, api
from muniment.client.upload import Upload
from muniment.client.versions import Versions
from muniment.core.errors import BadEvidence, BadPath, Unavailable

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 3.0
_KEV = "KEV"
#: The earliest time a zip can hold: the same records make the same zip.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class VulnerabilityDatabase(Record, frozen=True, kw_only=True):
    """A snapshot of what somebody publishes; `digest` is over its records, however packed."""

    id: str
    ecosystem: str
    number: int
    digest: str
    dated_at: dt.datetime
    record_count: int
    withdrawn_count: int = 0
    current: bool = True
    source: dict[str, Any] = msgspec.field(default_factory=dict)
    recorded_at: dt.datetime | None = None
    entry_id: str | None = None


class DatabaseImport(Record, frozen=True, kw_only=True):
    """How far an import is: `due`, `done` with its database, or `failed` with `problems`."""

    id: str
    ecosystem: str
    state: str
    read_count: int = 0
    total_count: int | None = None
    database_id: str | None = None
    problems: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Vulnerabilities:
    """Calls about vulnerability databases."""

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport, self._versions = transport, versions

    def import_database(
        self,
        path: str | os.PathLike[str],
        ecosystem: str,
        *,
        dated_at: dt.datetime | None = None,
        older: bool = False,
        timeout: float = 3600.0,
        on_progress: OnProgress | None = None,
        told: Callable[[DatabaseImport], None] = lambda _: None,
    ) -> VulnerabilityDatabase:
        """Send an ecosystem's `all.zip`, or a directory of OSV records, and wait for its import.

        `ecosystem` is OSV's name (`PyPI`), or `KEV` for CISA's catalogue, which is one JSON file.
        May be repeated: the same records are there once, and what was sent is not sent again.
        `told` hears how far the import is.

        Raises:
            BadPath: there is no such file, or no record in the directory. Nothing is sent.
            BadEvidence: the file cannot be taken; `problems` name each place. Nothing is recorded.
            Unavailable: it is not done after `timeout` seconds; it goes on.
        """
        with _as_one_file(Path(path), ecosystem) as file:
            session = self._session()
            digests = Upload(self._transport, session, on_progress).run([file])
            body = {
                "ecosystem": ecosystem,
                "sha256": digests[file.path].hex,
                "name": file.path[:200],
                "upload_id": session.id,
                "dated_at": dated_at,
                "older": older,
            }
            asked = self._transport.send(
                "POST", api("vulnerability-databases"), body, DatabaseImport
            )
        done = self._wait(asked, timeout, told)
        if done.state == "failed":
            first = done.problems[0]
            more = f" (and {len(done.problems) - 1} more)" if len(done.problems) > 1 else ""
            raise BadEvidence(
                f"nothing was imported: `{first['field']}` {first['message']}{more}",
                problems=done.problems,
            )
        return self.database(str(done.database_id))

    def _session(self) -> UploadSession:
        body = {"namespace": "default", "name": "vulnerability-database"}
        return self._transport.send("POST", api("uploads"), body, UploadSession)

    def _wait(
        self, asked: DatabaseImport, timeout: float, told: Callable[[DatabaseImport], None]
    ) -> DatabaseImport:
        until, wait = time.monotonic() + timeout, _FIRST_WAIT_SECONDS
        found = asked
        while found.state == "due":
            if time.monotonic() + wait > until:
                raise Unavailable(
                    f"the import {asked.id} is not done yet: look again with `muniment vulndb list`;"
                    " without workers (`muniment worker`, or `serve` with jobs) nothing imports it"
                )
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT_SECONDS)
            found = self.database_import(asked.id)
            told(found)
        return found

    def database_import(self, import_id: str) -> DatabaseImport:
        """How far an import is."""
        return self._transport.get(api("vulnerability-imports", import_id), DatabaseImport)

    def databases(
        self, *, ecosystem: str | None = None, every: bool = False
    ) -> list[VulnerabilityDatabase]:
        """The newest snapshot of each ecosystem; `every` snapshot there ever was, newest first."""

        def page_at(cursor: str | None) -> Page[VulnerabilityDatabase]:
            query = {"ecosystem": ecosystem, "all": "true" if every else None, "cursor": cursor}
            path = api("vulnerability-databases")
            return self._transport.get(path, Page[VulnerabilityDatabase], query)

        return list(all_items(page_at))

    def database(self, database_id: str) -> VulnerabilityDatabase:
        """One snapshot.

        Raises:
            NotFound: there is none of that id.
        """
        return self._transport.get(
            api("vulnerability-databases", database_id), VulnerabilityDatabase
        )


@contextlib.contextmanager
def _as_one_file(path: Path, ecosystem: str) -> Iterator[LocalFile]:
    """Give the file to send: that at `path`, or a zip of the records in a directory."""
    if path.is_file() and (ecosystem == _KEV or path.suffix.lower() != ".json"):
        yield find_files(path)[0]
        return
    if not path.exists():
        raise BadPath(f"there is no file or directory `{path}`")
    records = [path] if path.is_file() else sorted(path.rglob("*.json"))
    if not records:
        raise BadPath(f"expected OSV records (`.json`) in `{path}`, found none")
    with tempfile.TemporaryDirectory(prefix="muniment-") as folder:
        packed = Path(folder) / f"{path.stem or 'records'}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for record in records:
                name = record.name if path.is_file() else record.relative_to(path).as_posix()
                archive.writestr(
                    zipfile.ZipInfo(name, _EPOCH), record.read_bytes(), zipfile.ZIP_DEFLATED
                )
        yield find_files(packed)[0]
