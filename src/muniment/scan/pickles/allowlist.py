"""What pickles may name, as the lists in `allowed/` say; and what surely runs something.

A list is of lines: `module NAME`, then `class`, `call` or `value` and names in that module. A class
may be made objects of and mentioned; `call` may be called; a `value` may be mentioned only.

Source: R-095; docs/adr/0012-scanning.md.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

from muniment.scan.pickles.values import Use

#: Modules whose names in a pickle are an attack and no oversight. Only for how it is said.
_RUNNING: Final = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "builtins",
        "__builtin__",
        "commands",
        "popen2",
        "pty",
        "socket",
        "ctypes",
        "_ctypes",
        "importlib",
        "_frozen_importlib",
        "imp",
        "runpy",
        "code",
        "codeop",
        "codecs",
        "marshal",
        "types",
        "shutil",
        "webbrowser",
        "pickle",
        "_pickle",
        "cPickle",
        "pickletools",
        "dill",
        "cloudpickle",
        "operator",
        "_operator",
        "functools",
        "multiprocessing",
        "threading",
        "_thread",
        "asyncio",
        "concurrent",
        "signal",
        "timeit",
        "cProfile",
        "profile",
        "pdb",
        "bdb",
        "doctest",
        "trace",
        "pydoc",
        "pkgutil",
        "zipimport",
        "venv",
        "ensurepip",
        "pip",
        "distutils",
        "setuptools",
        "http",
        "urllib",
        "urllib2",
        "httplib",
        "requests",
        "ftplib",
        "smtplib",
        "telnetlib",
        "xmlrpc",
        "tempfile",
        "io",
        "_io",
        "fileinput",
        "linecache",
        "glob",
        "pathlib",
        "inspect",
        "gc",
        "ast",
        "compileall",
        "py_compile",
        "platform",
        "ptyprocess",
        "pexpect",
        "fabric",
        "paramiko",
        "joblib",
        "test",
        "idlelib",
        "lib2to3",
        "sqlite3",
        "logging",
        "atexit",
        "site",
        "sitecustomize",
        "numexpr",
    ]
)


def _read() -> dict[tuple[str, str], Use]:
    found: dict[tuple[str, str], Use] = {}
    for content in list_texts():
        module = ""
        for line in content.splitlines():
            words = line.split()
            if not words or words[0] == "#":
                continue
            if words[0] == "module":
                module = words[1]
            else:
                found |= {(module, name): Use(words[0]) for name in words[1:]}
    return found


@functools.cache
def list_texts() -> tuple[str, ...]:
    """Return the lists' texts, sorted by file name."""
    folder = resources.files("muniment.scan") / "allowed"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(file.read_text("utf-8") for file in files if file.name.endswith(".txt"))


@functools.cache
def allowed() -> dict[tuple[str, str], Use]:
    """Return how each allow-listed (module, name) may be used."""
    return _read()


def use_of(module: str, name: str) -> Use | None:
    """Return how `module.name` may be used; None: not at all."""
    return allowed().get((module, name))


def runs_code(module: str) -> bool:
    """Say whether what a module offers is known to run or open things."""
    return module.split(".", 1)[0] in _RUNNING
