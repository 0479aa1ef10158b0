"""Formats told from bytes: real files of every kind, and files that pretend."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from muniment.scan.formats import archives, following
from muniment.scan.formats import detection as formats
from muniment.scan.records import Format


def detect(data: bytes) -> Format:
    """As `format_of` calls it: the beginning and the end."""
    head = data[: formats.HEAD_BYTES]
    tail = head if len(data) <= formats.HEAD_BYTES else data[-formats.TAIL_BYTES :]
    return formats.detect(head, tail, len(data))


@pytest.mark.parametrize(
    ("head", "calls"),
    [
        (b"cos\nsystem\n(S'x'\ntR.", True),
        (b"cos\nsystem\n.", False),
        (b"N.", False),
        (b"c os\n\xff\n)R.", False),
        (b"NNN", False),
        (b"", False),
    ],
)
def test_what_calls_an_import(head: bytes, calls: bool) -> None:
    assert following.calls_an_import(head) is calls


def code(name: str) -> Format:
    return Format(name, executable=True)


class Runs:
    """What a malicious pickle has in it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.getenv, ("HOME",))


def a_model() -> LogisticRegression:
    return LogisticRegression().fit(np.array([[0.0], [1.0]]), np.array([0, 1]))


def a_zip(names: dict[str, bytes], *, comment: bytes = b"", **more: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **more) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
        archive.comment = comment
    return out.getvalue()


def saved(save: Callable[[Any], Any]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def a_safetensors(header: bytes | None = None, data: bytes = bytes(16)) -> bytes:
    if header is None:
        header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "thing",
    [
        {"weights": [1.0, 2.0]},
        [],
        list(range(40_000)),
        "text " * 30_000,
        a_model(),
        Runs(),
        np.arange(50_000.0),
    ],
    ids=["dict", "empty", "long", "long text", "scikit-learn", "runs code", "array"],
)
def test_pickles_of_every_protocol(thing: Any, protocol: int) -> None:
    found = detect(pickle.dumps(thing, protocol))
    assert found.executable
    long_text = isinstance(thing, str) and protocol < 2
    assert found.name == (
        "unknown" if long_text and protocol else "text" if long_text else "pickle"
    )


@pytest.mark.parametrize(
    ("compress", "name"),
    [
        (0, "joblib"),
        (("zlib", 3), "zlib-compressed"),
        (("gzip", 3), "gzip-compressed"),
        (("bz2", 3), "bzip2-compressed"),
        (("lzma", 3), "lzma-compressed"),
        (("xz", 3), "xz-compressed"),
    ],
)
def test_joblib_with_each_compression(tmp_path: Path, compress: Any, name: str) -> None:
    joblib.dump({"w": np.arange(5000.0)}, tmp_path / "m", compress=compress)
    assert detect((tmp_path / "m").read_bytes()) == code(name)


@pytest.mark.parametrize("data", [b"\x04\x22\x4d\x18rest", b"\x28\xb5\x2f\xfdrest", b"ZF0x1f  x"])
def test_other_compressions_are_flagged(data: bytes) -> None:
    assert detect(data).executable


