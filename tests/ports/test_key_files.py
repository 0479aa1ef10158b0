"""Key files: made once, kept to their owner, never replaced."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.ports.key_files import BadKey, open_keys
from muniment.server.ports.keys import Keys
from tests.support.keys import MemoryKeys


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(params=["files", "memory"])
def either(request: pytest.FixtureRequest, directory: Path) -> Keys:
    return open_keys(directory) if request.param == "files" else MemoryKeys()


def test_the_log_key_makes_raw_ed25519_signatures(either: Keys) -> None:
    public = load_der_public_key(either.log.public_key_der)
    assert isinstance(public, ed25519.Ed25519PublicKey)
    signature = either.log.sign(b"checkpoint")
    assert len(signature) == 64
    public.verify(signature, b"checkpoint")


def test_the_record_key_signs_the_sha256_of_the_message(either: Keys) -> None:
    public = load_der_public_key(either.record.public_key_der)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    public.verify(either.record.sign(b"decision"), b"decision", ec.ECDSA(hashes.SHA256()))


def test_the_entry_key_makes_hmac_sha256(either: Keys, directory: Path) -> None:
    """RFC 2104, from its definition."""
    if directory.exists():
        secret = bytes.fromhex((directory / "entry.key").read_text(encoding="ascii"))
    else:
        secret = hashlib.sha256(b"muniment tests entry").digest()
    inner, outer = (bytes(each ^ pad for each in secret.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    expected = hashlib.sha256(outer + hashlib.sha256(inner + b"an entry").digest()).digest()
    assert either.entry.mac(b"an entry") == expected


@given(st.binary(max_size=64))
def test_keys_in_memory_are_the_same_in_every_run(message: bytes) -> None:
    one, two = MemoryKeys(), MemoryKeys()
    assert one.record.public_key_der == two.record.public_key_der
    assert one.record.sign(message) == two.record.sign(message)
    assert one.log.sign(message) == two.log.sign(message)
    assert MemoryKeys("other").log.public_key_der != one.log.public_key_der


def test_keys_are_made_once_and_kept_from_others(directory: Path) -> None:
    first, second = open_keys(directory), open_keys(directory)
    assert first.log.public_key_der == second.log.public_key_der
    assert first.record.public_key_der == second.record.public_key_der
    assert directory.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in directory.iterdir()) == [
        "entry.key",
        "log.pem",
        "record.pem",
    ]
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        begin = b"" if path.suffix == ".key" else b"-----BEGIN PRIVATE KEY-----"
        assert path.read_bytes().startswith(begin)


def test_a_strict_umask_is_not_needed(directory: Path) -> None:
    before = os.umask(0)
    try:
        open_keys(directory)
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.iterdir())


@pytest.mark.parametrize("name", ["log.pem", "record.pem", "entry.key"])
def test_a_lost_key_is_not_replaced(directory: Path, name: str) -> None:
    open_keys(directory)
    (directory / name).unlink()
    with pytest.raises(BadKey, match="restore it from the backup"):
        open_keys(directory)
    assert not (directory / name).exists()


@pytest.mark.parametrize("name", ["log.pem", "record.pem", "entry.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_key_others_can_reach_is_refused(directory: Path, name: str, mode: int) -> None:
    open_keys(directory)
    (directory / name).chmod(mode)
    with pytest.raises(BadKey, match=f"{name}.*mode {mode:04o}.*chmod 600"):
        open_keys(directory)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP384R1())),
    ],
    ids=["empty", "text", "rubbish", "rsa", "p384"],
)
@pytest.mark.parametrize("name", ["log.pem", "record.pem", "entry.key"])
def test_a_damaged_or_foreign_key_is_refused_and_left(
    directory: Path, name: str, damage: bytes
) -> None:
    open_keys(directory)
    (directory / name).write_bytes(damage)
    with pytest.raises(BadKey, match=name):
        open_keys(directory)
    assert (directory / name).read_bytes() == damage


@pytest.mark.parametrize("named", [(), ("log.pem",), ("record.pem",), ("log.pem", "entry.key")])
def test_a_making_that_was_cut_short_is_finished(directory: Path, named: tuple[str, ...]) -> None:
    """Whatever was done: both written, one or none named yet."""
    keys = open_keys(directory)
    for path in list(directory.iterdir()):
        if path.name not in named:
            path.rename(f"{path}.new")
    again = open_keys(directory)
    if named:  # somebody may have seen the named one
        assert again.log.public_key_der == keys.log.public_key_der
        assert again.record.public_key_der == keys.record.public_key_der
        assert again.entry.mac(b"") == keys.entry.mac(b"")
    assert sorted(path.name for path in directory.iterdir()) == [
        "entry.key",
        "log.pem",
        "record.pem",
    ]


def _public_keys(directory: Path) -> tuple[bytes, bytes, bytes]:
    keys = open_keys(directory)
    return keys.log.public_key_der, keys.record.public_key_der, keys.entry.mac(b"")


def test_processes_that_start_at_once_have_the_same_keys(directory: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(_public_keys, [directory] * 8)
        pool.close()  # leaving the block would kill them where they stand
        pool.join()
    assert len(set(found)) == 1


def test_a_key_is_not_shown(directory: Path) -> None:
    keys = open_keys(directory)
    secret = (directory / "log.pem").read_text().splitlines()[1]
    assert secret not in repr(keys)
