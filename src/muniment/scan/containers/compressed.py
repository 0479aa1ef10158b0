"""One compressed thing: joblib's and others' pickles, archives, texts."""

from __future__ import annotations

from muniment.scan.containers.inflating import Inflated, available
from muniment.scan.context import Context
from muniment.scan.reader import Reader


def scan_compressed(reader: Reader, context: Context, how: str) -> None:
    """Scan what `how` compressed, and note what stands behind it.

    Raises:
        StopScan: it is damaged, a bomb, or nobody here unpacks it; noted.
    """
    if not available(how):
        raise context.stop("unscannable.format", f"{how} compression cannot be unpacked here")
    inside = Inflated(reader, how, context)
    inside.measure()
    _check_end(reader, context, inside.packed_end)
    inner = context.into(f"{how} content")
    inner.name = _without_ending(context.name)
    inner.scan(inside, inner)


def _check_end(reader: Reader, context: Context, end: int) -> None:
    if end < reader.size_bytes:
        left = reader.size_bytes - end
        context.found("archive.trailing", f"{left} bytes behind the compressed ones", end)


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and len(ending) <= 4 else name  # noqa: PLR2004 -- .gz to .zlib