def test_arrays_of_numbers_are_harmless_and_arrays_of_objects_are_not() -> None:
    numbers, objects = np.arange(10.0), np.array([Runs(), "a"], dtype=object)
    record = np.zeros(2, dtype=[("name", "O"), ("x", "f8")])
    assert detect(saved(lambda out: np.save(out, numbers))) == Format("npy")
    plain = np.zeros(2, dtype=[("a", "f8"), ("b", "U7")])
    assert detect(saved(lambda out: np.save(out, plain))) == Format("npy")
    held: Any
    for held in (objects, record):
        assert detect(saved(partial(np.save, arr=held))) == code("npy")
        assert detect(saved(partial(np.savez, w=numbers, o=held))) == code("npz")
    wide = np.zeros(2, dtype=[(f"column_{number}", "f8") for number in range(5000)])
    with pytest.warns(UserWarning, match="format 2.0"):
        assert detect(saved(lambda out: np.save(out, wide))) == code("npy"), "its head is cut"
    narrow = np.zeros(2, dtype=[(f"column_{number}", "f8") for number in range(2500)])
    body = saved(lambda out: np.lib.format.write_array(out, narrow, version=(2, 0)))
    assert detect(body) == Format("npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_arrays(save: Any) -> None:
    numbers = np.arange(1000.0)
    assert detect(saved(lambda out: save(out, w=numbers, b=numbers))) == Format("npz")
    many = {f"w{number}": numbers[:1] for number in range(1001)}
    assert detect(saved(lambda out: save(out, **many))) == code("npz")


def test_an_archive_of_arrays_of_which_only_the_end_is_at_hand_is_flagged() -> None:
    large = np.random.default_rng(1).random(60_000)
    assert detect(saved(lambda out: np.savez(out, w=large))) == code("npz")


def test_safetensors() -> None:
    assert detect(a_safetensors()) == Format("safetensors")
    assert detect(a_safetensors(b'{"a":' + b" " * 100_000 + b"1}")) == Format("safetensors")
    assert detect(a_safetensors(data=b"")) == Format("safetensors")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 5) + b"{}",  # longer than the file
        struct.pack("<Q", 1) + b"{}",
        struct.pack("<Q", (100 << 20) + 1) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2),
    ],
)
def test_what_only_begins_like_safetensors(data: bytes) -> None:
    assert detect(data) == formats.UNKNOWN


def test_zips_are_told_by_their_members() -> None:
    data_pkl = pickle.dumps({"w": 1}, 2)
    torch = {"archive/data.pkl": data_pkl, "archive/data/0": bytes(64), "archive/version": b"3"}
    assert detect(a_zip(torch)) == code("torch")
    assert detect(a_zip({**torch, "archive/constants.pkl": data_pkl})) == code("torchscript")
    assert detect(a_zip({**torch, "archive/code/a.py": b""})) == code("torchscript")
    large = {**torch, "archive/data/1": os.urandom(600_000)}
    assert detect(a_zip(large)) == code("torch")
    keras = {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b""}
    assert detect(a_zip(keras)) == code("keras")
    assert detect(a_zip({"config.json": b"{}"})) == code("zip")
    assert detect(a_zip({"notes.txt": b"hi"})) == code("zip"), "a name proves nothing"
    assert detect(a_zip({})) == Format("zip")
    many = {f"archive/data/{'x' * 200}{number}": b"" for number in range(2000)}
    assert detect(a_zip({**torch, **many})) == code("zip"), "its directory is not at hand whole"


def test_hostile_zips_are_flagged() -> None:
    torch = {"archive/data.pkl": b"x", "archive/data/0": os.urandom(200_000)}
    assert detect(a_zip(torch, comment=b"c" * 65_535)) == code("torch")
    whole = a_zip(torch)
    directory = whole.rindex(b"PK\x01\x02")
    for cut in (len(whole) - 1, len(whole) - 22, directory + 10, 30, 4):
        assert detect(whole[:cut]) == code("zip")
    broken = bytearray(whole)
    broken[directory + 46 : directory + 50] = b"\xff\xfe\xfd\xfc"  # a name that is not UTF-8
    assert detect(bytes(broken)).executable
    broken[directory + 9] |= 0x08  # and says it is
    assert detect(bytes(broken)) == code("zip")
    end = whole.rindex(b"PK\x05\x06")
    for field in (10, 12, 16):  # count, size and place of the directory
        lying = bytearray(whole)
        lying[end + field : end + field + 2] = b"\xff\xff"
        assert detect(bytes(lying)).executable
    assert detect(b"PK\x05\x06" + bytes(18)) == Format("zip")


def test_members_that_cannot_be_read_are_flagged() -> None:
    whole = bytearray(saved(lambda out: np.savez_compressed(out, w=np.arange(1000.0))))
    encrypted = whole.copy()
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + flags] |= 1
    strange = whole.copy()
    for mark, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        strange[strange.index(mark) + method] = 97
    damaged = whole.copy()
    damaged[40:60] = b"\xff" * 20
    for data in (encrypted, strange, damaged):
        assert detect(bytes(data)) == code("npz")
    assert detect(a_zip({"a.npy": b"no array"})) == Format("npz"), "NumPy gives it as bytes"


