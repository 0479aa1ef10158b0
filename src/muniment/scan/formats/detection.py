"""What a file is, told from its bytes and never from its name.

First match wins, from the most certain mark to the least. `executable` says that loading the file
with the library it is for may run code that is in it: such files are flagged, and policy may refuse
them. A file is called harmless only after it was followed as a pickle too, because it may be both;
what is not known is `unknown`.

Source: R-010, R-095; the formats' own specifications for the marks.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from typing import Final

from muniment.scan.formats import archives, following
from muniment.scan.formats.following import Finding
from muniment.scan.records import Format, Formats

#: How much of a file's beginning and end `detect` wants to see.
HEAD_BYTES: Final = 64 << 10
TAIL_BYTES: Final = 256 << 10

UNKNOWN: Final = Format("unknown")
#: Protobuf tags of ONNX's ModelProto: field 1 (ir_version), and what may come after it.
_IR_VERSION: Final = 0x08
_IR_VERSIONS: Final = range(1, 31)
_ONNX_FIELDS: Final = frozenset({0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x72})
_PICKLE_PROTOCOLS: Final = tuple(bytes([number]) for number in range(16))  # six are known
_HDF5_MARK: Final = b"\x89HDF\r\n\x1a\n"
_SAFETENSORS_HEADERS: Final = range(2, (100 << 20) + 1)  # length in bytes
_TAR_BLOCK: Final = 512


def detect(head: bytes, tail: bytes, size_bytes: int) -> Format:
    """Return what a file of `size_bytes` is, whose first and last bytes are `head` and `tail`.

    A file that fits is passed whole as both.
    """
    if size_bytes == 0:
        return Format("empty")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return archives.zip_format(tail, size_bytes)
    found = _marked(head) or _tested(head, size_bytes)
    if found.executable:
        return found
    as_pickle = following.follow(head, size_bytes)
    if as_pickle is Finding.PICKLE:
        return _pickle(head)
    # What reads zips finds them from their end, whatever stands before them.
    hides = as_pickle is Finding.UNSURE or archives.ends_as_zip(tail, size_bytes)
    return dataclasses.replace(found, executable=True) if hides else found


def summary(found: Iterable[Format]) -> Formats:
    """Return the formats of all files of an artifact together."""
    formats = set(found)
    names = tuple(sorted({one.name for one in formats}))
    return Formats(names, executable=any(one.executable for one in formats))


def _pickle(head: bytes) -> Format:
    name = "joblib" if b"joblib.numpy_pickle" in head[:4096] else "pickle"
    return Format(name, executable=True)


def _marked(head: bytes) -> Format | None:
    if head[:1] == b"\x80" and head[1:2] in _PICKLE_PROTOCOLS:
        return _pickle(head)
    for offset, mark, found in _MARKS:
        if head.startswith(mark, offset):
            return found
    if head.startswith(archives.NPY_MARK):
        return Format("npy", executable=archives.has_objects(head))
    return Format("tar", executable=True) if _is_tar(head) else None


def _compressed(how: str) -> Format:
    """Joblib and cloudpickle write compressed pickles; what is inside is not known."""
    return Format(f"{how}-compressed", executable=True)


#: HDF5's superblock is at the beginning, or after a user block whose size is a power of two.
#: Keras's Lambda layers live in such files.
_HDF5_PLACES: Final = (0, *(512 << power for power in range(7)))
#: The dangerous first: a file may have the marks of two.
_MARKS: Final[tuple[tuple[int, bytes, Format], ...]] = (
    (0, b"\x1f\x8b", _compressed("gzip")),
    (0, b"BZh", _compressed("bzip2")),
    (0, b"\xfd7zXZ\x00", _compressed("xz")),
    (0, b"\x5d\x00", _compressed("lzma")),
    (0, b"\x04\x22\x4d\x18", _compressed("lz4")),
    (0, b"\x28\xb5\x2f\xfd", _compressed("zstd")),
    *((0, mark, _compressed("zlib")) for mark in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")),
    (0, b"ZF0x", _compressed("zlib")),  # joblib before 0.10
    (0, b"7z\xbc\xaf\x27\x1c", Format("7z", executable=True)),
    (0, b"Rar!\x1a\x07", Format("rar", executable=True)),
    (0, b"\x7fELF", Format("elf", executable=True)),
    (0, b"MZ", Format("pe", executable=True)),
    (0, b"\xcf\xfa\xed\xfe", Format("mach-o", executable=True)),
    (0, b"\xca\xfe\xba\xbe", Format("mach-o", executable=True)),  # or a Java class
    (0, b"\x00asm", Format("wasm", executable=True)),
    (0, b"\xac\xed\x00\x05", Format("java-serialized", executable=True)),
    (0, b"RDX2\n", Format("r-serialized", executable=True)),
    (0, b"RDX3\n", Format("r-serialized", executable=True)),
    (0, b"X\n\x00\x00\x00", Format("r-serialized", executable=True)),
    (0, b"#!", Format("script", executable=True)),
    *((place, _HDF5_MARK, Format("hdf5", executable=True)) for place in _HDF5_PLACES),
    (0, b"GGUF", Format("gguf")),
    (0, b"PAR1", Format("parquet")),
    (0, b"ARROW1", Format("arrow")),
    (0, b"\x89PNG\r\n\x1a\n", Format("png")),
    (0, b"%PDF-", Format("pdf")),
    (4, b"TFL3", Format("tflite")),
)


def _is_tar(head: bytes) -> bool:
    """Say whether the first block's checksum is right: PyTorch's oldest files are such.

    Source: POSIX.1-2017, pax, "ustar Interchange Format"; older tar has the same checksum.
    """
    block = head[:_TAR_BLOCK]
    stored = re.match(rb"[ \0]*([0-7]+)[ \0]", block[148:156])
    if stored is None or len(block) < _TAR_BLOCK:
        return False
    return int(stored[1], 8) == sum(block[:148]) + 8 * 0x20 + sum(block[156:])


def _tested(head: bytes, size_bytes: int) -> Format:
    found = (test(head, size_bytes) for test in _TESTS)
    return next((one for one in found if one is not None), UNKNOWN)


def _safetensors(head: bytes, size_bytes: int) -> Format | None:
    length = int.from_bytes(head[:8], "little")
    plausible = length in _SAFETENSORS_HEADERS and length <= size_bytes - 8
    return Format("safetensors") if plausible and head[8:9] == b"{" else None


def _saved_model(head: bytes, size_bytes: int) -> Format | None:
    """TensorFlow's SavedModel: field 1 (schema version 1), field 2 (a meta graph).

    An ONNX file of 2017 (version 1) may begin alike; it is called the more dangerous of the two.
    """
    del size_bytes
    if head[:3] == b"\x08\x01\x12":
        return Format("tensorflow-saved-model", executable=True)
    return None


def _onnx(head: bytes, size_bytes: int) -> Format | None:
    """ONNX's ModelProto begins with field 1 (ir_version, varint), then producer or graph."""
    del size_bytes
    field, version, following = (*head[:3], 0, 0, 0)[:3]
    if field != _IR_VERSION or version not in _IR_VERSIONS:
        return None
    return Format("onnx") if following in _ONNX_FIELDS else None


def _text(head: bytes, size_bytes: int) -> Format | None:
    whole = len(head) >= size_bytes
    try:
        text = head.decode("utf-8") if whole else _cut(head)
    except UnicodeDecodeError:
        return None
    if any(ord(char) < 32 and char not in "\t\n\r\f" for char in text):  # noqa: PLR2004 -- controls
        return None
    return _kind_of_text(text.lstrip("\ufeff \t\r\n"), whole=whole)


def _cut(head: bytes) -> str:
    """Decode text that may end in the middle of a character."""
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise
        return head[: error.start].decode("utf-8")


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
    _text,
    _ubjson,
)
