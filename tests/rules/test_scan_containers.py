"""Archives and compressions: what is odd about one is told, and none can be a bomb."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib

import pytest

from muniment.scan.reader import BytesReader
from muniment.scan.records import FileReport, Limits, VerdictClass
from muniment.scan.scanner import scan
from tests.support.gadgets import PLAIN, flipped, tarred, torch_zip, zipped

FINE = pickle.dumps({"a": [1, 2, 3]})
TWO = {"a.txt": b"hello " * 20, "b.txt": b"world " * 20}
STORED = zipped(TWO)
PACKED = zipped(TWO, zipfile.ZIP_DEFLATED)


def told(data: bytes, name: str = "model.zip", **limits: int) -> FileReport:
    return scan(BytesReader(data), name, limits=Limits(**limits))


def rules(data: bytes, name: str = "model.zip", **limits: int) -> set[str]:
    return {one.rule for one in told(data, name, **limits).findings}


@pytest.mark.parametrize("data", [STORED, PACKED, zipped(TWO, zipfile.ZIP_BZIP2), zipped({})])
def test_a_plain_zip_is_whole(data: bytes) -> None:
    report = told(data)
    assert not report.findings
    assert report.format == "zip"


def raw_zip(**info: object) -> bytes:
    """A zip of one member, with attributes of its ZipInfo set."""
    out = io.BytesIO()
    one = zipfile.ZipInfo("a.txt")
    for key, value in info.items():
        setattr(one, key, value)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(one, b"hello")
    return out.getvalue()


def twice_named() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.txt", b"two")
    return out.getvalue()


def overlapping() -> bytes:
    """Two directory entries for one member's bytes."""
    data = zipped({"a.txt": b"hello"})
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start:end]
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(entry), start, 0)
    return data[:start] + entry + entry.replace(b"a.txt", b"b.txt") + record


def with_gap() -> bytes:
    data = zipped({"a.txt": b"hello"})
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    size = end - start
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, start + 9, 0)
    return data[:start] + b"surprise!" + data[start:end] + record


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (twice_named(), "zip.duplicate-name"),
        (flipped(STORED, LOCAL, 30, b"c.txt"), "zip.header-mismatch"),
        (flipped(STORED, LOCAL, 14, b"\1\1\1\1"), "zip.header-mismatch"),
        (flipped(STORED, LOCAL, 8, b"\x08\x00"), "zip.header-mismatch"),
        (flipped(STORED, LOCAL, 22, b"\x05"), "zip.header-mismatch"),
        (flipped(STORED, LOCAL, 0, b"PK\x03\x05", last=True), "zip.header-mismatch"),
        (flipped(STORED, CENTRAL, 16, b"\1\1\1\1"), "zip.bad-checksum"),
        (flipped(STORED, b"hello", 0, b"jello"), "zip.bad-checksum"),
        (flipped(STORED, CENTRAL, 8, b"\x01"), "zip.encrypted"),
        (flipped(STORED, CENTRAL, 10, b"\x5f"), "unscannable.format"),
        (flipped(STORED, CENTRAL, 20, b"\xff\xff\xff\xff"), "zip.header-mismatch"),
        (b"#!/bin/sh\n" + STORED, "zip.hidden"),
        (STORED + b"more", "zip.suffix"),
        (overlapping(), "zip.overlap"),
        (with_gap(), "zip.gap"),
        (zipped({"../a": b"x"}), "archive.path"),
        (zipped({"/etc/passwd": b"x"}), "archive.path"),
        (zipped({"a/../../b": b"x"}), "archive.path"),
        (zipped({"C:\\x": b"x"}), "archive.path"),
        (raw_zip(filename="a\nb"), "archive.path"),
        (raw_zip(external_attr=0o120777 << 16, create_system=3), "archive.link"),
        (raw_zip(external_attr=0o020666 << 16, create_system=3), "archive.link"),
        (flipped(STORED, b"PK\x05\x06", 4, b"\x01"), "zip.header-mismatch"),
        (flipped(STORED, b"PK\x05\x06", 10, b"\x03"), "unscannable.damaged"),
        (flipped(STORED, b"PK\x05\x06", 16, b"\xff\xff"), "unscannable.damaged"),
        (STORED[:-30], "unscannable.damaged"),
        (flipped(PACKED, b"a.txt", 6, b"\xff\xff\xff"), "unscannable.damaged"),
    ],
)
def test_a_zip_that_is_odd(data: bytes, rule: str) -> None:
    report = told(data)
    assert rule in {one.rule for one in report.findings}, report.findings
    assert report.verdict in {VerdictClass.FINDINGS, VerdictClass.UNSCANNABLE}


