"""What a file is, told from its bytes and never from its name.

First match wins, from the most certain mark to the least. `executable` says that loading the file
with the library it is for may run code that is in it: such files are flagged, and policy may refuse
them. A format that only looks harmless is not called harmless: what is not known is `unknown`.

Source: R-010, R-095; the formats' own specifications for the marks.
"""

from __future__ import annotations

import io
import json
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Iterable
from typing import Final

from muniment.server.artifacts.records import Format, Formats

#: How much of a file's beginning and end `detect` wants to see.
HEAD_BYTES: Final = 64 << 10
TAIL_BYTES: Final = 256 << 10

UNKNOWN: Final = Format("unknown")
#: So much of a file without a mark is read as pickle operations, and so many must be right.
_PICKLE_BYTES: Final = 16 << 10
_PICKLE_OPERATIONS: Final = 200
#: Protobuf tags of ONNX's ModelProto: field 1 (ir_version), and what may come after it.
_IR_VERSION: Final = 0x08
_IR_VERSIONS: Final = range(1, 31)
_ONNX_FIELDS: Final = frozenset({0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x72})
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_SAFETENSORS_HEADER_MAX = 100 << 20


def detect(head: bytes, tail: bytes, size_bytes: int) -> Format:
    """Return what a file of `size_bytes` is, whose first and last bytes are `head` and `tail`.

    A file that fits is passed whole as both.
    """
    if size_bytes == 0:
        return Format("empty")
    found = _marked(head)
    if found is not None:
        return found
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(tail, size_bytes)
    for test in _TESTS:
        found = test(head, size_bytes)
        if found is not None:
            return found
    return UNKNOWN


def summary(found: Iterable[Format]) -> Formats:
    """Return the formats of all files of an artifact together."""
    formats = set(found)
    names = tuple(sorted({one.name for one in formats}))
    return Formats(names, executable=any(one.executable for one in formats))


def _marked(head: bytes) -> Format | None:
    for mark, found in _MARKS:
        if head.startswith(mark):
            return found
    if head[4:8] == b"TFL3":
        return Format("tflite")
    for mark, name in _COMPRESSED.items():
        if head.startswith(mark):
            # joblib and cloudpickle write compressed pickles; what is inside is not known.
            return Format(f"{name}-compressed", executable=True)
    if head[:1] == b"\x78" and head[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return Format("zlib-compressed", executable=True)
    return None


_MARKS: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"GGUF", Format("gguf")),
    (b"\x89HDF\r\n\x1a\n", Format("hdf5", executable=True)),  # Keras Lambda layers live in these
    (b"\x93NUMPY", Format("npy")),
    (b"7z\xbc\xaf\x27\x1c", Format("7z", executable=True)),
    (b"PAR1", Format("parquet")),
    (b"ARROW1", Format("arrow")),
    (b"\x7fELF", Format("elf", executable=True)),
    (b"MZ", Format("pe", executable=True)),
    (b"#!", Format("script", executable=True)),
    (b"\x89PNG\r\n\x1a\n", Format("png")),
    (b"%PDF-", Format("pdf")),
)


def _zip(tail: bytes, size_bytes: int) -> Format:
    names = _zip_names(tail, size_bytes)
    if names is None:
        return Format("zip", executable=True)  # what cannot be listed is not called harmless
    bases = {name.rsplit("/", 1)[-1] for name in names}
    if "config.json" in bases and {"metadata.json", "model.weights.h5"} & bases:
        return Format("keras", executable=True)
    if "data.pkl" in bases:
        scripted = "constants.pkl" in bases or any("/code/" in f"/{name}" for name in names)
        return Format("torchscript" if scripted else "torch", executable=True)
    if names and all(name.endswith(".npy") for name in names):
        return Format("npz")
    return Format("zip", executable=any(_may_run(name) for name in names))


def _may_run(name: str) -> bool:
    return name.endswith((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".py", ".pyc", ".so", ".h5"))


def _zip_names(tail: bytes, size_bytes: int) -> list[str] | None:
    """List the members of a zip of which only the end is at hand, or None if that is not enough."""
    padding = size_bytes - len(tail)
    try:
        with zipfile.ZipFile(_Ending(padding, tail)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, UnicodeDecodeError):
        return None


