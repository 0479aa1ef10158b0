"""Files changed at random: the scan ends, says something, and keeps to its memory."""

from __future__ import annotations

import gzip
import os
import pickle
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.scan.reader import BytesReader
from muniment.scan.records import Limits, VerdictClass
from muniment.scan.scanner import scan
from tests.support.gadgets import GADGETS, HIDDEN, name, tarred, text, zipped

SAMPLES = Path(__file__).parents[1] / "samples" / "models"
KNOWN = {VerdictClass.CLEAN, VerdictClass.EXECUTABLE_ALLOW_LISTED}
WHOLE: list[bytes] = [
    *(file.read_bytes() for file in sorted(SAMPLES.iterdir()) if file.is_file()),
    *GADGETS.values(),
    *HIDDEN.values(),
    tarred({"a": b"x" * 600}),
    gzip.compress(pickle.dumps({"a": [1]})),
    zipped({"a": b"x" * 100}, 8),
]
SMALL = Limits(inflated_bytes=1 << 24, ratio_from_bytes=1 << 22, members=100, pickles=1000)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["set", "cut", "drop", "add", "copy", "number"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 20))]
            case "add":
                data[at:at] = draw(st.binary(max_size=12))
            case "copy":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case "number":
                wide = draw(st.sampled_from([0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63]))
                data[at : at + 8] = struct.pack("<Q", wide)
            case _:
                pass
    return bytes(data)


@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_changed_file_is_scanned_to_an_end(data: bytes) -> None:
    report = scan(BytesReader(data), "model.bin", limits=SMALL)
    assert report == scan(BytesReader(data), "model.bin", limits=SMALL), "twice the same"
    assert len(report.findings) <= SMALL.findings
    assert (report.verdict in KNOWN) == all(one.severity == "info" for one in report.findings)


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_any_bytes_are_scanned_to_an_end(data: bytes) -> None:
    scan(BytesReader(data), "model.bin", limits=SMALL)
    scan(BytesReader(b"\x80\x04" + data), "model.bin", limits=SMALL)


@settings(max_examples=300)
@given(st.sampled_from(sorted(GADGETS)), st.binary(min_size=1, max_size=30), st.data())
def test_what_stands_before_or_behind_does_not_help(
    gadget: str, noise: bytes, data: st.DataObject
) -> None:
    """Whatever is added behind a whole pickle, or pushed and dropped before, it is refused."""
    whole = GADGETS[gadget]
    pushed = b"\x80\x04" if whole.startswith(b"\x80") else b""
    # Protocol 0 takes lines for names: bytes that push and drop are put before.
    before = pushed + b"C" + bytes([len(noise)]) + noise + b"0"
    rest = whole[2:] if pushed else whole
    changed = data.draw(st.sampled_from([whole + noise, before + rest]))
    report = scan(BytesReader(changed), "model.bin")
    if gadget != "protocol 1" or changed == whole + noise:  # it remembers by fixed numbers
        assert report.verdict is VerdictClass.FINDINGS, report


HUGE = {
    "marks": b"(" * 3_000_000,
    "values": b"\x80\x02" + b"K\x01" * 1_500_000,
    "numbers": b"\x80\x02(" + b"J\xff\xff\xff\x7f" * 1_500_000 + b"t.",
    "memo": b"\x80\x04N" + b"\x94" * 4_000_100 + b".",
    "memo of texts": b"\x80\x04"
    + b"".join(text(f"word number {number}") + b"\x940" for number in range(250_000))
    + b"N.",
    "memo of dictionaries": b"\x80\x04" + b"}\x940" * 500_000 + b"N.",
    "memo of objects": b"\x80\x04"
    + b"".join(name("numpy", "dtype") + text("f8") + b"\x85R\x940" for _ in range(150_000))
    + b"N.",
    "far memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "tuples in tuples": b"\x80\x04)" + b"\x85" * 1_000_000 + b".",
    "long number": b"\x80\x02\x8b\x00\x00\x00\x01" + bytes(1 << 24) + b".",
    "long line": b"V" + b"x" * (1 << 24) + b"\n.",
    "long name": b"c" + b"x" * (1 << 24) + b"\ny\n.",
    "imports": b"\x80\x02" + b"".join(f"cm{number}\nx\n0".encode() for number in range(300_000)),
    "bytes that look like pickles": b"\x80\x04"
    + b"C\x0a\x80\x04NNNNNNN.0" * 50_000
    + b"N.",
    "a forest of zeros": gzip.compress(bytes(1 << 28)),
    "gzip in gzip": gzip.compress(gzip.compress(bytes(1 << 28))),
}  # fmt: skip
MEASURE = """
from pathlib import Path
from muniment.scan.reader import FileReader
from muniment.scan.scanner import scan
report = scan(FileReader(0), "model.bin")
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(report.verdict.value, peak)
"""


@pytest.mark.parametrize("shape", HUGE)
def test_memory_is_bounded(shape: str, tmp_path: Path) -> None:
    """Resident at most 64 MiB, the interpreter included, whatever a pickle is made of."""
    file = tmp_path / "model.bin"
    file.write_bytes(HUGE[shape])
    limit = 700 << 20  # of addresses, as a net: what counts is what is resident
    with file.open("rb") as data:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE],
            env={key: text for key, text in os.environ.items() if not key.startswith("COVERAGE")},
            stdin=data,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
    assert done.returncode == 0, done.stderr[-2000:]
    resident_kib = int(done.stdout.split()[1])
    assert resident_kib <= 64 << 10, done.stdout
