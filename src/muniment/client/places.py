"""Where this machine keeps what belongs to the user: credentials, trusted keys, unfinished work."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

_OWNER_ONLY = 0o600
_OWNER_ONLY_DIRECTORY = 0o700


def config_home() -> Path:
    """`$MUNIMENT_CONFIG_HOME`, else `$XDG_CONFIG_HOME/muniment`, else `~/.config/muniment`."""
    return _home("MUNIMENT_CONFIG_HOME", "XDG_CONFIG_HOME", ".config")


def state_home() -> Path:
    """`$MUNIMENT_STATE_HOME`, else `$XDG_STATE_HOME/muniment`, else `~/.local/state/muniment`."""
    return _home("MUNIMENT_STATE_HOME", "XDG_STATE_HOME", ".local/state")


def _home(own: str, standard: str, fallback: str) -> Path:
    if os.environ.get(own):
        return Path(os.environ[own])
    base = os.environ.get(standard)
    return (Path(base) if base else Path.home() / fallback) / "muniment"


def write_private(path: Path, value: Any) -> None:
    """Replace `path` with `value` as JSON, atomically, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_DIRECTORY)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
