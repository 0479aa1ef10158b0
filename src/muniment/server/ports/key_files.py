"""The registry's keys as three files, readable by their owner only.

- `log.pem`: Ed25519; signs checkpoints. `record.pem`: ECDSA P-256; signs records. Both PKCS#8 PEM.
- `entry.key`: 32 random bytes in hexadecimal; authenticates ledger entries (HMAC-SHA256).
- All are made together, once, where none is there, and never overwritten.
- A key that is missing while another is there is an error, not a reason to make a new one: what
  the lost key signed could no longer be told from a forgery. Restore it from the backup.
- A file that others may read, that is damaged or of another type stops the start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from muniment.core.errors import MunimentError

_LOG = "log.pem"
_RECORD = "record.pem"
_ENTRY = "entry.key"
_NAMES = (_LOG, _RECORD, _ENTRY)
_FILE_BYTES_MAX = 16 * 1024
_ENTRY_KEY = re.compile(rb"[0-9a-f]{64}\n?")
_ENTRY_KEY_BYTES = 32
_ECDSA = ec.ECDSA(hashes.SHA256())
_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class BadKey(MunimentError):
    """A key file cannot be used."""

    code = "bad_key"


class LogSigner:
    """The Ed25519 key: 64 raw bytes for each signature."""

    __slots__ = ("_key", "public_key_der")

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key_der = _public_der(key)

    def sign(self, message: bytes) -> bytes:
        """Sign `message`."""
        return self._key.sign(message)


class RecordSigner:
    """The P-256 key: an ASN.1 DER signature over SHA-256 of the message."""

    __slots__ = ("_key", "public_key_der")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key_der = _public_der(key)

    def sign(self, message: bytes) -> bytes:
        """Sign `message`."""
        return self._key.sign(message, _ECDSA)


class EntryMac:
    """The entry key: 32 raw bytes for each MAC."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mac(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`."""
        return hmac.digest(self._secret, message, "sha256")


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """`Keys` read from files."""

    log: LogSigner
    record: RecordSigner
    entry: EntryMac


def open_keys(directory: Path) -> KeyFiles:
    """Read the keys from `directory`, making them first if none is there.

    Servers that start at once end up with the same keys; a crash while they are made is made good.

    Raises:
        BadKey: a key is missing, damaged, of another type, or readable by others. Nothing is
            changed.
    """
    if not all((directory / name).exists() for name in _NAMES):
        _make_all(directory)
    log, record = _load(directory / _LOG), _load(directory / _RECORD)
    entry = _read(directory / _ENTRY)
    if not isinstance(log, ed25519.Ed25519PrivateKey):
        raise BadKey(f"{directory / _LOG} must hold an Ed25519 key: restore it from the backup")
    if not isinstance(record, ec.EllipticCurvePrivateKey) or record.curve.name != "secp256r1":
        raise BadKey(f"{directory / _RECORD} must hold a P-256 key: restore it from the backup")
    if not _ENTRY_KEY.fullmatch(entry):
        raise BadKey(
            f"{directory / _ENTRY} must hold 64 hexadecimal digits: restore it from the backup"
        )
    return KeyFiles(LogSigner(log), RecordSigner(record), EntryMac(bytes.fromhex(entry.decode())))


def _make_all(directory: Path) -> None:
    """Make the keys, or finish doing so.

    All are written beside their names and synced before any gets its name, so a name alone with
    the other keys beside it is an unfinished making, and without them a loss.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        if not any((directory / name).exists() for name in _NAMES):
            _write(directory / f"{_LOG}.new", _pem(ed25519.Ed25519PrivateKey.generate()))
            _write(directory / f"{_RECORD}.new", _pem(ec.generate_private_key(ec.SECP256R1())))
            secret = secrets.token_hex(_ENTRY_KEY_BYTES) + "\n"
            _write(directory / f"{_ENTRY}.new", secret.encode())
            _sync(directory)
        for path in (directory / name for name in _NAMES):
            fresh = path.with_name(f"{path.name}.new")
            if not path.exists() and fresh.exists():
                fresh.rename(path)
        _sync(directory)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # of a making that never got further
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    """Read the file `path`, once it is sure that nobody else can."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise BadKey(
            f"{path} is missing while another key is there: restore it from the backup; a new "
            "key could not be told from a forged one"
        ) from None
    except OSError as error:
        raise BadKey(f"{path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadKey(
            f"{path} can be read or changed by other accounts (mode {stat.S_IMODE(mode):04o}): "
            "run chmod 600 on it, and ask whether the key is still secret"
        )
    return content


def _load(path: Path) -> object:
    """Read the private key in `path`."""
    pem = _read(path)
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(
            f"{path} is not a private key in PKCS#8 PEM: restore it from the backup"
        ) from error


def _public_der(key: _PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
