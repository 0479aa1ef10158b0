"""Bundles where they lie: in a folder, in a `.tar.gz`, or in this package (the starter bundle)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from muniment.core.errors import BadPolicy
from muniment.server.policy.rules import archives

#: The bundle that comes with the registry.
STARTER: Final = Path(__file__).parents[1] / "starter"


def read_files(place: Path) -> dict[str, bytes]:
    """Return the files of a bundle by path. Names that start with a full stop are passed over.

    Raises:
        BadPolicy: there is none, it is larger than a bundle may be, or has links or other things.
    """
    if place.is_file():
        return _read_archive(place)
    if not place.is_dir():
        raise BadPolicy(f"expected a folder or a .tar.gz, found none at {str(place)!r}")
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*names, *folders]:
            path = Path(folder) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise BadPolicy(f"expected plain files, found a link or the like: {str(path)!r}")
        for name in names:
            if not name.startswith("."):
                path = Path(folder) / name
                found[path.relative_to(place).as_posix()] = path
        archives.check_sizes({name: path.stat().st_size for name, path in found.items()})
    return {name: path.read_bytes() for name, path in sorted(found.items())}


def _read_archive(place: Path) -> dict[str, bytes]:
    with place.open("rb") as file:
        return archives.unpack(file.read(archives.MAX_PACKED_BYTES + 1))
