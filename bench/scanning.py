"""How fast pickles are walked, and in how much memory: a joblib dump and a torch-like zip of 1 GiB.

    python -m bench.scanning [MEBIBYTES] [--write docs/benchmarks.md]

Files are made in a temporary folder without loading any library of theirs, and removed. Each is
scanned in a process of its own, so that its peak memory is that of the scan, the interpreter
included. `picklescan` is measured beside it on the plain pickle, in the same run.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import page

#: What is measured beside ours.
THEIR_NAME = "pickle of arrays, picklescan"
ARRAYS = 64
ZEROS = bytes(1 << 20)

_MEASURE = """
import sys, time
from pathlib import Path
{imports}
start = time.perf_counter()
said = {call}
seconds = time.perf_counter() - start
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(seconds, int(peak) / 1024, said)
"""
OURS = _MEASURE.format(
    imports="from muniment.scan.reader import FileReader\nfrom muniment.scan.scanner import scan",
    call='scan(FileReader(0), "model").verdict.value',
)
THEIRS = _MEASURE.format(
    imports="from picklescan.scanner import scan_pickle_bytes",
    call='scan_pickle_bytes(open(0, "rb"), "model").issues_count',
)


def text(content: str) -> bytes:
    raw = content.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def pickled(size_bytes: int, out: Path) -> None:
    """Arrays of NumPy in a list, as `pickle.dumps` writes them."""
    each = size_bytes // ARRAYS
    with out.open("wb") as file:
        file.write(b"\x80\x04]")
        for _ in range(ARRAYS):
            file.write(
                b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
                b"J" + struct.pack("<i", each // 8) + b"\x85cnumpy\ndtype\n" + text("f8")
                + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
                b"\x8e" + struct.pack("<Q", each)
            )  # fmt: skip
            for _ in range(each >> 20):
                file.write(ZEROS)
            file.write(b"tba")
        file.write(b".")


def dumped(size_bytes: int, out: Path) -> None:
    """The same as joblib writes them: the elements behind the wrapper."""
    each = size_bytes // ARRAYS
    with out.open("wb") as file:
        file.write(b"\x80\x04]")
        for _ in range(ARRAYS):
            file.write(
                b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
                + text("subclass") + b"cnumpy\nndarray\n" + text("shape") + b"J"
                + struct.pack("<i", each // 8) + b"\x85" + text("order") + text("C") + text("dtype")
                + b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R"
                + text("allow_mmap") + b"\x88" + text("numpy_array_alignment_bytes") + b"K\x10ub\x00"
            )  # fmt: skip
            for _ in range(each >> 20):
                file.write(ZEROS)
            file.write(b"a")
        file.write(b".")


def zipped(size_bytes: int, out: Path) -> None:
    """A state dict as PyTorch writes it: a pickle that asks for storages, and these."""
    each = size_bytes // ARRAYS
    data = b"\x80\x02]"
    for number in range(ARRAYS):
        data += (
            b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n"
            + text(str(number)) + text("cpu") + b"J" + struct.pack("<i", each // 4)
            + b"tQK\x00J" + struct.pack("<i", each // 4) + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRa"
        )  # fmt: skip
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data + b".")
        archive.writestr("archive/version", b"3\n")
        for number in range(ARRAYS):
            with archive.open(f"archive/data/{number}", "w", force_zip64=True) as member:
                for _ in range(each >> 20):
                    member.write(ZEROS)


def measured(program: str, file: Path) -> tuple[float, float, str]:
    """The best of three: seconds, peak memory in MiB, what was said."""
    best: tuple[float, float, str] | None = None
    for _ in range(3):
        with file.open("rb") as data:
            done = subprocess.run(
                [sys.executable, "-c", program],
                stdin=data,
                capture_output=True,
                text=True,
                check=True,
            )
        seconds, peak, said = done.stdout.split()
        found = (float(seconds), float(peak), said)
        best = found if best is None or found < best else best
    assert best is not None
    return best


def measure(mebibytes: int = 1024) -> dict[str, Any]:
    """Return the figures of every file: name, MB/s, peak MiB and what was said."""
    size_bytes = mebibytes << 20
    files: list[tuple[str, Callable[[int, Path], None], str]] = [
        ("pickle of arrays", pickled, OURS),
        ("joblib dump", dumped, OURS),
        ("torch zip", zipped, OURS),
        (THEIR_NAME, pickled, THEIRS),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make, program in files:
            file = Path(folder) / "model"
            make(size_bytes, file)
            seconds, peak, said = measured(program, file)
            rows.append(
                {
                    "file": name,
                    "mb_per_second": size_bytes / seconds / 1e6,
                    "peak_mib": peak,
                    "said": said,
                }
            )
            print(f"  {name}: {rows[-1]['mb_per_second']:.0f} MB/s, {peak:.1f} MiB", flush=True)
    return {"mebibytes": mebibytes, "rows": rows}


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.scanning", description=__doc__)
    parser.add_argument("mebibytes", nargs="?", type=int, default=1024, metavar="MEBIBYTES")
    parser.add_argument("--write", type=Path, help="renew the table in this page")
    args = parser.parse_args()
    told = page.render_scanning(measure(args.mebibytes))
    print(told)
    if args.write:
        page.write(args.write, told, "scanning figures")


if __name__ == "__main__":
    main()