def test_the_end_of_a_file_reads_as_far_as_it_is_there() -> None:
    ending = archives._Ending(10, b"abcdef")
    assert ending.seekable()
    assert ending.seek(0, io.SEEK_END) == 16
    assert ending.seek(-6, io.SEEK_CUR) == 10
    assert (ending.read(2), ending.read(), ending.read(), ending.tell()) == (
        b"ab",
        b"cdef",
        b"",
        16,
    )
    assert ending.seek(12) == 12
    assert ending.read(None) == b"cdef"
    assert ending.seek(3) == 3
    assert ending.read(0) == b""
    with pytest.raises(EOFError):
        ending.read(1)
    with pytest.raises(OSError, match="before"):
        ending.seek(-1)


def test_protobufs() -> None:
    onnx = b"\x08\x09\x12\x07pytorch\x1a\x032.4:\x10" + bytes(16)
    assert detect(onnx) == Format("onnx")
    assert detect(b"\x08\x07:\x80\x08" + bytes(2000)) == Format("onnx")
    assert detect(b"\x08\x01\x12\xd4\x02\x0a\x10serve") == code("tensorflow-saved-model")
    late = b"\x08\x01\x12\xd4\xff\x03" + bytes(100_000) + b"serve"
    assert detect(late) == code("tensorflow-saved-model"), "its tags come after a long list"
    for data in (b"\x08\x20\x12\x00", b"\x08\x07\xff\xff", b"\x08", b"\x08\x07"):
        assert detect(data) == formats.UNKNOWN


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", Format("empty")),
        (b"GGUF\x03\x00\x00\x00" + struct.pack("<QQ", 2, 4), Format("gguf")),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), code("hdf5")),
        (b"text".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(40), code("hdf5")),
        (b"GGUF".ljust(2048) + b"\x89HDF\r\n\x1a\n" + bytes(40), code("hdf5")),
        (b"\x1c\x00\x00\x00TFL3" + bytes(8), Format("tflite")),
        (b"PAR1" + bytes(20), Format("parquet")),
        (b"ARROW1\x00\x00", Format("arrow")),
        (b"\x7fELF\x02\x01", code("elf")),
        (b"MZ\x90\x00", code("pe")),
        (b"#!/bin/sh\n", code("script")),
        (b"X\n\x00\x00\x00\x03", code("r-serialized")),
        (b"\x89PNG\r\n\x1a\n", Format("png")),
        (b"%PDF-1.7", Format("pdf")),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', Format("pmml")),
        (b"<svg/>", Format("xml")),
        (b"tree\nversion=v4\nnum_class=1\n", Format("lightgbm-text")),
        (b"tree\nof life", Format("text")),
        (b'{"learner":{"gradient_booster":{}},"version":[2,0,0]}', Format("xgboost-json")),
        (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", Format("xgboost-ubj")),
        (b"{L\x00\x00\x00", formats.UNKNOWN),
        (b'{"a": 1}', Format("json")),
        (b"\xef\xbb\xbf [1, 2]", Format("json")),
        (b"[1, 2", Format("text")),
        (b"[" * 50_000, Format("text")),
        (b'{"a": "' + b"x" * 70_000 + b'"}', Format("json")),
        (b"artifact_path: model\nflavors:\n  python_function: {}\n", Format("mlmodel")),
        (b"flavors:\n- vanilla\n", Format("text")),
        ("# Modèle\n".encode(), Format("text")),
        (b"\xff\xfe\x00\x01", formats.UNKNOWN),
        (b"bell \x07", formats.UNKNOWN),
        (b"\x00" * 1000, formats.UNKNOWN),
        (b"\x80", formats.UNKNOWN),
    ],
)
def test_marks_and_texts(data: bytes, found: Format) -> None:
    assert detect(data) == found


