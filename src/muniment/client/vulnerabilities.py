"""Vulnerabilities: databases of them, what they say of versions, and what we say of that (VEX)."""

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
from muniment.client.versions import Versions, version_path
from muniment.core.errors import BadEvidence, BadPath, Unavailable

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 3.0
_KEV = "KEV"
_MAX_VEX_BYTES = 1 << 20
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


class Finding(Record, frozen=True, kw_only=True):
    """One vulnerability of one component.

    `outcome` is `affected` or `undecided`; `severity` is `unknown` where nobody said. `open`: it
    still matters, with `vex`, the statement that decides. `expired_vex` is the last that is over.
    """

    name: str
    names: list[str]
    package: str
    outcome: str
    severity: str
    open: bool
    component: str = ""
    version: str | None = None
    purl: str | None = None
    advisories: list[str] = msgspec.field(default_factory=list)
    score: float | None = None
    vector: str | None = None
    summary: str = ""
    fixed_in: list[str] = msgspec.field(default_factory=list)
    exploited: dict[str, Any] | None = None
    vex: dict[str, Any] | None = None
    expired_vex: dict[str, Any] | None = None


class VersionStanding(Record, frozen=True, kw_only=True):
    """How a version stands: `no_sbom`, `no_database`, `open` or `none_open`.

    `counts` has `open` and `found` (without statements) by severity, `undecided`, `exploited` and
    `resolved`; `components` how many could be looked up.
    """

    version: str
    state: str
    version_id: str = ""
    counts: dict[str, Any] = msgspec.field(default_factory=dict)
    components: dict[str, Any] = msgspec.field(default_factory=dict)
    sboms: list[str] = msgspec.field(default_factory=list)


class Findings(VersionStanding, frozen=True, kw_only=True):
    """How a version stands, what it was held against, and its findings, the worst first."""

    at: dt.datetime | None = None
    databases: list[dict[str, Any]] = msgspec.field(default_factory=list)
    items: list[Finding] = msgspec.field(default_factory=list)
    next_cursor: str | None = None


class VexStatement(Record, frozen=True, kw_only=True):
    """A statement of a VEX document; `about` names the findings it is about now."""

    names: list[str]
    status: str
    justification: str = ""
    detail: str = ""
    author: str = ""
    added_by: dict[str, Any] = msgspec.field(default_factory=dict)
    added_at: dt.datetime | None = None
    expires_at: dt.datetime | None = None
    holds: bool = True
    about: list[str] = msgspec.field(default_factory=list)
    evidence_id: str | None = None


class AddedVex(Record, frozen=True, kw_only=True):
    """What became of a VEX document."""

    created: bool
    expires_at: dt.datetime
    items: list[VexStatement]
    evidence_id: str | None = None


class Vulnerabilities:
    """Calls about vulnerabilities: databases, findings, and statements about them (VEX)."""

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

    def of(self, ref: str, *, only_open: bool = False) -> Findings:
        """Return what is known to be wrong with what a version contains, now: all of it.

        With `only_open`, `items` are those that still matter.
        """
        path = version_path(self._versions.get(ref), "vulnerabilities")
        found: Findings | None = None
        items: list[Finding] = []
        cursor: str | None = None
        while found is None or cursor is not None:
            query = {"open": "true" if only_open else None, "limit": 500, "cursor": cursor}
            found = self._transport.get(path, Findings, query)
            items += found.items
            cursor = found.next_cursor
        return msgspec.structs.replace(found, items=items)

    def of_all(
        self, *, namespace: str | None = None, with_sbom: bool = False
    ) -> Iterator[VersionStanding]:
        """Yield how every version stands that one may read, the newest first."""

        def page_at(cursor: str | None) -> Page[VersionStanding]:
            query = {
                "namespace": namespace,
                "with_sbom": "true" if with_sbom else None,
                "limit": 100,
                "cursor": cursor,
            }
            return self._transport.get(api("vulnerabilities"), Page[VersionStanding], query)

        return all_items(page_at)

    def add_vex(
        self,
        ref: str,
        path: str | os.PathLike[str],
        *,
        expires_at: dt.datetime | None = None,
        dry_run: bool = False,
    ) -> AddedVex:
        """Add a VEX document to a version; it holds for 90 days if `expires_at` says nothing.

        The same document again, for as long, is there once. `dry_run` reads it and says which
        findings it is about; nothing is recorded.

        Raises:
            BadPath: there is no such file, or it is no text of at most 1 MiB. Nothing is sent.
            BadEvidence: it cannot be taken; `problems` names each place. Nothing is recorded.
        """
        body = {
            "name": Path(path).name[:200],
            "document": _text(Path(path)),
            "expires_at": expires_at,
            "dry_run": dry_run,
        }
        where = version_path(self._versions.get(ref), "vex")
        return self._transport.send("POST", where, body, AddedVex)

    def vex(self, ref: str) -> list[VexStatement]:
        """Every statement that was added to a version, the last first."""
        path = version_path(self._versions.get(ref), "vex")
        return self._transport.get(path, Page[VexStatement]).items


def _text(path: Path) -> str:
    if not path.is_file():
        raise BadPath(f"there is no file `{path}`")
    if path.stat().st_size > _MAX_VEX_BYTES:
        raise BadPath(
            f"expected at most {_MAX_VEX_BYTES} bytes, found {path.stat().st_size}: `{path}`"
        )
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise BadPath(f"expected UTF-8, found another encoding in `{path}`") from error


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
