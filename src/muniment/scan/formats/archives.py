"""What a zip is, told from its members' names; only the end of the file may be at hand.

Names prove nothing: an archive is called harmless only if it is empty, or all of its members are at
hand and are arrays of numbers.

Source: APPNOTE.TXT (zip); PyTorch's, Keras's and NumPy's own formats.
"""

from __future__ import annotations

import ast
import io
import lzma
import re
import struct
import zipfile
import zlib
from typing import Final

from muniment.scan.records import Format

NPY_MARK: Final = b"\x93NUMPY"
_ANY_ZIP: Final = Format("zip", executable=True)
#: The types of elements that are numbers, text, times or plain bytes; NumPy has many names for
#: the others, pickled objects among them.
_PLAIN: Final = re.compile(r"[|<>=]?([?biufcSUV]\d*|[mM]8?(\[\w+\])?)")
_NPY_HEAD_BYTES: Final = 4 << 10  # a thousand of these are unpacked at most
_MEMBERS_READ: Final = 1000
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,  # encrypted; and NotImplementedError, for unknown compressions
)


def zip_format(tail: bytes, size_bytes: int) -> Format:
    """Return what a zip of `size_bytes` is whose last bytes are `tail`."""
    try:
        with zipfile.ZipFile(_Ending(size_bytes - len(tail), tail)) as archive:
            return _of_members(archive)
    except _UNREADABLE:
        return _ANY_ZIP  # what cannot be listed is not called harmless


def ends_as_zip(tail: bytes, size_bytes: int) -> bool:
    """Say whether what reads zips takes a file of `size_bytes` that ends with `tail` for one."""
    try:
        return zipfile.is_zipfile(_Ending(size_bytes - len(tail), tail))
    except EOFError:
        return True  # its marks lead to what is not at hand


def _of_members(archive: zipfile.ZipFile) -> Format:
    names = archive.namelist()
    bases = {name.rsplit("/", 1)[-1] for name in names}
    if "config.json" in bases and {"metadata.json", "model.weights.h5"} & bases:
        return Format("keras", executable=True)
    if "data.pkl" in bases:
        scripted = "constants.pkl" in bases or any("/code/" in f"/{name}" for name in names)
        return Format("torchscript" if scripted else "torch", executable=True)
    if names and all(name.endswith(".npy") for name in names):
        return Format("npz", executable=_has_objects(archive))
    return Format("zip", executable=bool(names))


def _has_objects(archive: zipfile.ZipFile) -> bool:
    """Say whether some member is, or may be, an array of pickled objects."""
    members = archive.infolist()
    if len(members) > _MEMBERS_READ:
        return True
    try:
        return any(_is_of_objects(archive, one) for one in members)
    except _UNREADABLE:
        return True


def _is_of_objects(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> bool:
    with archive.open(one) as member:
        return has_objects(member.read(_NPY_HEAD_BYTES))


def has_objects(head: bytes) -> bool:
    """Say whether what begins with `head` is an array with pickled objects in it, or may be.

    Source: NEP 1 (the .npy format).
    """
    if not head.startswith(NPY_MARK):
        return False  # to NumPy too these are then plain bytes
    width = 2 if head[6:7] == b"\x01" else 4
    start = 8 + width
    end = start + int.from_bytes(head[8:start], "little")
    said = head[start:end]
    if end > len(head) or b"\\" in said:
        return True
    try:
        return not _plain(ast.literal_eval(said.decode("latin-1").strip())["descr"])
    except (SyntaxError, ValueError, TypeError, LookupError, RecursionError, MemoryError):
        return True


def _plain(elements: object) -> bool:
    """Say whether an array of such `elements` (a type, fields, or a type and a shape) is plain."""
    match elements:
        case str():
            return _PLAIN.fullmatch(elements) is not None
        case list():
            return all(isinstance(one, tuple) and _plain(one[1]) for one in elements)
        case tuple():
            return _plain(elements[0])
    return False


class _Ending(io.RawIOBase):
    """A seekable file of which only the end can be read."""

    def __init__(self, padding: int, tail: bytes) -> None:
        self._padding, self._tail, self._at = padding, tail, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._padding + len(self._tail)
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning of the file")  # as zipfile expects of a file
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        if self._at < self._padding and size != 0:
            raise EOFError("this part of the file is not at hand")
        start = self._at - self._padding
        wanted = len(self._tail) if size is None or size < 0 else size
        found = self._tail[start : start + wanted]
        self._at += len(found)
        return found
