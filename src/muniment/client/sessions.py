"""Upload sessions remembered on this machine, so that a killed upload goes on where it was.

One small file per (registry, asset version, absolute paths of the artifact). The session keeps what
has arrived, by digest; a file that changed meanwhile is simply another blob.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

from muniment.client import places
from muniment.client.records import UploadSession
from muniment.client.transport import Transport, api
from muniment.core.errors import Conflict, Gone, NotFound

_FORGOTTEN_AFTER = 200
_TIME_TO_SEND = dt.timedelta(minutes=10)


class Memory:
    """What is remembered of one upload."""

    def __init__(self, url: str, ref: str, sources: Sequence[Path]) -> None:
        named = [url, ref, *(str(source.absolute()) for source in sources)]
        key = hashlib.sha256("\0".join(named).encode(errors="surrogateescape")).hexdigest()
        self._at = places.state_home() / "uploads" / f"{key[:32]}.json"

    def recall(self) -> str | None:
        """The session's id, or None."""
        try:
            saved = json.loads(self._at.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return saved.get("upload_id") if isinstance(saved, dict) else None

    def keep(self, upload_id: str) -> None:
        """Remember the session."""
        places.write_private(self._at, {"upload_id": upload_id})

    def forget(self) -> None:
        """Remember it no more, and the oldest of very many neither."""
        self._at.unlink(missing_ok=True)
        old = sorted(self._at.parent.glob("*.json"), key=_last_kept)
        for file in old[:-_FORGOTTEN_AFTER]:
            file.unlink(missing_ok=True)


def _last_kept(file: Path) -> float:
    """Return when `file` was written; infinitely late if another upload has just forgotten it."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def open_session(transport: Transport, memory: Memory, body: dict[str, str]) -> UploadSession:
    """Return the remembered session if it is still open, else a new one, remembered."""
    known = memory.recall()
    if known:
        try:
            session = transport.get(api("uploads", known), UploadSession)
        except (NotFound, Gone, Conflict):
            session = None
        if session and _takes_bytes(session):
            return session
    session = transport.send("POST", api("uploads"), body, UploadSession)
    memory.keep(session.id)
    return session


def _takes_bytes(session: UploadSession) -> bool:
    soon = dt.datetime.now(dt.UTC) + _TIME_TO_SEND
    return session.state == "open" and (session.expires_at is None or session.expires_at > soon)
