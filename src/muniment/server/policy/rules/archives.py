"""A bundle as one `.tar.gz`: read as something hostile, written the same for the same files.

Taken are plain files under relative, plain paths, once each, and folders; nothing is unpacked to a
disk. Sizes are counted as bytes are unpacked, whatever the archive says of itself.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from typing import Final

from muniment.core.canon import canonical
from muniment.core.errors import BadPolicy
from muniment.server.policy.records import Bundle
from muniment.server.policy.rules.bundles import ASKED, MANIFEST, asked

MAX_PACKED_BYTES: Final = 2 * 1024 * 1024
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_FILES: Final = 1000
_OWN_BYTES: Final = 2048  # what tar adds to a member, headers and padding


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive by path.

    Raises:
        BadPolicy: it is no such archive, too large, or has what a bundle does not.
    """
    if len(data) > MAX_PACKED_BYTES:
        raise BadPolicy(f"expected at most {MAX_PACKED_BYTES:,} bytes packed, found {len(data):,}")
    most = MAX_BYTES + MAX_FILES * _OWN_BYTES
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadPolicy(f"expected a .tar.gz, found something else: {str(error)[:200]}") from None
    if len(plain) > most:
        raise BadPolicy(f"expected at most {MAX_BYTES:,} bytes unpacked, found more")
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:", errors="strict") as archive:
            return _members(archive)
    # The library answers what is hostile in many ways: chains of headers by RecursionError.
    except (
        tarfile.TarError,
        ValueError,
        ArithmeticError,
        EOFError,
        LookupError,
        RecursionError,
    ) as error:
        raise BadPolicy(f"expected a .tar.gz, found something else: {str(error)[:200]}") from None


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse more files, or more bytes, than a bundle may have.

    Raises:
        BadPolicy: so it is.
    """
    if len(sizes) > MAX_FILES:
        raise BadPolicy(f"expected at most {MAX_FILES} files, found more")
    if sum(sizes.values()) > MAX_BYTES:
        raise BadPolicy(f"expected at most {MAX_BYTES:,} bytes in all, found more")


def pack(bundle: Bundle) -> bytes:
    """Return the bundle for an agent: a `.tar.gz` that says its digest as revision.

    The same bytes for the same bundle, wherever and whenever: no names, owners or times of this
    machine are in it, and files lie in the order of their paths. Fixtures go with it: the digest is of
    all files.

    Source: OPA management API, "Bundle file format".
    """
    roots = sorted({"muniment", *bundle.data})
    # YAML of fixtures is not data of the agent, which reads `data.json` and `data.yaml` alone.
    files = {
        **bundle.files,
        MANIFEST: canonical({"revision": bundle.digest, "roots": roots, "rego_version": 1}),
        ASKED: asked(bundle.rules).encode(),
    }
    held = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=held, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, data in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def _members(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number, member in enumerate(archive):
        if number >= 2 * MAX_FILES:
            raise BadPolicy(f"expected at most {MAX_FILES} files, found more")
        if member.isdir():
            continue
        path = member.name.removeprefix("./")
        shown = ascii(path[:200])
        if not member.isreg() or member.issparse():
            raise BadPolicy(f"expected plain files alone, found {shown}, which is something else")
        plain = path.isprintable() and "\\" not in path and ".." not in path.split("/")
        if not path or path.startswith("/") or not plain:
            raise BadPolicy(f"expected relative, plain paths, found {shown}")
        if path in files:
            raise BadPolicy(f"expected each file once, found {shown} again")
        held = archive.extractfile(member)
        files[path] = b"" if held is None else held.read()
    check_sizes({path: len(data) for path, data in files.items()})
    return files
