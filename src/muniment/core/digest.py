"""SHA-256 digests as values: 32 raw bytes, parsed once, written as lower-case hexadecimal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from muniment.core.errors import BadDigest

_HEX = re.compile(r"[0-9a-f]{64}")
_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest, 32 raw bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        """Refuse anything but 32 bytes."""
        if not (isinstance(self.raw, bytes) and len(self.raw) == 32):  # noqa: PLR2004 -- SHA-256
            msg = f"expected a SHA-256 digest of 32 bytes, found {self.raw!r:.80}"
            raise BadDigest(msg)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read 64 lower-case hexadecimal digits, with or without `sha256:` before them.

        Raises:
            BadDigest: `text` is anything else.
        """
        digits = text.removeprefix(_PREFIX) if isinstance(text, str) else ""
        if not _HEX.fullmatch(digits):
            msg = f"expected 64 lower-case hexadecimal digits, found {text!r:.80}"
            raise BadDigest(msg)
        return cls(bytes.fromhex(digits))

    @property
    def hex(self) -> str:
        """64 lower-case hexadecimal digits."""
        return self.raw.hex()

    def __str__(self) -> str:
        """`sha256:` and 64 lower-case hexadecimal digits."""
        return _PREFIX + self.hex


def digest_of(data: bytes) -> Digest:
    """Return the SHA-256 of `data`."""
    return Digest(hashlib.sha256(data).digest())


def digest_of_stream(chunks: Iterable[bytes]) -> tuple[Digest, int]:
    """Return the SHA-256 of all `chunks` in order, and how many bytes there were."""
    hasher = hashlib.sha256()
    size_bytes = 0
    for chunk in chunks:
        hasher.update(chunk)
        size_bytes += len(chunk)
    return Digest(hasher.digest()), size_bytes
