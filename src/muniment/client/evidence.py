"""Evidence: add tools' own files to a version, list them, bring them back, see what they cover."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muniment.client.files import LocalFile, find_files
from muniment.client.paging import all_items
from muniment.client.progress import OnProgress
from muniment.client.records import AddedEvidence, Coverage, Evidence, Page, UploadSession, Version
from muniment.client.transport import Transport, api
from muniment.client.upload import Upload
from muniment.client.versions import Versions, version_path
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadPath, DigestMismatch

#: How the identifier of a composite begins.
CVI = "cvi1-"
PathLike = str | os.PathLike[str]


class EvidenceCalls:
    """Calls about evidence. `ref` is `[NAMESPACE/]NAME@VERSION`, `…@alias` or `…@7`.

    Where it says so, it may be a composite's identifier (`cvi1-…`) too.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._versions = Versions(transport)

    def add(
        self,
        ref: str,
        files: PathLike | Sequence[PathLike],
        *,
        kind: str | None = None,
        contexts: Mapping[str, PathLike] | PathLike | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[AddedEvidence]:
        """Send files and record them as evidence of `ref` (or a composite), all or none.

        Returns what each said.

        The format is told from the content; `kind` says what all of them must be (`other` keeps any
        file unread). `contexts` maps the names of files to the files that say what their runs were
        made with; one path alone is the context of a single file. May be repeated: the same file is
        recorded once. `dry_run` reads everything and records nothing.

        Raises:
            BadPath: a file is not there, or two have one name. Nothing is sent.
            BadEvidence: some file cannot be taken; `problems` names each, with its place.
        """
        path, namespace, name = self._subject(ref)
        sources = [files] if isinstance(files, str | os.PathLike) else list(files)
        local = {Path(source).name: _one(source) for source in sources}
        if len(local) != len(sources):
            raise BadPath("expected files of different names; add those of one name one by one")
        named = _contexts(contexts, list(local))
        digests, session = self._send(namespace, name, local, named, on_progress)
        body = {
            "upload_id": session.id,
            "dry_run": dry_run,
            "files": [
                {
                    "name": name,
                    "sha256": digests[f"file/{name}"].hex,
                    "kind": kind,
                    "context_sha256": digests[f"context/{name}"].hex if name in named else None,
                }
                for name in local
            ],
        }
        return self._transport.send("POST", path, body, Page[AddedEvidence]).items

    def _subject(self, ref: str) -> tuple[str, str, str]:
        """Where the evidence of `ref` is, and the namespace and name its files are sent under."""
        if ref.startswith(CVI):
            one = self._transport.get(api("composites", ref), dict[str, Any])
            return api("composites", ref, "evidence"), one["namespace"], "composites"
        version = self._versions.get(ref)
        return version_path(version, "evidence"), version.namespace, version.name

    def _of(self, ref: str, *more: str) -> str:
        if ref.startswith(CVI):
            return api("composites", ref, "evidence", *more)
        return version_path(self._versions.get(ref), "evidence", *more)

    def _send(
        self,
        namespace: str,
        name: str,
        local: Mapping[str, LocalFile],
        contexts: Mapping[str, LocalFile],
        on_progress: OnProgress | None,
    ) -> tuple[dict[str, Digest], UploadSession]:
        scope = {"namespace": namespace, "name": name}
        session = self._transport.send("POST", api("uploads"), scope, UploadSession)
        every = [_renamed(f"file/{each}", file) for each, file in local.items()]
        every += [_renamed(f"context/{each}", file) for each, file in contexts.items()]
        return Upload(self._transport, session, on_progress).run(every), session

    def list_(self, ref: str, *, kind: str | None = None, earlier: bool = False) -> list[Evidence]:
        """The evidence of a version or composite, oldest first.

        `earlier` adds that of a version's earlier versions.
        """
        path = self._of(ref)

        def page_at(cursor: str | None) -> Page[Evidence]:
            params = {"kind": kind, "earlier": "true" if earlier else None, "cursor": cursor}
            return self._transport.get(path, Page[Evidence], params)

        return list(all_items(page_at))

    def of_version(self, version: Version, *, kind: str | None = None) -> list[Evidence]:
        """The evidence of a version that was looked up already, oldest first."""
        path = version_path(version, "evidence")

        def page_at(cursor: str | None) -> Page[Evidence]:
            return self._transport.get(path, Page[Evidence], {"kind": kind, "cursor": cursor})

        return list(all_items(page_at))

    def read_file(self, version: Version, evidence: Evidence) -> bytes:
        """The file of a piece of evidence, byte for byte, checked against its digest.

        Raises:
            DigestMismatch: the registry sent other bytes.
        """
        return self._file(version_path(version, "evidence", str(evidence.id), "file"), evidence)

    def _file(self, path: str, evidence: Evidence) -> bytes:
        data = self._transport.request("GET", path).content
        if digest_of(data) != Digest.parse(evidence.digest):
            raise DigestMismatch(f"expected {evidence.digest}, found {digest_of(data)}")
        return data

    def get(self, ref: str, evidence_id: str) -> Evidence:
        """One piece of evidence of a version or composite, with all that was read of it (`parsed`).

        Raises:
            NotFound: it has none of that id.
        """
        return self._transport.get(self._of(ref, evidence_id), Evidence)

    def components(self, ref: str, evidence_id: str) -> list[dict[str, Any]]:
        """The components of an SBOM, in the order of its file."""
        path = version_path(self._versions.get(ref), "evidence", evidence_id, "components")

        def page_at(cursor: str | None) -> Page[dict[str, Any]]:
            params = {"cursor": cursor, "limit": 500}
            return self._transport.get(path, Page[dict[str, Any]], params)

        return list(all_items(page_at))

    def read(self, ref: str, evidence_id: str) -> bytes:
        """The file of a piece of evidence of a version or composite, checked against its digest.

        Raises:
            DigestMismatch: the registry sent other bytes.
        """
        return self._file(self._of(ref, evidence_id, "file"), self.get(ref, evidence_id))

    def reparse(self, ref: str, evidence_id: str) -> dict[str, Any]:
        """Have the registry read the file again: `same`, and if not `differences`."""
        path = version_path(self._versions.get(ref), "evidence", evidence_id, "reparse")
        return self._transport.get(path, dict[str, Any])

    def _judged(self, ref: str, what: str) -> str:
        """Return the path of something that follows from a version's or a composite's evidence."""
        if ref.startswith(CVI):
            return api("composites", ref, what)
        return version_path(self._versions.get(ref), what)

    def coverage(self, ref: str, *, max_age_days: int | None = None) -> Coverage:
        """How far the evaluations of a version (or a composite's own) cover the six dimensions."""
        path = self._judged(ref, "coverage")
        return self._transport.get(path, Coverage, {"max_age_days": max_age_days})

    def gates(
        self, ref: str, *, plan: str | None = None, dry_run: bool = False
    ) -> list[AddedEvidence]:
        """Run a plan's gates on the version (or a composite); each gate's record becomes evidence.

        `plan` is the id the plan was recorded as; the asset's newest if not given, of a composite its
        own newest or else that of its first member that has one.

        Raises:
            NotFound: there is no such plan.
        """
        path = self._judged(ref, "gates")
        body = {"plan": plan, "dry_run": dry_run}
        return self._transport.send("POST", path, body, Page[AddedEvidence]).items

    def sbom(self, ref: str) -> dict[str, Any]:
        """The ML-BOM of the version: CycloneDX 1.7, as JSON."""
        return self._transport.get(version_path(self._versions.get(ref), "sbom"), dict[str, Any])


def _one(source: PathLike) -> LocalFile:
    if Path(source).is_dir():
        raise BadPath(f"expected a file, found the directory `{source}`")
    return find_files(source)[0]


def _renamed(path: str, file: LocalFile) -> LocalFile:
    return LocalFile(path, file.source, file.size_bytes, file.modified_ns)


def _contexts(
    given: Mapping[str, PathLike] | PathLike | None, names: list[str]
) -> dict[str, LocalFile]:
    if given is None:
        return {}
    if isinstance(given, str | os.PathLike):
        if len(names) != 1:
            raise BadPath("one context is of one file: add the files one by one")
        return {names[0]: _one(given)}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise BadPath(f"expected a context of one of {', '.join(names)}, found one of {unknown[0]}")
    return {name: _one(source) for name, source in given.items()}