def test_bytes_before_a_zip_are_told() -> None:
    assert {"zip.hidden", "zip.prefix"} <= rules(b"hello\n" + STORED)


def test_a_zip_of_64_bits_is_whole() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"hello")
    assert not told(out.getvalue()).findings


def test_a_zip_written_to_a_pipe_is_whole() -> None:
    """With sizes behind the data, for they were not known before."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, part: bytes) -> int:  # type: ignore[override]
            self.data += bytes(part)
            return len(part)

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"hello" * 10)
        archive.writestr("b.txt", b"world" * 10)
    assert not told(out.data).findings


def test_a_bomb_is_told_before_it_goes_off() -> None:
    zeros = zipped({"a": bytes(1 << 22)}, zipfile.ZIP_DEFLATED)
    assert "archive.bomb" in rules(zeros, ratio_from_bytes=1 << 20)
    assert "archive.bomb" in rules(zeros, inflated_bytes=1 << 20)
    assert "archive.bomb" in rules(gzip.compress(bytes(1 << 22)), ratio_from_bytes=1 << 20)
    assert "archive.bomb" in rules(zipped({str(number): b"" for number in range(20)}), members=10)
    assert "archive.bomb" in rules(tarred({str(number): b"" for number in range(20)}), members=10)


def test_layers_have_an_end() -> None:
    data = b"hello"
    for _ in range(10):
        data = gzip.compress(data)
    assert "unscannable.limit" in rules(data)


def test_storages_are_what_the_pickle_asks_for() -> None:
    asks = (
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x02tQ."
    )
    assert not told(torch_zip(asks, **{"archive/data/0": bytes(8)})).findings
    assert "zip.hidden" in rules(torch_zip(asks, **{"archive/data/0": bytes(9)}))
    assert "unscannable.format" in rules(torch_zip(asks, **{"archive/data/1": bytes(8)}))


def test_compressions_are_read_to_their_end() -> None:
    assert not told(gzip.compress(FINE), "m.pkl.gz").findings
    assert not told(gzip.compress(FINE[:5]) + gzip.compress(FINE[5:]), "m.pkl.gz").findings
    assert "archive.trailing" in rules(gzip.compress(FINE) + bytes(20))
    assert "unscannable.damaged" in rules(gzip.compress(FINE) + b"more")
    assert "unscannable.damaged" in rules(gzip.compress(FINE)[:-3])
    assert "unscannable.damaged" in rules(zlib.compress(FINE)[:-3])
    assert "unscannable.damaged" in rules(flipped(lzma.compress(FINE), b"YZ", 0, b"ab", last=True))
    assert "unscannable.format" in rules(b"\x28\xb5\x2f\xfd" + bytes(20))


def test_what_was_read_may_be_read_again() -> None:
    """A zip in gzip is read from its end and then from its beginning."""
    inner = zipped({"a.txt": bytes(range(32, 127)) * 30_000, "b.txt": b"b"}, zipfile.ZIP_DEFLATED)
    report = told(gzip.compress(inner, 1))
    assert not report.findings


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_tar_with_links(kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert "archive.link" in rules(out.getvalue())


def test_tars() -> None:
    fine = tarred({"a.txt": b"hello", "b" * 200: FINE, "dir/c": b"text"})
    assert not told(fine, "m.tar").findings
    assert "archive.path" in rules(tarred({"../a": b"x"}))
    assert "pickle.runs-code" in rules(tarred({"x" * 150: PLAIN}))
    assert "archive.trailing" in rules(fine + b"more")
    assert "unscannable.truncated" in rules(fine[:512])
    assert "unscannable.truncated" in rules(tarred({"a": b"x" * 512})[:1024])
    assert "unscannable.damaged" in rules(fine[:1024] + b"x" * 512 + fine[1536:])


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_every_kind(format_: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
        folder = tarfile.TarInfo("ä" * 20)
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo("d" * 60 + "/" + "f" * 80)
        info.size = len(PLAIN)
        archive.addfile(info, io.BytesIO(PLAIN))
    report = told(out.getvalue())
    assert [one.rule for one in report.findings] == ["pickle.runs-code"]
    assert report.findings[0].place.member.endswith("f" * 80)
