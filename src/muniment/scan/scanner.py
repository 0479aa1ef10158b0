"""One file, scanned by what its bytes are.

1. The format is told from the bytes, and its validator reads the file.
2. What is of no known format is unscannable.
3. A file may be two things: one that is no pickle and could be followed as one, and one that is no
   zip and ends as one, are scanned as that too.

Source: R-085, R-095.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

from muniment.scan.containers.compressed import scan_compressed
from muniment.scan.containers.tars import scan_tar
from muniment.scan.containers.zips import scan_zip
from muniment.scan.context import Context, StopScan
from muniment.scan.formats import archives, following
from muniment.scan.formats.detection import HEAD_BYTES, TAIL_BYTES, detect
from muniment.scan.pickles.streams import scan_stream
from muniment.scan.reader import Reader
from muniment.scan.records import DEFAULT_LIMITS, FileReport, Format, Limits, verdict_of
from muniment.scan.validators import others, texts
from muniment.scan.validators.gguf import check_gguf
from muniment.scan.validators.hdf5 import check_hdf5
from muniment.scan.validators.npy import check_npy
from muniment.scan.validators.onnx import check_onnx
from muniment.scan.validators.safetensors import check_safetensors
from muniment.scan.validators.saved_model import check_saved_model
from muniment.scan.validators.xml import check_xml

Validator = Callable[[Reader, Context], None]


def _nothing(reader: Reader, context: Context) -> None:
    """An empty file."""
    del reader, context


def _native(reader: Reader, context: Context) -> None:
    del reader
    context.found("native.code", "a program for a machine")


_ZIPS: Final = ("zip", "npz", "torch", "torchscript", "keras")
VALIDATORS: Final[dict[str, Validator]] = {
    "empty": _nothing,
    **dict.fromkeys(("pickle", "joblib"), scan_stream),
    **dict.fromkeys(_ZIPS, scan_zip),
    "tar": scan_tar,
    **{
        f"{how}-compressed": partial(scan_compressed, how=how)
        for how in ("gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "zstd")
    },
    **dict.fromkeys(("elf", "pe", "mach-o", "wasm"), _native),
    "script": texts.check_script,
    **dict.fromkeys(("text", "mlmodel", "lightgbm-text"), texts.check_text),
    **dict.fromkeys(("json", "xgboost-json"), texts.check_json),
    **dict.fromkeys(("xml", "pmml"), check_xml),
    "npy": check_npy,
    "safetensors": check_safetensors,
    "gguf": check_gguf,
    "onnx": check_onnx,
    "tensorflow-saved-model": check_saved_model,
    "hdf5": check_hdf5,
    "xgboost-ubj": others.check_ubjson,
    "parquet": others.check_parquet,
    "arrow": others.check_arrow,
    "png": others.check_png,
}
#: Formats that hold any bytes as they are: that these could be followed as a pickle says nothing.
_FOLLOWED: Final = frozenset({"pickle", "joblib", "empty"})


def _scan(reader: Reader, context: Context) -> Format:
    head = reader.read(0, HEAD_BYTES)
    size_bytes = reader.size_bytes
    small = size_bytes <= HEAD_BYTES
    tail = head if small else reader.read(max(0, size_bytes - TAIL_BYTES), TAIL_BYTES)
    found = detect(head, tail, size_bytes)
    context.totals.executable |= found.executable
    validator = VALIDATORS.get(found.name)
    with context.ending():
        if validator is None:
            raise context.stop("unscannable.format", f"a file of format {found.name}")
        validator(reader, context)
    with context.ending():
        _also(reader, context, found, head, tail)
    return found


def _also(reader: Reader, context: Context, found: Format, head: bytes, tail: bytes) -> None:
    """Scan a file as what else it could be taken for."""
    if found.name not in _ZIPS and archives.ends_as_zip(tail, reader.size_bytes):
        context.found("zip.hidden", "behind other bytes, an archive begins")
        scan_zip(reader, context)
    if found.name not in _FOLLOWED and following.calls_an_import(head):
        context.found("pickle.polyglot", "as a pickle, it runs something", 0)


def _scan_inside(reader: Reader, context: Context) -> None:
    _scan(reader, context)


def scan(
    reader: Reader,
    name: str,
    *,
    siblings: frozenset[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> FileReport:
    """Return what `reader`, a file called `name`, is, and all that is wrong with it.

    `siblings` are the paths of the artifact's files, where they are known. Memory is bounded by
    `limits` whatever the file holds; time is not, see `muniment.scan.process`.
    """
    return scan_with_pickles(reader, name, siblings=siblings, limits=limits)[0]


def scan_with_pickles(
    reader: Reader,
    name: str,
    *,
    siblings: frozenset[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[FileReport, list[Reader]]:
    """Return the same, and the streams of pickles that were met, for others to look at."""
    context = Context(name, limits=limits, siblings=siblings, scan=_scan_inside)
    found = Format("unknown")
    with contextlib.suppress(StopScan):
        found = _scan(reader, context)
    findings = tuple(context.findings)
    executable = context.totals.executable
    verdict = verdict_of(findings, executable=executable)
    report = FileReport(found.name, executable, verdict, findings)
    return report, context.totals.pickled
