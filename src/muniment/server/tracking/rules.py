"""Where artifacts lie, which paths they may have, and how paths list as directories.

1. A run's artifacts lie under `EXPERIMENT/RUN/artifacts`, a logged model's under
   `EXPERIMENT/models/MODEL/artifacts`.
2. A path is relative, of plain parts: no empty part, `.` or `..`, no backslash, no drive, no control
   character, and none of these after one more percent-decoding either.
3. `versions/…` is where registered versions are read; nothing is written there.

Source: CVE-2023-1177, CVE-2023-6909, CVE-2024-1558, CVE-2024-2928 (traversal, also encoded).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from muniment.core.errors import BadPath
from muniment.server.tracking.records import Artifact, Listed

VERSIONS: Final = "versions"
PATH_MAX_CHARS: Final = 1000
_DRIVE: Final = re.compile(r"[A-Za-z]:")


def run_root(experiment_id: int, run_id: str) -> str:
    """Return the path of a run's artifacts."""
    return f"{experiment_id}/{run_id}/artifacts"


def model_root(experiment_id: int, model_id: str) -> str:
    """Return the path of a logged model's artifacts."""
    return f"{experiment_id}/models/{model_id}/artifacts"


def check_artifact_path(path: str) -> str:
    """Return `path` if it is one an artifact can have.

    Raises:
        BadPath: it is not.
    """
    if not 0 < len(path) <= PATH_MAX_CHARS or not (_plain(path) and _plain(unquote(path))):
        raise BadPath(
            f"Invalid path: {path[:120]!a}; expected a relative path of at most {PATH_MAX_CHARS}"
            " characters without empty parts, `.`, `..`, backslashes and control characters"
        )
    return path


def _plain(path: str) -> bool:
    parts = path.split("/")
    return (
        not any(part in {"", ".", ".."} for part in parts)
        and "\\" not in path
        and path.isprintable()
        and "\ufffd" not in path
        and not any(_DRIVE.match(part) for part in parts)
    )


def listed(artifacts: Iterable[Artifact], directory: str) -> list[Listed]:
    """Return what lies directly in `directory` (empty: the root), by name.

    A directory stands for everything below it; a path that is not below `directory` is left out.
    """
    prefix = f"{directory}/" if directory else ""
    found: dict[str, Listed] = {}
    for one in artifacts:
        if not one.path.startswith(prefix):
            continue
        name, slash, _ = one.path.removeprefix(prefix).partition("/")
        found[name] = Listed(name, None if slash else one.size_bytes)
    return [found[name] for name in sorted(found)]
