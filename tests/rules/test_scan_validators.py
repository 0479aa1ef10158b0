"""Formats of one thing each: fine ones pass, and what is wrong with others is told."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muniment.scan.reader import BytesReader
from muniment.scan.records import FileReport, Limits, VerdictClass
from muniment.scan.scanner import scan
from muniment.scan.validators.saved_model import _REACHING
from muniment.scan.validators.saved_model_operations import HARMLESS
from tests.support.gadgets import zipped

SAMPLES = Path(__file__).parents[1] / "samples" / "models"


def told(data: bytes, name: str = "file", **more: Any) -> FileReport:
    return scan(BytesReader(data), name, **more)


def rules(data: bytes, name: str = "file", **more: Any) -> set[str]:
    return {one.rule for one in told(data, name, **more).findings}


# -- safetensors --


def tensors(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(start: int, end: int, shape: list[int], kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def test_safetensors_that_are_whole() -> None:
    header = {"b": tensor(8, 12, [1]), "a": tensor(0, 8, [2]), "__metadata__": {"format": "pt"}}
    assert told(tensors(header, bytes(12))).verdict is VerdictClass.CLEAN
    assert told(tensors({}), "x").verdict is VerdictClass.CLEAN
    assert told(tensors({"x": tensor(0, 2, [4], "F4")}, bytes(2))).verdict is VerdictClass.CLEAN


@pytest.mark.parametrize(
    "data",
    [
        tensors({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)),
        tensors({"a": tensor(0, 8, [2]), "b": tensor(9, 13, [1])}, bytes(13)),
        tensors({"a": tensor(0, 8, [2])}, bytes(9)),
        tensors({"a": tensor(0, 8, [2])}, bytes(7)),
        tensors({"a": tensor(0, 8, [3])}, bytes(8)),
        tensors({"a": tensor(8, 0, [2])}, bytes(8)),
        tensors({"a": tensor(0, 8, [-2])}, bytes(8)),
        tensors({"a": tensor(0, 8, [2], "F99")}, bytes(8)),
        tensors({"a": 5}),
        tensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, bytes(8)),
        tensors({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, bytes(4)),
        tensors({"__metadata__": {"a": 1}}),
        tensors({"__metadata__": []}),
        tensors(b"{" + b'"a":' * 3),
        tensors(b'{"a":' + b"[" * 100_000),
    ],
)
def test_safetensors_that_are_not(data: bytes) -> None:
    assert "safetensors.malformed" in rules(data)


def test_safetensors_headers_with_limits() -> None:
    twice = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' * 1
    twice += b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    assert "json.duplicate-key" in rules(tensors(twice, b"x"))
    long = tensors({"__metadata__": {"a": "x" * 2000}})
    assert "unscannable.limit" in rules(long, limits=Limits(parsed_bytes=1000))


# -- GGUF --


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(
    keys: list[bytes] = [],  # noqa: B006 -- not changed
    infos: list[bytes] = [],  # noqa: B006 -- not changed
    data: bytes = b"",
    version: int = 3,
) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(infos), len(keys))
    body = head + b"".join(keys) + b"".join(infos)
    return body + bytes(-len(body) % 32) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return gguf_text(name) + struct.pack("<I", kind) + value


def info(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    return (
        gguf_text(name)
        + struct.pack("<I", len(shape))
        + b"".join(struct.pack("<Q", one) for one in shape)
        + struct.pack("<IQ", kind, offset)
    )


BAD_TEMPLATE = "{{ ''.__class__.__mro__ }}"


def test_gguf_that_is_whole() -> None:
    numbers = struct.pack("<IQ", 4, 3) + bytes(12)
    words = struct.pack("<IQ", 8, 2) + gguf_text("a") + gguf_text("b")
    keys = [key("n", 9, numbers), key("w", 9, words), key("f", 7, b"\x01"), key("g", 12, bytes(8))]
    data = gguf(keys, [info("a", [4]), info("b", [32], 8, 32)], bytes(96))
    assert told(data).verdict is VerdictClass.CLEAN
    assert told(gguf()).verdict is VerdictClass.CLEAN


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (gguf([key("tokenizer.chat_template", 8, gguf_text(BAD_TEMPLATE))]), "jinja.code"),
        (gguf([key("tokenizer.chat_template", 8, gguf_text("{{ a }}"))]), "jinja.template"),
        (gguf(version=9), "unscannable.format"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0) + bytes(100), "gguf.malformed"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 90) + bytes(100), "gguf.malformed"),
        (gguf([key("a", 4, bytes(4))] * 2), "json.duplicate-key"),
        (gguf([key("a", 77, bytes(4))]), "gguf.malformed"),
        (gguf([key("a", 9, struct.pack("<IQ", 8, 1 << 50))]), "gguf.malformed"),
        (gguf([key("a", 9, struct.pack("<IQ", 4, 1 << 50))]), "unscannable.truncated"),
        (gguf([key("a", 8, struct.pack("<Q", 1 << 50))]), "unscannable.truncated"),
        (gguf([struct.pack("<Q", 1 << 40) + bytes(40)]), "gguf.malformed"),
        (gguf([key("general.alignment", 4, bytes(4))]), "gguf.malformed"),
        (gguf([], [info("a", [4]), info("b", [4])], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [400])], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [33], 8)], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [1] * 9)], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [1 << 40, 1 << 40])], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [4], 99)], bytes(64)), "unscannable.format"),
        (gguf([], [info("a", [4], 0, 7)], bytes(64)), "gguf.malformed"),
        (gguf([], [info("a", [4])], bytes(640)), "archive.trailing"),
        (gguf([], [info("a" * 30, [4])], b"")[:50], "unscannable.truncated"),
    ],
)
def test_gguf_that_is_not(data: bytes, rule: str) -> None:
    assert rule in rules(data)


def test_a_long_template_is_not_read() -> None:
    data = gguf([key("tokenizer.chat_template", 8, gguf_text("x" * 2000))])
    assert "unscannable.limit" in rules(data, limits=Limits(parsed_bytes=1000))


# -- protocol buffers: ONNX and SavedModel --


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: bytes | int | str) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def node(operator: str, domain: str = "", *attributes: bytes) -> bytes:
    found = field(4, operator) + (field(7, domain) if domain else b"")
    return found + b"".join(field(5, one) for one in attributes)


def onnx(graph: bytes = b"", **more: bytes) -> bytes:
    return field(1, 8) + field(2, "tests") + field(7, graph) + b"".join(more.values())


def external(path: str) -> bytes:
    return field(8, "w") + field(13, field(1, "location") + field(2, path)) + field(14, 1)


def test_onnx_that_is_whole() -> None:
    deep = node("If", "", field(1, "then_branch") + field(6, field(1, node("Add"))))
    weights = field(1, 2) + field(9, bytes(100)) + field(4, b"")
    graph = field(1, node("Add")) + field(1, deep) + field(5, weights)
    fixed = varint(9 << 3 | 1) + bytes(8) + varint(10 << 3 | 5) + bytes(4)
    assert told(onnx(graph + fixed)).verdict is VerdictClass.CLEAN


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (onnx(field(5, external("../../etc/passwd"))), "onnx.external-path"),
        (onnx(field(5, external("/etc/passwd"))), "onnx.external-path"),
        (onnx(field(5, external("a\\..\\b"))), "onnx.external-path"),
        (onnx(field(15, field(1, external("/x")))), "onnx.external-path"),
        (onnx(field(1, node("Constant", "", field(5, external("/x"))))), "onnx.external-path"),
        (onnx(field(1, node("If", "", field(6, field(5, external("/x")))))), "onnx.external-path"),
        (onnx(field(1, node("Thing", "com.somebody"))), "onnx.custom-operator"),
        (onnx(field(1, node("PyOp", "com.microsoft"))), "onnx.python-operator"),
        (onnx(field(1, node("X", "ai.onnx.contrib"))), "onnx.python-operator"),
        (onnx(functions=field(25, field(7, node("X", "mine")))), "onnx.custom-operator"),
        (onnx(training=field(20, field(1, field(1, node("X", "mine"))))), "onnx.custom-operator"),
        (onnx(b"\x0a\xff"), "protobuf.malformed"),
        (onnx(b"\x0b"), "protobuf.malformed"),
        (onnx(b"\x00"), "protobuf.malformed"),
        (onnx(b"\x08" + b"\xff" * 11), "protobuf.malformed"),
    ],
)
def test_onnx_that_is_not(data: bytes, rule: str) -> None:
    assert rule in rules(data)


def test_graphs_in_graphs_have_an_end() -> None:
    graph = field(1, node("Add"))
    for _ in range(100):
        graph = field(1, node("If", "", field(6, graph)))
    assert "unscannable.limit" in rules(onnx(graph))


def test_external_data_must_be_among_the_files() -> None:
    data = onnx(field(5, external("weights.bin")))
    here = frozenset({"sub/model.onnx", "sub/weights.bin"})
    assert not rules(data, "sub/model.onnx", siblings=here)
    assert not rules(data, "sub/model.onnx")
    assert "onnx.external-missing" in rules(data, "model.onnx", siblings=here)


def saved_model(*operations: str, function: str = "") -> bytes:
    graph = b"".join(field(1, field(1, "n") + field(2, one)) for one in operations)
    if function:
        graph += field(2, field(1, field(1, b"\x0a\x01f") + field(3, field(2, function))))
    return field(1, 1) + field(2, field(1, b"") + field(2, graph))


def test_saved_models() -> None:
    fine = told(saved_model("MatMul", "Placeholder", function="Relu"))
    assert fine.format == "tensorflow-saved-model"
    assert fine.verdict is VerdictClass.EXECUTABLE_ALLOW_LISTED
    for name in ("ReadFile", "WriteFile", "PyFunc", "EagerPyFunc"):
        assert "saved-model.operation" in rules(saved_model("MatMul", name, name))
        assert "saved-model.operation" in rules(saved_model("MatMul", function=name))
    for name in ("MyCustomOp", "matmul", "VarHandleOp2"):
        assert "saved-model.unknown-operation" in rules(saved_model("MatMul", name, name))
        assert "saved-model.unknown-operation" in rules(saved_model(function=name))
    assert not HARMLESS & _REACHING
    assert "protobuf.malformed" in rules(saved_model("MatMul")[:-1])


# -- NumPy --


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode() + data


def described(descr: Any, shape: Any) -> str:
    return repr({"descr": descr, "fortran_order": False, "shape": shape})


@pytest.mark.parametrize(
    "data",
    [
        npy(described("<f8", (2,)), bytes(16)),
        npy(described("<f8", ()), bytes(8)),
        npy(described("<U3", (2,)), bytes(24)),
        npy(described("|S3", (2,)), bytes(6)),
        npy(described("<M8[ns]", (2,)), bytes(16)),
        npy(described([("a", "<i4"), ("b", "<f8", (2,))], (2,)), bytes(40)),
        npy(described([("a", [("b", "?")], 3)], (1,)), bytes(3)),
        npy(described("<f8", (2,)), bytes(16), b"\x02\x00"),
        npy(described("<f8", (2,)), bytes(16), b"\x03\x00"),
    ],
)
def test_arrays_that_are_whole(data: bytes) -> None:
    assert told(data).verdict is VerdictClass.CLEAN


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (npy(described("<f8", (2,)), bytes(15)), "npy.malformed"),
        (npy(described("<f8", (2,)), bytes(17)), "npy.malformed"),
        (npy(described("<f8", (-2,))), "npy.malformed"),
        (npy(described("<f8", 2)), "npy.malformed"),
        (npy("[1]"), "npy.malformed"),
        (npy("__import__('os')"), "npy.malformed"),
        (npy("(" * 5000), "npy.malformed"),
        (npy(described("<f8", (2,)))[:30], "npy.malformed"),
        (npy(described("<f8", (2,)), version=b"\x09\x00"), "unscannable.format"),
        (npy(described("|O", (1,)), b"N."), "npy.objects"),
        (npy(described([("a", "|O")], (1,)), b"nothing"), "pickle.malformed"),
    ],
)
def test_arrays_that_are_not(data: bytes, rule: str) -> None:
    assert rule in rules(data)


# -- Keras --


def keras_zip(config: Any) -> bytes:
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    return zipped({"metadata.json": b"{}", "config.json": raw})


def layer(module: Any, class_name: str, config: Any = None, registered: Any = None) -> Any:
    return {
        "module": module,
        "class_name": class_name,
        "config": {} if config is None else config,
        "registered_name": registered,
    }


@pytest.mark.parametrize(
    "config",
    [
        layer("keras.layers", "Dense", {"activation": "relu"}),
        layer("keras.src.models.sequential", "Sequential", {"layers": []}),
        layer("keras.initializers", "GlorotUniform"),
        layer("keras.activations", "function", "relu"),
        layer("builtins", "slice"),
        layer("keras", "DTypePolicy"),
        layer("keras.layers", "StringLookup", {"vocabulary": ["a"]}),
    ],
)
def test_keras_files_that_are_fine(config: Any) -> None:
    report = told(keras_zip({"config": {"layers": [config]}}))
    assert report.verdict is VerdictClass.EXECUTABLE_ALLOW_LISTED, report.findings


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (layer("keras.layers", "Lambda"), "keras.lambda"),
        (layer("keras.src.utils.torch_utils", "TorchModuleWrapper"), "keras.lambda"),
        ({"class_name": "__lambda__", "config": {}}, "keras.lambda"),
        ({"class_name": "Lambda"}, "keras.lambda"),
        (layer("os", "function", "system"), "keras.foreign"),
        (layer("keras.utils", "function", "get_file"), "keras.foreign"),
        (layer("keras.config", "function", "enable_unsafe_deserialization"), "keras.foreign"),
        (layer("keras.src.models.cloning", "function", "clone_model"), "keras.foreign"),
        (layer("builtins", "eval"), "keras.foreign"),
        (layer("mine.layers", "Dense"), "keras.foreign"),
        (layer("keras.layers.evil\nos", "Dense"), "keras.foreign"),
        (layer(None, "Special", registered="mine>Special"), "keras.custom-object"),
        ({"class_name": "mine>Special", "config": {}}, "keras.custom-object"),
        (layer("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}), "keras.file-access"),
    ],
)
def test_keras_files_that_are_not(config: Any, rule: str) -> None:
    assert rule in rules(keras_zip({"config": {"layers": [{"inner": config}]}}))


def test_keras_configurations_that_cannot_be_read() -> None:
    assert "unscannable.damaged" in rules(keras_zip(b"{nothing"))
    assert "unscannable.limit" in rules(keras_zip({"a": "x" * 999}), limits=Limits(parsed_bytes=99))


def test_a_configuration_beside_a_model() -> None:
    config = json.dumps({"config": {"layers": [layer("os", "function", "system")]}}).encode()
    assert "keras.foreign" in rules(config, "model.json")


# -- HDF5 --


NOWHERE = b"\xff" * 8


def hdf5(
    content: bytes = b"",
    version: int = 0,
    end: int | None = None,
    *,
    messages: bytes = b"",
    driver: bytes = NOWHERE,
) -> bytes:
    """A file of a root group with `messages` in its header, which is of version 1, at the end."""
    at = 96 + len(content)
    group = struct.pack("<BBHII4x", 1, 0, 0, 1, len(messages)) + messages
    root, size = struct.pack("<Q", at), at + len(group)
    ending = struct.pack("<Q", size if end is None else end)
    if version < 2:
        head = bytes([version, 0, 0, 0, 0, 8, 8, 0]) + bytes(8) + bytes(4 * version)
        head += bytes(16) + ending + driver + bytes(8) + root
    else:
        head = bytes([version, 8, 8, 0]) + bytes(8) + driver + ending + root
    return (b"\x89HDF\r\n\x1a\n" + head).ljust(96, b"\0") + content + group


LAMBDA = json.dumps({"class_name": "Sequential", "config": [{"class_name": "Lambda"}]}).encode()


@pytest.mark.parametrize("version", range(4))
def test_hdf5_without_a_configuration(version: int) -> None:
    assert told(hdf5(bytes(500), version)).verdict is VerdictClass.EXECUTABLE_ALLOW_LISTED
    assert "keras.lambda" in rules(hdf5(bytes(100) + LAMBDA + bytes(100), version))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (hdf5(bytes(5000) + b'{"module": "x", "a": ' + LAMBDA + b"}"), "keras.lambda"),
        (hdf5(LAMBDA.replace(b"Lambda", b"L\\u0061mbda")), "keras.lambda"),
        (hdf5(LAMBDA.replace(b'"class_name"', b'"cl\\u0061ss_name"')), "keras.lambda"),
        (hdf5(LAMBDA[:-5]), "unscannable.damaged"),
        (hdf5(b'"class_name"'), "unscannable.damaged"),
        (hdf5(version=7), "unscannable.format"),
        (hdf5(end=1 << 40), "unscannable.truncated"),
        (hdf5()[:13] + b"\x04" + hdf5()[14:], "unscannable.format"),
        (bytes(512) + hdf5(), "hdf5.malformed"),
        (hdf5(bytes((1 << 20) + 200), end=96), "archive.trailing"),
        (b"\x89HDF\r\n\x1a\n", "unscannable.format"),
    ],
)
def test_hdf5_that_is_odd(data: bytes, rule: str) -> None:
    assert rule in rules(data)


def message(kind: int, body: bytes) -> bytes:
    """A message of a header of version 1, padded to eight bytes."""
    padded = body.ljust(-(-len(body) // 8) * 8, b"\0")
    return struct.pack("<HHB3x", kind, len(padded), 0) + padded


def link(kind: int, value: bytes, flags: int = 8) -> bytes:
    """A link called `n`, with its kind said if `flags` has 8."""
    said = bytes([kind]) if flags & 8 else b""
    order = bytes(8) if flags & 4 else b""
    charset = b"\x01" if flags & 16 else b""
    return message(6, bytes([1, flags]) + said + order + charset + b"\x01" + b"n" + value)


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        (link(64, b"\x05\0\0f\0x\0"), "hdf5.elsewhere"),
        (link(64, b"\x05\0\0f\0x\0", flags=28), "hdf5.elsewhere"),
        (link(200, b"\x01\0x"), "hdf5.elsewhere"),
        (message(7, bytes(16)), "hdf5.elsewhere"),
        (message(8, b"\x04\x03" + bytes(14)), "hdf5.elsewhere"),
        (message(2, b"\0\0" + bytes(16)), "unscannable.format"),
        (message(2, b"\0\x01" + bytes(24)), "unscannable.format"),
        (message(2, b"\0\0"), "unscannable.damaged"),
        (message(6, b"\x02" + bytes(15)), "unscannable.damaged"),
        (link(0, b"", flags=0), "unscannable.damaged"),
        (link(0, struct.pack("<Q", 1 << 40), flags=0), "unscannable.damaged"),
        (message(17, struct.pack("<QQ", 0, 0)), "unscannable.damaged"),
        (message(16, struct.pack("<QQ", 8, 1 << 40)), "unscannable.damaged"),
        (message(16, b"\0"), "unscannable.damaged"),
        (struct.pack("<HHB3x", 1, 99, 0), "unscannable.damaged"),
    ],
)  # fmt: skip
def test_what_leads_out_of_hdf5_is_found(messages: bytes, rule: str, version: int) -> None:
    assert rule in rules(hdf5(messages=messages, version=version))


def test_what_stays_in_hdf5_passes() -> None:
    soft, itself = link(1, b"\x02\0/a"), link(0, struct.pack("<Q", 96), flags=0)
    nothing = message(2, b"\0\0" + NOWHERE * 2) + message(8, b"\x03\x01" + bytes(16))
    assert not rules(hdf5(messages=soft + itself + nothing))


def test_parts_of_hdf5_kept_by_a_driver_are_found() -> None:
    assert "hdf5.elsewhere" in rules(hdf5(driver=struct.pack("<Q", 96)))
    group = struct.pack("<BBHII4x", 1, 0, 0, 1, 16) + message(20, bytes(8))
    for version in (2, 3):
        data = hdf5(group, version=version, driver=struct.pack("<Q", 96))
        assert "hdf5.elsewhere" in rules(data)


def test_headers_that_continue_for_ever_end() -> None:
    loop = message(16, struct.pack("<QQ", 112, 24))
    assert "unscannable.damaged" in rules(hdf5(messages=loop))


@pytest.mark.parametrize("shift", range(0, 140, 7))
def test_a_configuration_is_found_at_the_seam_of_two_reads(shift: int) -> None:
    data = hdf5(bytes((1 << 20) - 96 - shift) + LAMBDA + bytes(200))
    assert "keras.lambda" in rules(data)


# -- texts --


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("model.py", "import os\n", "script.code"),
        ("run.sh", "#!/bin/sh\ntrue\n", "script.code"),
        ("run", "#!/usr/bin/env python\n", "script.code"),
        ("x.ipynb", '{"cells": [], "nbformat": 4}', "script.code"),
        ("x.json", '{"cells": [], "nbformat": 4}', "script.code"),
        ("config.json", '{"auto_map": {"AutoModel": "m.Model"}}', "config.remote-code"),
        ("config.json", '{"custom_pipelines": {"x": {}}}', "config.remote-code"),
        ("config.json", '{"a": {"trust_remote_code": true}}', "config.remote-code"),
        ("config.json", '{"a": 1, "a": 2}', "json.duplicate-key"),
        ("config.yaml", "model:\n  trust_remote_code: true\n", "config.remote-code"),
        ("x.yaml", "a: !!python/object/apply:os.system ['true']\n", "yaml.python-object"),
        ("x.yaml", "a: !<tag:yaml.org,2002:python/name:os.system> x\n", "yaml.python-object"),
        ("t.jinja", BAD_TEMPLATE, "jinja.code"),
        ("t.jinja", "{% for a in b %}{{ a }}{% endfor %}", "jinja.template"),
        ("chat_template.txt", "{{ self._TemplateReference__context }}", "jinja.code"),
        ("t.j2", "{{ x|attr('y') }}", "jinja.code"),
        ("t.j2", "{% import 'x' as y %}", "jinja.code"),
        ("t.j2", "{{ x['\\x5f\\x5fclass'] }}", "jinja.code"),
        ("t.j2", "{{ lipsum.__globals__", "jinja.code"),
        ("tokenizer_config.json", json.dumps({"chat_template": BAD_TEMPLATE}), "jinja.code"),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": [{"name": "a", "template": BAD_TEMPLATE}]}),
            "jinja.code",
        ),
        ("x.json", "[" * 200_000, "unscannable.limit"),
        ("m.pmml", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><PMML/>', "xml.entity"),
        ("m.xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "xml.entity"),
        (
            "m.xml",
            '<x xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/x"/></x>',
            "xml.include",
        ),
        ("m.xml", "<x><y></x>", "xml.malformed"),
        ("m.xml", "<x>" * 5000, "unscannable.limit"),
    ],
)
def test_texts_that_do_harm(name: str, text: str, rule: str) -> None:
    assert rule in rules(text.encode(), name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"architectures": ["LlamaForCausalLM"], "trust_remote_code": false}'),
        ("lines.json", '{"a": 1}\n{"a": 2}\n'),
        ("README.md", "Do not `import os` here. {{ nothing }}"),
        ("requirements.txt", "numpy==2\n"),
        ("x.yaml", "a: !!str 5\n"),
        ("m.pmml", '<PMML version="4.4"><Header/></PMML>'),
        ("empty", ""),
    ],
)
def test_texts_that_do_none(name: str, text: str) -> None:
    assert told(text.encode(), name).verdict is VerdictClass.CLEAN


def test_long_json_is_searched() -> None:
    limits = Limits(parsed_bytes=1000)
    fine = json.dumps({"vocab": {f"w{number}": number for number in range(1000)}}).encode()
    assert not rules(fine, "tokenizer.json", limits=limits)
    bad = fine[:-1] + b', "auto_map": {}}'
    assert "unscannable.limit" in rules(bad, "tokenizer.json", limits=limits)
    escaped = fine[:-1] + b', "\\u0061uto_map": {}}'
    assert "unscannable.limit" in rules(escaped, "tokenizer.json", limits=limits)
    template = b"{{ a }}" * 1000
    assert "unscannable.limit" in rules(template, "a.jinja", limits=limits)


# -- others --


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )  # fmt: skip


PARQUET = b"PAR1" + bytes(20) + struct.pack("<I", 10) + b"PAR1"
ARROW = b"ARROW1\0\0" + bytes(20) + struct.pack("<i", 10) + b"ARROW1"
UBJ = (SAMPLES / "xgboost.ubj").read_bytes()
PNG = png((b"IHDR", bytes(13)), (b"IEND", b""))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (PARQUET, None),
        (PARQUET[:-1], "unscannable.damaged"),
        (PARQUET.replace(struct.pack("<I", 10), b"\xff" * 4), "unscannable.damaged"),
        (ARROW, None),
        (ARROW[:-1], "unscannable.damaged"),
        (PNG, None),
        (PNG[:-5], "unscannable.truncated"),
        (PNG[:-1] + b"\0", "unscannable.damaged"),
        (PNG + b"x", "archive.trailing"),
        (PNG[:8] + b"\xff" * 8, "unscannable.limit"),
        (UBJ + b"x", "archive.trailing"),
        (UBJ[:-1], "unscannable.truncated"),
        (UBJ[:60] + b"\xff" + UBJ[61:], "unscannable.damaged"),
        (b"{L" + bytes(7) + b"\x07learner" + b"[" * 500, "unscannable.limit"),
        (b"{L" + bytes(7) + b"\x07learner[$C#L" + b"\xff" * 8, "unscannable.damaged"),
        (b"{L" + bytes(7) + b"\x07learner[#x", "unscannable.damaged"),
        (b"{L" + bytes(7) + b"\x07learner[#U\x02ZZ}", None),
        (b"\x7fELF" + bytes(100), "native.code"),
        (b"MZ" + bytes(100), "native.code"),
        (b"\x00asm" + bytes(100), "native.code"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "unscannable.format"),
        (b"Rar!\x1a\x07" + bytes(100), "unscannable.format"),
        (b"\xac\xed\x00\x05" + bytes(100), "unscannable.format"),
        (bytes(4) + b"TFL3" + bytes(100), "unscannable.format"),
        (bytes(1000), "unscannable.format"),
        (np.arange(100).tobytes(), "unscannable.format"),
    ],
)
def test_other_formats(data: bytes, rule: str | None) -> None:
    assert (rule in rules(data)) if rule else not rules(data)


def test_findings_have_an_end() -> None:
    data = zipped({f"../{number}": b"" for number in range(50)})
    assert len(told(data, limits=Limits(findings=10)).findings) == 10