class _Ending(io.RawIOBase):
    """A seekable file of which only the end can be read."""

    def __init__(self, padding: int, tail: bytes) -> None:
        self._padding, self._tail, self._at = padding, tail, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence, self._padding + len(self._tail))
        if start + offset < 0:
            raise ValueError("before the beginning of the file")
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._at < self._padding and size != 0:
            raise EOFError("this part of the file is not at hand")
        start = self._at - self._padding
        found = self._tail[start:] if size < 0 else self._tail[start : start + size]
        self._at += len(found)
        return found


def _safetensors(head: bytes, size_bytes: int) -> Format | None:
    length = int.from_bytes(head[:8], "little")
    plausible = 2 <= length <= min(_SAFETENSORS_HEADER_MAX, size_bytes - 8)
    return Format("safetensors") if plausible and head[8:9] == b"{" else None


def _pickle(head: bytes, size_bytes: int) -> Format | None:
    """Protocols 2 to 5 have a mark. 0 and 1 have none: they are read operation by operation.

    Source: pickletools (the operations), PEP 307, PEP 3154, PEP 574 (the marks).
    """
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        name = "joblib" if b"joblib.numpy_pickle" in head[:4096] else "pickle"
        return Format(name, executable=True)
    return Format("pickle", executable=True) if _reads_as_pickle(head, size_bytes) else None


def _reads_as_pickle(head: bytes, size_bytes: int) -> bool:
    """Say whether `head` is operations to its end, or to a STOP that is the file's end."""
    count = 0
    try:
        for operation, _, position in pickletools.genops(head[:_PICKLE_BYTES]):
            count += 1
            if operation.name == "STOP":
                return count > 1 and position == size_bytes - 1
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError, struct.error):
        return count >= _PICKLE_OPERATIONS and size_bytes > _PICKLE_BYTES
    return False


def _onnx(head: bytes, size_bytes: int) -> Format | None:
    """ONNX's ModelProto begins with field 1 (ir_version, varint), then producer or graph."""
    del size_bytes
    field, version, following = (*head[:3], 0, 0, 0)[:3]
    if field != _IR_VERSION or version not in _IR_VERSIONS:
        return None
    return Format("onnx") if following in _ONNX_FIELDS else None


def _saved_model(head: bytes, size_bytes: int) -> Format | None:
    """TensorFlow's SavedModel: field 1 (schema version 1), field 2 (a meta graph)."""
    del size_bytes
    if head[:3] == b"\x08\x01\x12" and b"serve" in head:
        return Format("tensorflow-saved-model", executable=True)
    return None


def _text(head: bytes, size_bytes: int) -> Format | None:
    try:
        text = head.decode("utf-8") if len(head) >= size_bytes else _cut(head)
    except UnicodeDecodeError:
        return None
    if any(ord(char) < 32 and char not in "\t\n\r\f" for char in text):  # noqa: PLR2004 -- controls
        return None
    return _kind_of_text(text.lstrip("\ufeff \t\r\n"), whole=len(head) >= size_bytes)


def _cut(head: bytes) -> str:
    """Decode text that may end in the middle of a character."""
    for drop in range(4):
        try:
            return head[: len(head) - drop].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return head.decode("utf-8")


def _kind_of_text(text: str, *, whole: bool) -> Format:
    if text.startswith("<"):
        return Format("pmml" if "<PMML" in text[:4096] else "xml")
    if text.startswith("tree\n") and "num_class=" in text[:400]:
        return Format("lightgbm-text")
    if text.startswith(("{", "[")):
        return _json(text, whole=whole)
    if re.search(r"^flavors:", text, re.MULTILINE) and re.search(
        r"^(mlflow_version|model_uuid|run_id|artifact_path|utc_time_created):", text, re.MULTILINE
    ):
        return Format("mlmodel")
    return Format("text")


def _json(text: str, *, whole: bool) -> Format:
    if '"learner"' in text[:4096] and '"gradient_booster"' in text:
        return Format("xgboost-json")
    if whole:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return Format("text")
    return Format("json")


def _ubjson(head: bytes, size_bytes: int) -> Format | None:
    del size_bytes
    return Format("xgboost-ubj") if head[:1] == b"{" and b"learner" in head[:64] else None


_TESTS: Final[tuple[Callable[[bytes, int], Format | None], ...]] = (
    _safetensors,
    _saved_model,
    _onnx,
    _pickle,
    _ubjson,
    _text,
)