@pytest.mark.parametrize("char", ["é", "€", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_text_cut_in_the_middle_of_a_character_is_text(char: str, shift: int) -> None:
    data = b"a" * shift + char.encode() * 40_000
    assert detect(data) == Format("text")
    assert detect(data[:60_000] + b"\xff" + data[60_001:]) == formats.UNKNOWN
    assert detect((b"a" * shift + char.encode() * 3)[:-1]) == formats.UNKNOWN, "cut by its writer"


def test_tars_are_flagged_with_and_without_a_mark() -> None:
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
            info = tarfile.TarInfo("storages")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
        whole = bytearray(out.getvalue())
        assert detect(bytes(whole)) == code("tar")
        assert detect(bytes(whole[:400])) == formats.UNKNOWN
        whole[0] ^= 1
        assert detect(bytes(whole)) == formats.UNKNOWN


RUN = b"cos\ngetenv\n(S'HOME'\ntR"


@pytest.mark.parametrize(
    "data",
    [
        RUN + b".",
        RUN + b".\nand then more, as pickle.load does not mind",
        RUN + b"!!! it has run by now, whatever follows",
        b"(S'HOME'\nios\ngetenv\n.",
        b"(cos\ngetenv\nS'HOME'\no.",
        b'S\'{"learner": "gradient_booster"}\'\n0' + RUN + b".",
        b"GGUF\x03\x00\x00\x00\x01" + RUN + b".",
        b"\x80\x00" + RUN + b".",
        b"\x80\x01" + RUN + b".",
        b"cos\nsystem\n.trailing",
        b"(((((((((((N1" * 100,
        b"\x8c\x02os\x8c\x06getenv\x93(\x8c\x04HOMEtR.",
    ],
)
def test_what_is_a_pickle_to_pickle_is_one_to_us(data: bytes) -> None:
    assert detect(data).executable


def test_a_pickle_inside_a_valid_safetensors_header_is_found() -> None:
    skip = bytes([0]) * 5
    header = b'{"__metadata__":{"a":"' + b" " * 40 + b'"}}'
    first = b"U" + bytes([len(skip) + 1 + len(header)]) + skip  # a length to one, a string to other
    length = int.from_bytes(first[:8].ljust(8, b"\0"), "little")
    data = first + b"\0" + header + RUN + b"." + b" " * length
    pickle_end = pickle.loads(data)
    assert pickle_end == os.environ.get("HOME")
    assert struct.unpack("<Q", data[:8])[0] <= len(data) - 8
    assert data[8:9] == b"{"
    assert detect(data) == code("pickle")


@pytest.mark.parametrize("spelling", ["'object'", "'i4,O'", r"'\x7cO'", "('O', (1,))", "[]]", "7"])
def test_objects_are_found_however_they_are_spelled(spelling: str) -> None:
    fields = f"{{'descr': {spelling}, 'fortran_order': False, 'shape': (1,), }}".encode()
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(fields)) + fields
    assert detect(head + pickle.dumps([Runs()])) == code("npy")


@pytest.mark.parametrize("padding", [0, 70_000])
@pytest.mark.parametrize("start", [b"GGUF", b"\x89PNG\r\n\x1a\n", b"PAR1", b"text\n"])
def test_a_zip_behind_something_else_is_flagged(start: bytes, padding: int) -> None:
    data = start + b"x" * padding + a_zip({"config.json": b"{}", "model.weights.h5": b""})
    assert zipfile.is_zipfile(io.BytesIO(data))
    assert detect(data).executable


def test_a_zip_whose_marks_lead_beyond_the_end_at_hand_is_flagged() -> None:
    assert archives.ends_as_zip(b"less than such marks may take", 1 << 20)
    assert not archives.ends_as_zip(bytes(formats.TAIL_BYTES), 1 << 20)


@pytest.mark.parametrize("first", [b"I", b"F", b"L", b"Np", b"Np0\ng"])
def test_a_long_number_hides_nothing(first: bytes) -> None:
    fill = b" " if first != b"F" else b"0"
    hidden = first + fill * 70_000 + b"0\n0" + RUN + b"."
    pickle.loads(hidden)
    assert detect(hidden) == code("text")


@pytest.mark.parametrize("first", [b"S'", b"V"])
def test_a_long_argument_hides_nothing(first: bytes) -> None:
    hidden = first + b"a" * 70_000 + (b"'" if first == b"S'" else b"") + b"\n0" + RUN + b"."
    pickle.loads(hidden)
    assert detect(hidden) == code("text")
    binary = b"T" + struct.pack("<i", 70_000) + bytes(70_000) + b"0" + RUN + b"."
    pickle.loads(binary, encoding="latin-1")
    assert detect(binary) == code("unknown")


@pytest.mark.parametrize(
    "text",
    [
        "I am a model card.",
        "0.5,1.0\n0.25,2.0\n",
        "count,amount\n1,2\n0.5,3\n",
        "(a).",
        "N.B. it is short",
        "cat\nbat\nbee\nroar\n",
        "class Model:\n    pass\n",
        "import os\nos.getcwd()\n",
        "Text of a licence" * 10_000,
        "column_a,column_b," * 10_000,
        "Product one\n.\n",
        "(lost\n",
        "Vocabulary\nof two lines",
        "- yaml: 1\n",
        "x",
        "1.\n",
        "2 two\n",
        "}.",
        "]0]0.",
        "(0(0.",
    ],
)
def test_texts_are_not_taken_for_pickles(text: str) -> None:
    found = detect(text.encode())
    assert found == (code("pickle") if text in {"}.", ")."} else Format("text"))


def test_formats_of_an_artifact() -> None:
    found = formats.summary([Format("onnx"), code("pickle"), Format("onnx"), Format("json")])
    assert found.names == ("json", "onnx", "pickle")
    assert found.executable
    assert not formats.summary([Format("onnx")]).executable
    assert formats.summary([]).names == ()


STARTS = (
    b"", b"PK\x03\x04", b"PK\x05\x06", b"\x80\x04", b"c", b"(", b"\x93NUMPY\x01\x00", b"\x93NUMPY",
    b"{", b"\x08\x01\x12", b"S'", b"GGUF", b"T", b"\x8e", b"\x95", b"\x8a", b"\x8b",
)  # fmt: skip


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400), more=st.integers(0, 10**12))
@example(start=b"\x8b", rest=b"\xff\xff\xff\xff", more=0)
@example(start=b"F", rest=b"1e999\n0N.", more=0)
def test_no_bytes_make_it_fail(start: bytes, rest: bytes, more: int) -> None:
    data = start + rest
    assert isinstance(formats.detect(data, data, len(data) + more), Format)


