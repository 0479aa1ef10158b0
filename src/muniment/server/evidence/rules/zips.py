"""Zip files whose members are read one by one, never more bytes than allowed.

What the directory of a zip says of sizes is not believed: bytes are counted as they are unpacked.
Refused: encrypted members, two of one name, names that leave the archive, more members than
`MAX_MEMBERS`, and what does not unpack to what its checksum says. Zstandard is read too: some tools
write it.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from typing import Final

from backports import zstd
from backports.zstd import zipfile

MAX_MEMBERS: Final = 20_000
_ENCRYPTED: Final = 0x1
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    zstd.ZstdError,
    struct.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,  # and NotImplementedError, for unknown compressions
)


class NotZip(ValueError):
    """Why a zip, or a member of one, cannot be taken, and what to do."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class Archive:
    """An opened zip. `names` are in the order of its directory; `left_bytes` may still be unpacked."""

    def __init__(self, archive: zipfile.ZipFile, left_bytes: int) -> None:
        self._archive = archive
        self.left_bytes = left_bytes
        self.names = tuple(one.filename for one in archive.infolist() if not one.is_dir())

    def read(self, name: str, most_bytes: int) -> bytes:
        """Unpack one member.

        Raises:
            NotZip: there is none, it is larger than allowed, or it cannot be unpacked.
        """
        if name not in self.names:
            raise NotZip("is not in the zip", "send the zip as the tool wrote it")
        most = min(most_bytes, self.left_bytes)
        try:
            with self._archive.open(name) as member:
                data = member.read(most + 1)
        except _UNREADABLE as error:
            raise NotZip(f"cannot be unpacked: {str(error)[:200]}") from None
        if len(data) > most:
            fix = "send the tool's summary without its samples"
            raise NotZip(f"unpacks to more than the {most} bytes allowed", fix)
        self.left_bytes -= len(data)
        return data


def open_zip(data: bytes, max_unpacked_bytes: int) -> Archive:
    """Open a zip that is at hand whole.

    Raises:
        NotZip: it cannot be listed, or has what no tool writes.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except _UNREADABLE as error:
        raise NotZip(f"expected a zip, found a broken one: {str(error)[:200]}") from None
    if len(members) > MAX_MEMBERS:
        raise NotZip(f"expected at most {MAX_MEMBERS} members, found {len(members)}")
    names = [one.filename for one in members]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise NotZip(f"expected each member once, found {twice[:80]!r} again")
    for one in members:
        if one.flag_bits & _ENCRYPTED:
            raise NotZip(f"expected no encrypted member, found {one.filename[:80]!r}")
        if one.filename.startswith(("/", "\\")) or ".." in one.filename.replace("\\", "/").split(
            "/"
        ):
            raise NotZip(f"expected names inside the zip, found {one.filename[:80]!r}")
    return Archive(archive, max_unpacked_bytes)
