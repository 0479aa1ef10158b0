"""Signed tree heads: what the log says it holds, in the notes every C2SP tool reads.

A note is a body, an empty line, and one line per signature; a checkpoint is a note whose body is
origin, size and root. Rules of reading, in order:

1. a note is UTF-8 without control characters, of bounded size, with 1 to 100 signature lines;
2. signatures by keys the reader does not know are ignored;
3. a signature by a key the reader knows must verify, or the whole note is refused;
4. at least one signature must be by the key the reader asked for;
5. the origin of a checkpoint is the name of the log's key.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from muniment.core.canon import from_base64, to_base64
from muniment.core.errors import BadProof, BadSignature
from muniment.core.merkle import HASH_BYTES, MAX_SIZE

Sign = Callable[[bytes], bytes]

ED25519_LOG = 0x01
ED25519_COSIGNER = 0x04
MAX_NOTE_BYTES = 512 * 1024
MAX_SIGNATURES = 100

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_DASH = "\u2014"
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NAME = re.compile(r"[^\s+]{1,255}")
_LINE = re.compile(rf"{_DASH} (?P<name>[^\s+]{{1,255}}) (?P<data>[A-Za-z0-9+/=]+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_VKEY = re.compile(r"(?P<name>[^\s+]{1,255})\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]{1,200})")


@dataclass(frozen=True, slots=True)
class LogKey:
    """A public key that signs notes: its name, 32 raw bytes, and what it signs (`kind`)."""

    name: str
    public: bytes
    kind: int = ED25519_LOG

    def __post_init__(self) -> None:
        """Refuse what no note could be signed with."""
        _checked_name(self.name)
        if self.kind not in (ED25519_LOG, ED25519_COSIGNER):
            raise BadProof(f"expected an Ed25519 key (type 1 or 4), found type {self.kind!r:.20}")
        if not (isinstance(self.public, bytes) and len(self.public) == _KEY_BYTES):
            raise BadProof(f"expected a public key of {_KEY_BYTES} bytes")

    @classmethod
    def parse(cls, vkey: str) -> LogKey:
        """Read a verifier key: `name+key id+base64`.

        Raises:
            BadProof: it is none, of another type, or its key id is not its own.
        Source: c2sp.org/signed-note, Verifier keys.
        """
        found = _VKEY.fullmatch(vkey) if isinstance(vkey, str) else None
        if not found:
            raise BadProof("expected a verifier key NAME+8 hexadecimal digits+base64")
        data = from_base64(found["key"])
        key = cls(found["name"], data[1:], data[0])
        if key.key_id.hex() != found["id"]:
            raise BadProof(f"expected key id {key.key_id.hex()} for this key, found {found['id']}")
        return key

    @property
    def full_id(self) -> bytes:
        """SHA-256 over name and key, 32 bytes: how Sigstore bundles name the log."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(named).digest()

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of `full_id`: how notes name the key."""
        return self.full_id[:4]

    @property
    def vkey(self) -> str:
        """The verifier key: what `parse` reads."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public)}"

    def __str__(self) -> str:
        """The verifier key."""
        return self.vkey

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check `signature` (64 bytes, Ed25519) over `message`.

        Raises:
            BadSignature: it does not verify.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- slow to import
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 -- the same

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise BadSignature(f"the signature by {self.name} does not verify") from None


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who it says signed, the key's 4-byte id, the bytes after it."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line as it stands in a note, newline included."""
        return f"{_DASH} {self.name} {to_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A body, ending in a newline, and its signatures in the order they stand."""

    body: str
    signatures: tuple[NoteSignature, ...]

    def text(self) -> str:
        """The note as it is published."""
        return self.body + "\n" + "".join(each.line() for each in self.signatures)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves it has, their root (32 raw bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be written as a checkpoint."""
        for line in (self.origin, *self.extensions):
            if not (isinstance(line, str) and line) or "\n" in line or _CONTROLS.search(line):
                raise BadProof("expected lines of text without control characters")
            _checked_text(line)
        if not (type(self.size) is int and 0 <= self.size <= MAX_SIZE):
            raise BadProof(f"expected a size from 0 to 2**63-1, found {self.size!r:.40}")
        if not (isinstance(self.root, bytes) and len(self.root) == HASH_BYTES):
            raise BadProof(f"expected a root of {HASH_BYTES} raw bytes")

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Read a note's body.

        Raises:
            BadProof: it is no checkpoint.
        Source: c2sp.org/tlog-checkpoint, Note text.
        """
        lines = body.split("\n") if isinstance(body, str) else []
        if len(lines) < 4 or lines[-1] or not _SIZE.fullmatch(lines[1]):  # noqa: PLR2004
            raise BadProof("expected a checkpoint: origin, size and root, each on its line")
        return cls(lines[0], int(lines[1]), from_base64(lines[2]), tuple(lines[3:-1]))

    def text(self) -> str:
        """The note's body."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(line + "\n" for line in lines)


def parse_note(text: str) -> Note:
    """Read a note; nothing is verified.

    Raises:
        BadProof: it is none.
    Source: c2sp.org/signed-note, Format.
    """
    if not isinstance(text, str) or len(text) > MAX_NOTE_BYTES or _CONTROLS.search(text):
        raise BadProof(f"expected a note of at most {MAX_NOTE_BYTES} characters, no controls")
    body, blank, tail = text.rpartition("\n\n")
    lines = tail.split("\n")
    if not (body and blank and lines.pop() == "" and 1 <= len(lines) <= MAX_SIGNATURES):
        raise BadProof(f"expected a body, an empty line and 1 to {MAX_SIGNATURES} signature lines")
    return Note(_checked_text(body) + "\n", tuple(_parse_line(line) for line in lines))


def sign_note(body: str, key: LogKey, sign: Sign) -> str:
    """Return the note of `body` signed by the log key `key`, whose private half is `sign`."""
    return Note(body, (NoteSignature(key.name, key.key_id, sign(body.encode())),)).text()


def sign_checkpoint(checkpoint: Checkpoint, name: str, sign: Sign, public_raw: bytes) -> str:
    """Return the checkpoint as a note signed with the log's Ed25519 key.

    `name` is the key's name and must be the origin.

    Raises:
        BadProof: it is not, or cannot be a key's name.
    Source: c2sp.org/tlog-checkpoint, Signatures.
    """
    if checkpoint.origin != name:
        raise BadProof(f"expected the key to be named {checkpoint.origin}, found {name!r:.80}")
    return sign_note(checkpoint.text(), LogKey(name, public_raw), sign)


def open_note(text: str, key: LogKey) -> tuple[Note, list[bytes]]:
    """Return a note and the signatures in it by `key`, all verified, at least one.

    What comes back of a signature is its bytes without the key id.

    Raises:
        BadProof: it is no note.
        BadSignature: it is not signed by `key`, or a signature by `key` does not verify.
    Source: c2sp.org/signed-note, Signatures.
    """
    note = parse_note(text)
    own = [each.signature for each in note.signatures if _is_by(key, each)]
    for signature in own:
        _verify_by_kind(key, note.body, signature)
    if not own:
        raise BadSignature(f"expected a signature by {key}, found none")
    return note, own


def open_checkpoint(note_text: str, vkey: str | LogKey) -> Checkpoint:
    """Return the checkpoint in a note, once the log's signature has verified.

    Raises:
        BadProof: it is no checkpoint, or another log's.
        BadSignature: not signed by the log's key.
    """
    key = vkey if isinstance(vkey, LogKey) else LogKey.parse(vkey)
    if key.kind != ED25519_LOG:
        raise BadProof("expected a log's verifier key (type 1), found a witness's")
    note, _ = open_note(note_text, key)
    checkpoint = Checkpoint.parse(note.body)
    if checkpoint.origin != key.name:
        raise BadProof(f"expected the origin {key.name}, found {checkpoint.origin[:80]!r}")
    return checkpoint


def cosign(note_text: str, key: LogKey, at: int, sign: Sign) -> str:
    """Return a witness's signature line for a note, newline included; append it to the note.

    `at` is POSIX seconds; `key` has kind `ED25519_COSIGNER`.

    Raises:
        BadProof: `note_text` is no note, or `key` no witness's.
    Source: c2sp.org/tlog-cosignature, Format (cosignature/v1).
    """
    if key.kind != ED25519_COSIGNER:
        raise BadProof("expected a witness's key (type 4), found a log's")
    signature = struct.pack(">Q", at) + sign(_cosigned(parse_note(note_text).body, at))
    return NoteSignature(key.name, key.key_id, signature).line()


def verify_cosignature(note_text: str, vkey: str | LogKey) -> int:
    """Return when a witness saw this checkpoint, POSIX seconds; the latest if it signed often.

    Raises:
        BadProof: `note_text` is no note, or `vkey` no witness's.
        BadSignature: the witness did not sign it.
    Source: c2sp.org/tlog-cosignature, Format (cosignature/v1).
    """
    key = vkey if isinstance(vkey, LogKey) else LogKey.parse(vkey)
    if key.kind != ED25519_COSIGNER:
        raise BadProof("expected a witness's verifier key (type 4), found a log's")
    _, signatures = open_note(note_text, key)
    return max(_cosigned_at(signature) for signature in signatures)


def _is_by(key: LogKey, signature: NoteSignature) -> bool:
    return (signature.name, signature.key_id) == (key.name, key.key_id)


def _verify_by_kind(key: LogKey, body: str, signature: bytes) -> None:
    stamped = key.kind == ED25519_COSIGNER
    if len(signature) != _SIGNATURE_BYTES + (8 if stamped else 0):
        raise BadSignature(f"the signature by {key.name} has the wrong length")
    if stamped:
        key.verify(_cosigned(body, _cosigned_at(signature)), signature[8:])
    else:
        key.verify(body.encode(), signature)


def _cosigned(body: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{body}".encode()


def _cosigned_at(signature: bytes) -> int:
    return int.from_bytes(signature[:8], "big")


def _parse_line(line: str) -> NoteSignature:
    found = _LINE.fullmatch(line)
    data = from_base64(found["data"]) if found else b""
    if not found or len(data) <= 4:  # noqa: PLR2004 -- the key id
        raise BadProof(f"expected a line `{_DASH} NAME base64`, found {line[:80]!r}")
    return NoteSignature(_checked_text(found["name"]), data[:4], data[4:])


def _checked_name(name: object) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)) or _CONTROLS.search(name):
        raise BadProof("expected a key name of 1 to 255 characters, no spaces and no +")
    _checked_text(name)


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadProof("expected Unicode text, found half of a surrogate pair") from None
    return text