@given(
    data=st.lists(
        st.sampled_from([bytes([number]) for number in b".(012NabdtsRopqcgSVIUTX]})leiu"])
        | st.sampled_from([b"cos\nsystem\n", b"\n", b"'", b"1\n", b"\x01a"]),
        max_size=40,
    ).map(b"".join)
)
def test_whatever_python_imports_is_flagged(data: bytes) -> None:
    called: list[str] = []

    class Watching(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            def seen(*_: object) -> object:
                called.append(name)
                return seen

            return seen

    with contextlib.suppress(Exception):  # whatever a broken pickle raises
        Watching(io.BytesIO(data)).load()
    if called:
        assert detect(data).executable, called


@given(base=st.sampled_from([0, 1]), at=st.integers(0, 10_000), new=st.binary(max_size=30))
def test_no_damaged_zip_makes_it_fail_or_is_called_harmless(base: int, at: int, new: bytes) -> None:
    whole = a_zip({"archive/data.pkl": b"x" * 50}, comment=b"c") if base else a_zip({"a/é": b"x"})
    at %= len(whole)
    data = b"PK\x03\x04" + (whole[:at] + new + whole[at + len(new) :])[4:]
    found = formats.detect(data, data, len(data))
    assert found.name in {"zip", "torch", "torchscript", "npz", "keras"}
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.namelist()
    assert found.executable or not _names(data)


def _names(data: bytes) -> list[str]:
    try:
        return zipfile.ZipFile(io.BytesIO(data)).namelist()
    except Exception:  # noqa: BLE001 -- whatever is broken
        return []


def test_following_is_bounded() -> None:
    assert following.follow(b"(" * 1001, 1001) is following.Finding.PICKLE
    assert following.follow(b"N.", 2) is following.Finding.PICKLE
    assert following.follow(b"N.", 3) is following.Finding.NO_PICKLE


def test_backslashes_in_what_is_no_pickle_are_nothing_to_warn_of() -> None:
    head = b"c\\?\nx\n)R."
    assert following.follow(head, len(head)) is following.Finding.PICKLE
    assert not following.calls_an_import(b"c\\?\nx\n.")
