"""Ecosystem dumps: a zip with one JSON record in each file, as osv.dev publishes them.

The zip is from outside: nothing is extracted by its name, and neither its directory nor any member
takes more memory than allowed. Anything out of the ordinary refuses the whole file.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from muniment.server.evidence import Limits, problem
from muniment.server.vulnerabilities.rules.advisories import Unusable

#: As many as 500 000 members; the largest ecosystem has 220 000.
MAX_DIRECTORY_BYTES: Final = 24 << 20
MAX_RECORD_BYTES: Final = 16 << 20
MAX_UNPACKED_BYTES: Final = 8 << 30
#: How a record is read: no record of osv.dev comes near to either.
LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=32, max_values=1_000_000)

_ENCRYPTED: Final = 0x1
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,  # and NotImplementedError, for unknown compressions
    OverflowError,
)


class _Bounded:
    """A file of which nobody reads the whole at once: the directory of a zip is read in one piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(
            min(size, MAX_DIRECTORY_BYTES + 1) if size >= 0 else MAX_DIRECTORY_BYTES + 1
        )
        if len(data) > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is larger than allowed")
        return data


@dataclass(frozen=True, slots=True)
class Member:
    """One record's file: where it is, for messages, and its bytes."""

    place: str
    data: bytes


class Dump:
    """An opened dump. `count` is of its records. Close it."""

    def __init__(self, path: Path, name: str) -> None:
        """Open the file at `path`, which its sender calls `name`.

        Raises:
            Unusable: it is no zip, or has what no dump has.
        """
        self._name = name
        self._file = path.open("rb")
        try:
            self._zip = zipfile.ZipFile(cast("IO[bytes]", _Bounded(self._file)))
            self._members = [one for one in self._zip.infolist() if _is_record(one)]
        except _BROKEN as error:
            self._file.close()
            message = f"expected a zip of OSV records, found a broken one: {str(error)[:200]}"
            raise Unusable([problem(name, message, _GIVE)]) from None
        problems = list(self._problems())
        if problems:
            self._file.close()
            raise Unusable(problems[:100])
        self.count = len(self._members)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _problems(self) -> Iterator[dict[str, Any]]:
        if not self._members:
            yield problem(self._name, "expected OSV records (`.json`), found none", _GIVE)
        seen: set[str] = set()
        total = 0
        for one in self._members:
            place = f"{self._name}!{one.filename[:100]!r}"
            total += one.file_size
            if one.filename in seen:
                yield problem(place, "expected each name once, found it again")
            seen.add(one.filename)
            if one.flag_bits & _ENCRYPTED:
                yield problem(place, "expected no encrypted file")
            if _leaves(one.filename):
                yield problem(place, "expected names inside the zip")
            if one.file_size > MAX_RECORD_BYTES:
                yield problem(
                    place, f"expected at most {MAX_RECORD_BYTES} bytes, found {one.file_size}"
                )
        if total > MAX_UNPACKED_BYTES:
            message = f"unpacks to more than the {MAX_UNPACKED_BYTES} bytes allowed"
            yield problem(self._name, message, _GIVE)

    def members(self) -> Iterator[Member]:
        """Yield every record's file, in the order of the directory.

        Raises:
            Unusable: one cannot be unpacked, or to more than it says.
        """
        for one in self._members:
            place = f"{self._name}!{one.filename}"
            try:
                with self._zip.open(one) as file:
                    data = file.read(one.file_size + 1)
            except _BROKEN as error:
                message = f"cannot be unpacked: {str(error)[:200]}"
                raise Unusable([problem(place, message)]) from None
            if len(data) != one.file_size:
                raise Unusable([problem(place, "unpacks to another size than it says")])
            yield Member(place, data)


_GIVE: Final = "give an ecosystem's `all.zip` of osv.dev, or a directory of its records"


def _is_record(one: zipfile.ZipInfo) -> bool:
    return not one.is_dir() and one.filename.lower().endswith(".json")


def _leaves(name: str) -> bool:
    return (
        name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or "\0" in name
    )
