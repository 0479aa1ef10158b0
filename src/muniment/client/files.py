"""The files of an artifact on this machine: found, measured, hashed once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from muniment.client.paths import check_paths
from muniment.core.digest import Digest
from muniment.core.errors import BadManifest, BadPath, DigestMismatch

CHUNK_BYTES = 1024 * 1024

#: What an artifact may be given as: one file, one directory, or several of either.
Artifact = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file: its path in the artifact, where it lies, and how it looked when found."""

    path: str
    source: Path
    size_bytes: int
    modified_ns: int


def sources_of(artifact: Artifact) -> list[Path]:
    """Return what was given as a list of paths."""
    if isinstance(artifact, str | os.PathLike):
        return [Path(artifact)]
    return [Path(item) for item in artifact]


def find_files(artifact: Artifact) -> list[LocalFile]:
    """List the files of `artifact`, sorted by path (code points).

    One directory gives its files by their paths below it. A file goes by its name; several
    directories go by theirs.

    Raises:
        BadPath: a symbolic link, a special file, or a path an artifact cannot have; all at once.
        BadManifest: there is no file at all.
    """
    sources = sources_of(artifact)
    alone = len(sources) == 1
    found: list[LocalFile] = []
    problems: list[dict[str, str]] = []
    for source in sources:
        name = source.name or source.resolve().name
        for path, at in _walk(source, "" if alone and source.is_dir() else name, problems):
            status = at.stat()
            found.append(LocalFile(path, at, status.st_size, status.st_mtime_ns))
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise BadPath(f"`{first['field']}` {first['message']}{more}", problems=problems)
    if not found:
        shown = ", ".join(f"`{source}`" for source in sources)
        raise BadManifest(f"expected at least one file in {shown}, found none")
    check_paths(file.path for file in found)
    return sorted(found, key=lambda file: file.path)


def _walk(at: Path, path: str, problems: list[dict[str, str]]) -> Iterator[tuple[str, Path]]:
    try:
        mode = at.lstat().st_mode
    except FileNotFoundError:
        problems.append({"field": str(at), "message": "does not exist"})
        return
    if stat.S_ISREG(mode):
        yield path, at
    elif stat.S_ISDIR(mode):
        for child in sorted(at.iterdir()):
            yield from _walk(child, f"{path}/{child.name}" if path else child.name, problems)
    elif stat.S_ISLNK(mode):
        message = "is a symbolic link; replace it by the file itself (`cp -L`)"
        problems.append({"field": str(at), "message": message})
    else:
        message = "is neither a file nor a directory; leave it out"
        problems.append({"field": str(at), "message": message})


def read_range(file: LocalFile, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes [start, end) in chunks of at most 1 MiB.

    Raises:
        DigestMismatch: the file became shorter.
    """
    with file.source.open("rb", buffering=0) as source:
        source.seek(start)
        left = end - start
        while left:
            chunk = source.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise changed(file)
            left -= len(chunk)
            yield chunk


def digest_of_file(file: LocalFile, seen: Callable[[int], None] = lambda _: None) -> Digest:
    """Return the SHA-256 of the file, telling `seen` how many bytes each step took.

    Raises:
        DigestMismatch: it changed while it was read.
    """
    hasher = hashlib.sha256()
    for chunk in read_range(file, 0, file.size_bytes):
        hasher.update(chunk)
        seen(len(chunk))
    check_unchanged(file)
    return Digest(hasher.digest())


def check_unchanged(file: LocalFile) -> None:
    """Accept a file that still has the size and time it was found with.

    Raises:
        DigestMismatch: it has not.
    """
    status = file.source.stat()
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.modified_ns):
        raise changed(file)


def changed(file: LocalFile) -> DigestMismatch:
    """Say that a file changed while it was being registered."""
    return DigestMismatch(
        f"`{file.source}` changed while it was read; nothing was registered: let its writer finish"
        " and register again",
        extra={"path": file.path},
    )
