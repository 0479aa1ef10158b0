"""Uploads in parts as MLflow's clients send them: who may send which part where, and what makes a whole.

1. A part is sent to an address of its own, without the caller's token: clients have only that
   address. What it permits is in it, signed: one part, of so many, of the file at one path, in one
   session, until a time. Nobody is told of what was sent before the caller completes it.
2. Each time a part is sent it gets an ETag, as if fresh, and is staged under a name that follows
   from ETag, number, count, path and session. So a session needs no table of parts: what names
   nothing that was sent is not a part, be it of another path, in another place, or cut short.
3. A whole is every part once, in order. The last ETag of a part is as good as its first.

Source: MLflow's artifact proxy, as its client speaks it; RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
import ntpath
import posixpath
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.digest import Digest
from muniment.core.errors import BadRequest, NotAllowed
from muniment.server.artifacts.records import Declared

#: What the entry key is asked for: its HMAC of this is the key that signs addresses of parts.
KEY_CONTEXT: Final = b"muniment/mlflow-part/v1\n"
#: As S3 has it.
PARTS_MAX: Final = 10_000
_OF_WINDOWS: Final = re.compile(r"[A-Za-z]:|\\\\")


@dataclass(frozen=True, slots=True)
class Part:
    """Part `number` of `count` (from 1 on) of the file at `path`, in a session."""

    upload_id: str
    path: str
    number: int
    count: int

    def said(self) -> str:
        """Return all of it as one text that no other part has."""
        # The path comes last: nothing else of it can hold a new line.
        return f"{self.upload_id}\n{self.number}\n{self.count}\n{self.path}"


def path_of(directory: str, sent: str) -> str:
    """Return where a file goes; clients send its path on their own disk.

    Raises:
        BadRequest: there is no name in it.
    """
    name = (ntpath if _OF_WINDOWS.match(sent) else posixpath).basename(sent)
    if not name:
        raise BadRequest("Invalid value for parameter 'path': expected the path of a file")
    return f"{directory.strip('/')}/{name}" if directory.strip("/") else name


def check_count(count: int) -> int:
    """Return how many parts a file may be sent in.

    Raises:
        BadRequest: not 1 to `PARTS_MAX`.
    """
    if not 1 <= count <= PARTS_MAX:
        raise BadRequest(
            f"Invalid value for parameter 'num_parts': expected 1 to {PARTS_MAX}, found {count};"
            " set MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE to a larger one"
        )
    return count


def sign(key: bytes, part: Part, expires: int) -> str:
    """Sign that whoever shows this may send `part` until `expires`, in seconds since 1970."""
    return hmac.digest(key, f"{expires}\n{part.said()}".encode(), hashlib.sha256).hex()


def check_signed(key: bytes, part: Part, expires: int, signature: str, now: float) -> None:
    """Go on only if `signature` is of this part and not over; `now` is in seconds since 1970.

    Raises:
        NotAllowed: it is not.
    """
    if not hmac.compare_digest(sign(key, part, expires).encode(), signature.encode()):
        raise NotAllowed("this is no address that was given out for a part: its signature is wrong")
    if now >= expires:
        raise NotAllowed("the address of this part has ended: start the upload of the file again")


def staged_as(part: Part, etag: str) -> Digest:
    """Return the name under which a part is staged that was answered with `etag`."""
    return Digest(hashlib.sha256(f"{etag}\n{part.said()}".encode()).digest())


def whole(
    path: str,
    upload_id: str,
    parts: Sequence[tuple[int, str]],
    sent: Mapping[Digest, Declared],
) -> list[Declared]:
    """Return the pieces that make the file at `path`; `parts` are (number, ETag) as completed.

    Raises:
        BadRequest: they are not every part once, in order, with the ETags they were answered with.
    """
    count = check_count(len(parts))
    found = []
    for expected, (number, etag) in enumerate(parts, 1):
        if number != expected:
            raise BadRequest(
                f"Invalid value for parameter 'parts': expected part {expected}, found {number}:"
                " name every part once, in order"
            )
        piece = sent.get(staged_as(Part(upload_id, path, number, count), etag.strip('"')))
        if piece is None:
            raise BadRequest(
                f"Invalid value for parameter 'parts': part {number} of {count} was not sent for"
                " this file with that ETag"
            )
        found.append(piece)
    return found


def session_of(upload_id: str) -> uuid.UUID | None:
    """Return the session an id names, or None if no session can be called that."""
    try:
        found = uuid.UUID(upload_id)
    except ValueError:
        return None
    return found if str(found) == upload_id else None
