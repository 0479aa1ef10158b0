"""Pickles that run something when they are loaded, and files that hide them. Never load these.

`GADGETS` are pickles by name, `HIDDEN` other files with such pickles in them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from typing import Any


def text(content: str) -> bytes:
    raw = content.encode()
    return (
        b"\x8c" + bytes([len(raw)]) + raw
        if len(raw) < 256
        else b"X" + struct.pack("<I", len(raw)) + raw
    )


def value(one: Any) -> bytes:
    """The instructions that push a plain value."""
    if isinstance(one, Raw):
        return one.code
    if isinstance(one, str):
        return text(one)
    if isinstance(one, bytes):
        return b"B" + struct.pack("<I", len(one)) + one
    if isinstance(one, tuple):
        return b"(" + b"".join(value(item) for item in one) + b"t"
    body = pickle.dumps(one, 2)
    return body[2:-1]


class Raw:
    def __init__(self, code: bytes) -> None:
        self.code = code


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def ref(module: str, attribute: str) -> Raw:
    return Raw(name(module, attribute))


def calls(module: str, attribute: str, *args: Any, protocol: int = 4) -> bytes:
    """A pickle that calls `module.attribute(*args)`."""
    head = b"\x80" + bytes([protocol])
    named = name(module, attribute) if protocol >= 4 else f"c{module}\n{attribute}\n".encode()
    return head + named + value(args) + b"R."


def applied(code: bytes, *args: Any) -> Raw:
    return Raw(code + value(args) + b"R")


CODE = "import os; os.system('true')"
SYSTEM = calls("os", "system", "true")
PLAIN = b"cos\nsystem\n(S'true'\ntR."
GETATTR = name("builtins", "getattr")

_CALLED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("os", "system", ("true",)),
    ("posix", "system", ("true",)),
    ("nt", "system", ("true",)),
    ("os", "popen", ("true",)),
    ("os", "execv", ("/bin/true", ("true",))),
    ("os", "posix_spawn", ("/bin/true", ("true",), {})),
    ("os", "remove", ("x",)),
    ("subprocess", "Popen", (("true",),)),
    ("subprocess", "run", (("true",),)),
    ("subprocess", "check_output", ("true",)),
    ("subprocess", "getoutput", ("true",)),
    ("commands", "getoutput", ("true",)),
    ("builtins", "eval", ("1",)),
    ("builtins", "exec", (CODE,)),
    ("builtins", "compile", (CODE, "x", "exec")),
    ("builtins", "open", ("/etc/passwd",)),
    ("builtins", "__import__", ("os",)),
    ("builtins", "breakpoint", ()),
    ("__builtin__", "eval", ("1",)),
    ("runpy", "run_path", ("x.py",)),
    ("runpy", "_run_code", (CODE, {})),
    ("importlib", "import_module", ("antigravity",)),
    ("importlib._bootstrap", "_load", ("x",)),
    ("pty", "spawn", ("/bin/sh",)),
    ("socket", "create_connection", (("127.0.0.1", 9),)),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("ctypes", "cast", (1, 2)),
    ("code", "interact", ()),
    ("codecs", "open", ("x",)),
    ("pickle", "loads", (PLAIN,)),
    ("_pickle", "loads", (PLAIN,)),
    ("marshal", "loads", (b"\xe3",)),
    ("types", "CodeType", (0,) * 16),
    ("types", "FunctionType", (1, {})),
    ("shutil", "rmtree", ("x",)),
    ("webbrowser", "open", ("http://x",)),
    ("timeit", "timeit", (CODE,)),
    ("cProfile", "run", (CODE,)),
    ("pdb", "run", (CODE,)),
    ("bdb", "Bdb", ()),
    ("doctest", "debug_script", (CODE,)),
    ("trace", "Trace", ()),
    ("pydoc", "pipepager", ("x", "true")),
    ("pip", "main", (("install", "x"),)),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start", ("true",)),
    ("multiprocessing.util", "spawnv_passfds", (b"/bin/true", (b"true",), ())),
    ("distutils.file_util", "write_file", ("x", ("y",))),
    ("idlelib.run", "Executive", ()),
    ("lib2to3.pgen2.pgen", "ParserGenerator", ("x",)),
    ("tempfile", "NamedTemporaryFile", ()),
    ("urllib.request", "urlopen", ("http://x",)),
    ("logging.config", "fileConfig", ("x",)),
    ("sqlite3", "connect", ("x",)),
    ("functools", "partial", (ref("os", "system"), "true")),
    ("operator", "attrgetter", ("system",)),
    ("operator", "methodcaller", ("system", "true")),
    ("torch", "load", ("x",)),
    ("torch.hub", "load", ("x", "y")),
    ("torch.utils.cpp_extension", "load_inline", ("x",)),
    ("torch.serialization", "load", ("x",)),
    ("torch._dynamo.guards", "GuardBuilder.get", ("x",)),
    ("torch.storage", "_load_from_bytes", (PLAIN,)),
    ("numpy", "load", ("x",)),
    ("numpy.testing._private.utils", "runstring", (CODE, {})),
    ("numpy.f2py.crackfortran", "getlincoef", (CODE, {})),
    ("numpy.core._ufunc_reconstruct", "_ufunc_reconstruct", ("os", "system")),
    ("numpy.core", "_ufunc_reconstruct", ("os", "system")),
    ("joblib", "load", ("x",)),
    ("joblib._memmapping_reducer", "reduce_array_memmap_backward", ("x",)),
    ("pandas", "read_pickle", ("x",)),
    ("pandas.core.computation.eval", "eval", (CODE,)),
    ("sklearn.datasets._base", "_fetch_remote", ("x",)),
    ("dill._dill", "_create_function", (1,)),
    ("dill._dill", "_import_module", ("os",)),
    ("cloudpickle.cloudpickle", "_make_function", (1,)),
    ("cloudpickle.cloudpickle", "_builtin_type", ("CodeType",)),
    ("cloudpickle.cloudpickle", "subimport", ("os",)),
    ("uuid", "_get_command_stdout", ("true",)),
    ("_osx_support", "_find_build_tool", ("true",)),
    ("site", "main", ()),
    ("somebody.elses", "function", ()),
    ("builtins", "getattr", (ref("os", "path"), "x")),
    ("builtins", "str.format", ("x",)),
    ("collections", "OrderedDict.fromkeys", ("x",)),
]  # fmt: skip

GADGETS: dict[str, bytes] = {
    f"{module}.{attribute} {number}": calls(module, attribute, *args)
    for number, (module, attribute, args) in enumerate(_CALLED)
}
GADGETS |= {
    f"os.system protocol {number}": calls("os", "system", "true", protocol=number)
    for number in (2, 3)
}


class _Reduced:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return eval, ("1",)


class _Stated:
    """Its state is set by a function, its items come from an iterator: all may name things."""

    def __reduce__(self) -> Any:
        return set, (), None, None, None


GADGETS |= {
    "protocol 0": PLAIN,
    "protocol 1": b"cos\nsystem\nq\x00(U\x04trueq\x01tq\x02R.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "INST of the allow-listed": b"(icollections\nOrderedDict\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "OBJ of the allow-listed": b"(ccollections\nOrderedDict\no.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\n(X\x04\x00\x00\x00truet\x81.",
    "NEWOBJ_EX": b"\x80\x04" + name("subprocess", "Popen") + value(("true",)) + b"}\x92.",
    "NEWOBJ_EX of the allow-listed": b"\x80\x04" + name("collections", "deque") + b")}\x92.",
    "escaped name": b"\x80\x04S'\\x6f\\x73'\nS'sys\\x74em'\n\x93(S'true'\ntR.",
    "unicode escaped name": b"V\\u006f\\u0073\nVsystem\n\x93(S'true'\ntR.",
    "name from the memo": (
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x88h\x00h\x01\x93(\x8c\x04truetR."
    ),
    "name that was moved about": b"\x80\x04\x8c\x02os2N00\x8c\x06system\x93(\x8c\x04truetR.",
    "name behind a group": b"\x80\x04(\x8c\x01x\x8c\x01y1\x8c\x02os\x8c\x06system\x93)R.",
    "name put together": (
        b"\x80\x04" + name("builtins", "str") + value(("os",)) + b"R\x8c\x06system\x93)R."
    ),
    "name joined": (
        b"\x80\x04" + value(("o", "s")) + b"\x8c\x06system\x93(\x8c\x04truetR."
    ),
    "name of bytes": b"\x80\x04C\x02os\x8c\x06system\x93)R.",
    "long name": b"\x80\x04" + text("o" * 300) + text("system") + b"\x93.",
    "EXT1": b"\x80\x02\x82\x01(\x8c\x04truetR.",
    "EXT2": b"\x80\x02\x83\x01\x01)R.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00)R.",
    "PERSID": b"\x80\x02Pos.system\n.",
    "BINPERSID": b"\x80\x02X\x02\x00\x00\x00osQ.",
    "storage out of its place": (
        b"\x80\x02" + value(("storage", Raw(b"ctorch\nFloatStorage\n"), "0", "cpu", 1)) + b"Q."
    ),
    "__reduce_ex__": pickle.dumps(_Reduced()),
    "in a list": pickle.dumps([1, {"a": (_Reduced(),)}]),
    "only mentioned": b"\x80\x04" + name("os", "system") + b".",
    "mentioned in a state": b"\x80\x02cnumpy\nndarray\n)\x81}X\x01\x00\x00\x00fcos\nsystem\nsb.",
    "getattr chain": (
        b"\x80\x04"
        + GETATTR
        + value((applied(GETATTR, applied(name("builtins", "__import__"), "os"), "system"), "x"))
        + b"R."
    ),
    "subclasses": (
        b"\x80\x04" + GETATTR + value((ref("builtins", "object"), "__subclasses__")) + b"R)R."
    ),
    "result called": b"\x80\x04" + name("builtins", "str") + b")R)R.",
    "value called": b"\x80\x04" + name("numpy", "log1p") + value((1.0,)) + b"R.",
    "value made": b"\x80\x04" + name("sklearn.metrics._ranking", "auc") + b")\x81.",
    "class rewritten": b"\x80\x04" + name("collections", "OrderedDict") + b"}\x8c\x01ak\x00K\x01sb."[:9] + b"K\x01sb.",
    "class's state": b"\x80\x04" + name("builtins", "dict") + b"N}\x8c\x01aK\x01s\x86b.",
    "__class__ set": (
        b"\x80\x04" + name("builtins", "object") + b")\x81N}\x8c\x09__class__"
        + name("builtins", "dict") + b"s\x86b."
    ),
    "__setstate__ set": (
        b"\x80\x04" + name("builtins", "object") + b")\x81}\x8c\x0c__setstate__"
        + name("builtins", "list") + b"sb."
    ),
    "items put into a class": b"\x80\x04" + name("builtins", "dict") + b"\x8c\x01aK\x01s.",
    "appended to a class": b"\x80\x04" + name("builtins", "list") + b"K\x01a.",
    "_reconstructor": b"\x80\x02" + value(Raw(b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR")) + b".",
    "_reconstructor of a function": (
        b"\x80\x02ccopy_reg\n_reconstructor\n(c_codecs\nencode\nc__builtin__\nobject\nNtR."
    ),
    "pickle in bytes": b"\x80\x04B" + struct.pack("<I", len(SYSTEM)) + SYSTEM + b".",
    "old pickle in bytes": b"\x80\x04" + value(PLAIN) + b".",
    "pickle in a bytearray": b"\x80\x05\x96" + struct.pack("<Q", len(SYSTEM)) + SYSTEM + b".",
    "pickle in Python 2's string": b"\x80\x02T" + struct.pack("<I", len(SYSTEM)) + SYSTEM + b".",
    "second pickle": pickle.dumps([1]) + SYSTEM,
    "second old pickle": pickle.dumps([1]) + PLAIN,
    "third pickle": pickle.dumps(1) + pickle.dumps(2) + SYSTEM,
    "before the damage": SYSTEM[:-1] + b"\xff",
    "without STOP": SYSTEM[:-1],
    "in a frame": b"\x80\x04\x95" + struct.pack("<Q", len(SYSTEM) - 2) + SYSTEM[2:],
    "in a frame too long": b"\x80\x04\x95" + struct.pack("<Q", 1000) + SYSTEM[2:],
    "behind a protocol too many": b"\x80\x02\x80\x05" + SYSTEM[2:],
    "dropped": b"\x80\x04" + SYSTEM[2:-1] + b"0N.",
    "more memory than there is": b"\x80\x04" + name("builtins", "bytearray") + value((1 << 40,)) + b"R.",
}  # fmt: skip


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def torch_zip(data: bytes, **more: bytes) -> bytes:
    return zipped({"archive/data.pkl": data, "archive/version": b"3\n", **more})


def npy_of_objects(data: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def flipped(data: bytes, find: bytes, offset: int, replacement: bytes, last: bool = False) -> bytes:
    """`data` with bytes replaced at `offset` from the first (or last) place of `find`."""
    at = (data.rindex(find) if last else data.index(find)) + offset
    return data[:at] + replacement + data[at + len(replacement) :]


_TORCH = torch_zip(SYSTEM)
#: PyTorch's older files: a mark, a protocol, the machine, then the object.
_LEGACY_HEAD = b"".join(
    pickle.dumps(one, 2)
    for one in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
)

HIDDEN: dict[str, bytes] = {
    "torch zip": _TORCH,
    "torch zip, packed": zipped({"archive/data.pkl": SYSTEM}, zipfile.ZIP_DEFLATED),
    "torch zip, bzip2": zipped({"archive/data.pkl": SYSTEM}, zipfile.ZIP_BZIP2),
    "torch zip with a wrong checksum": flipped(_TORCH, b"PK\x01\x02", 16, b"\0\0\0\0"),
    "torch zip whose headers differ": flipped(_TORCH, b"PK\x03\x04", 30, b"archive/dat4"),
    "torch zip said to be encrypted": flipped(_TORCH, b"PK\x01\x02", 8, b"\x01\x00"),
    "torch zip with another name": zipped({"archive/model.pkl": SYSTEM}),
    "zip in a zip": zipped({"a.zip": zipped({"b.bin": SYSTEM}, zipfile.ZIP_DEFLATED)}),
    "zip behind a text": b"hello\n" * 10 + _TORCH,
    "pickle before a zip": PLAIN + _TORCH,
    "npz": zipped({"x.npy": npy_of_objects(SYSTEM)}),
    "npy": npy_of_objects(SYSTEM),
    "old torch": _LEGACY_HEAD + SYSTEM + pickle.dumps([], 2),
    "old torch, in its machine": _LEGACY_HEAD[: -len(pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2))] + SYSTEM,
    "torch tar": tarred({"sys_info": pickle.dumps({}), "pickle": SYSTEM, "storages": pickle.dumps(0), "tensors": pickle.dumps(0)}),
    "zlib": zlib.compress(SYSTEM),
    "gzip": gzip.compress(SYSTEM),
    "gzip, second stream": gzip.compress(pickle.dumps([1])) + gzip.compress(PLAIN),
    "bzip2": bz2.compress(SYSTEM),
    "xz": lzma.compress(SYSTEM),
    "lzma": lzma.compress(SYSTEM, lzma.FORMAT_ALONE),
    "tar in gzip": gzip.compress(tarred({"a": SYSTEM})),
    "gzip in gzip": gzip.compress(gzip.compress(SYSTEM)),
    "gzip in bytes": b"\x80\x04" + value(gzip.compress(SYSTEM)) + b".",
    "zip in bytes": b"\x80\x04" + value(zipped({"data.pkl": SYSTEM})) + b".",
}  # fmt: skip
