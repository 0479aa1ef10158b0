"""Which rules judged a file: a name for people, and a digest of all that decides.

The digest covers the lists of what pickles may name, the catalogue of rules, the limits, and the
source of the scanner, so whatever could judge another way has another digest. The second opinion
and the plugins are in it by name and version.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Final

from muniment.scan.records import DEFAULT_LIMITS

RULESET_ID: Final = "muniment-builtin/1"
TOOL: Final = "muniment-scan"
#: What runs the scanner and does not judge.
_NOT_JUDGING: Final = frozenset({"__main__.py", "trees.py", "process.py", "reports.py"})


def tool_version() -> str:
    """Return the scanner's version, which is this package's."""
    return metadata.version("muniment")


@functools.cache
def builtin_digest() -> str:
    """Return the SHA-256 of the built-in rules, in hex."""
    hasher = hashlib.sha256(repr(DEFAULT_LIMITS).encode())
    for name, file in sorted(_files(resources.files("muniment.scan"), "")):
        hasher.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return hasher.hexdigest()


def digest_with(others: tuple[tuple[str, str], ...]) -> str:
    """Return the SHA-256 of the built-in rules and `others`, (name, version) of each; in hex."""
    told = "".join(f"{name}\0{version}\n" for name, version in sorted(others))
    return hashlib.sha256(f"{builtin_digest()}\n{told}".encode()).hexdigest()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _files(one, f"{prefix}{one.name}/")
        elif one.name.endswith((".py", ".txt")) and one.name not in _NOT_JUDGING:
            found.append((f"{prefix}{one.name}", one))
    return found
