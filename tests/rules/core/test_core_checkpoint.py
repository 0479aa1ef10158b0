"""Notes, checkpoints and cosignatures: what was signed opens, anything else does not."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import to_base64
from muniment.core.checkpoint import (
    ED25519_COSIGNER,
    MAX_NOTE_BYTES,
    Checkpoint,
    LogKey,
    Note,
    NoteSignature,
    cosign,
    open_checkpoint,
    open_note,
    parse_note,
    sign_checkpoint,
    sign_note,
    verify_cosignature,
)
from muniment.core.errors import BadProof, BadSignature
from tests.support.keys import MemoryKeys

ORIGIN = "audit.registry.example"
KEYS = MemoryKeys()
WITNESS = MemoryKeys("witness")
KEY = LogKey(ORIGIN, KEYS.log.public_key_der[-32:])
WITNESS_KEY = LogKey("witness.example/w1", WITNESS.log.public_key_der[-32:], ED25519_COSIGNER)
HEAD = Checkpoint(ORIGIN, 70_000, bytes(range(32)))
NOTE = sign_checkpoint(HEAD, ORIGIN, KEYS.log.sign, KEY.public)
COSIGNED = NOTE + cosign(NOTE, WITNESS_KEY, 1_700_000_000, WITNESS.log.sign)

# The example of golang.org/x/mod/sumdb/note, made by other code than ours.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_BODY = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_BODY}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_note_opens() -> None:
    key = LogKey.parse(GO_VKEY)
    note, signatures = open_note(GO_NOTE, key)
    assert note.body == GO_BODY
    assert len(signatures) == 1
    assert note.text() == GO_NOTE
    assert str(key) == GO_VKEY


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    lines = NOTE.split("\n")
    root = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert lines[:4] == [ORIGIN, "70000", root, ""]
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]
    assert open_checkpoint(NOTE, KEY.vkey) == HEAD
    assert open_checkpoint(NOTE, KEY) == HEAD


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), max_size=3),
)
def test_checkpoints_are_read_as_written(
    origin: str, size: int, root: bytes, extensions: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@given(
    st.from_regex(r"[^\s+\x00-\x20\x7f]{1,80}", fullmatch=True).filter(str.isprintable),
    st.binary(min_size=32, max_size=32),
    st.sampled_from([1, 4]),
)
def test_verifier_keys_are_read_as_written(name: str, public: bytes, kind: int) -> None:
    key = LogKey(name, public, kind)
    assert LogKey.parse(key.vkey) == key


def test_any_flipped_byte_of_a_checkpoint_is_refused() -> None:
    data = NOTE.encode()
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            changed = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises((BadProof, BadSignature)):
                open_checkpoint(changed.decode("utf-8", "surrogateescape"), KEY)


def test_any_flipped_byte_of_a_cosignature_is_refused() -> None:
    data, start = COSIGNED.encode(), len(NOTE.encode())
    for at in range(start, len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((BadProof, BadSignature)):
            verify_cosignature(changed.decode("utf-8", "surrogateescape"), WITNESS_KEY)


def test_witnesses_sign_what_the_log_signed() -> None:
    assert open_checkpoint(COSIGNED, KEY) == HEAD
    assert verify_cosignature(COSIGNED, WITNESS_KEY.vkey) == 1_700_000_000
    again = COSIGNED + cosign(NOTE, WITNESS_KEY, 1_800_000_000, WITNESS.log.sign)
    assert verify_cosignature(again, WITNESS_KEY) == 1_800_000_000
    with pytest.raises(BadSignature, match="found none"):
        verify_cosignature(NOTE, WITNESS_KEY)


def test_a_cosignature_is_a_time_and_a_signature_over_it() -> None:
    """c2sp.org/tlog-cosignature, Format."""
    signature = parse_note(COSIGNED).signatures[1]
    assert signature.signature[:8] == struct.pack(">Q", 1_700_000_000)
    message = b"cosignature/v1\ntime 1700000000\n" + HEAD.text().encode()
    WITNESS_KEY.verify(message, signature.signature[8:])


def test_other_signatures_do_not_matter_however_many() -> None:
    others = [NoteSignature(f"w{i}.example", struct.pack(">I", i), bytes(72)) for i in range(40)]
    own = parse_note(NOTE).signatures
    note = Note(HEAD.text(), (*others[:20], *own, *others[20:]))
    assert open_checkpoint(note.text(), KEY) == HEAD
    same_name = NoteSignature(ORIGIN, b"\0\0\0\0", bytes(64))
    same_id = NoteSignature("other.example", KEY.key_id, bytes(64))
    note = Note(HEAD.text(), (same_name, same_id, *own))
    assert open_checkpoint(note.text(), KEY) == HEAD


def test_a_known_key_that_fails_spoils_the_note() -> None:
    forged = NoteSignature(ORIGIN, KEY.key_id, bytes(64))
    with pytest.raises(BadSignature, match="does not verify"):
        open_checkpoint(NOTE + forged.line(), KEY)
    short = NoteSignature(ORIGIN, KEY.key_id, bytes(63))
    with pytest.raises(BadSignature, match="wrong length"):
        open_checkpoint(NOTE + short.line(), KEY)


def test_another_key_of_the_same_name_opens_nothing() -> None:
    with pytest.raises(BadSignature, match="found none"):
        open_checkpoint(NOTE, LogKey(ORIGIN, WITNESS.log.public_key_der[-32:]))


def test_the_origin_is_the_name_of_the_key() -> None:
    other = Checkpoint("other.example", 1, bytes(32))
    with pytest.raises(BadProof, match=r"found 'other\.example'"):
        open_checkpoint(sign_note(other.text(), KEY, KEYS.log.sign), KEY)
    with pytest.raises(BadProof, match=r"to be named other\.example"):
        sign_checkpoint(other, ORIGIN, KEYS.log.sign, KEY.public)


def test_logs_and_witnesses_do_not_stand_in_for_each_other() -> None:
    as_witness = LogKey(ORIGIN, KEY.public, ED25519_COSIGNER)
    for call in (
        lambda: open_checkpoint(NOTE, as_witness),
        lambda: verify_cosignature(COSIGNED, KEY),
        lambda: cosign(NOTE, KEY, 1, KEYS.log.sign),
    ):
        with pytest.raises(BadProof, match="type"):
            call()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "body",
        "body\n",
        "body\n\n",
        "body\n\nnot a signature\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("— ", "- "),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("70000", "70\t000"),
        "\ud800\n\n" + NOTE.rpartition("\n\n")[2],
        "body\n\n— \ud800 AAAAAAAAAAA=\n",
        "body\n\n— name AAAA\n",
        "body\n\n— name AAAAAAB=\n",
        "body\n\n— na+me AAAAAAA=\n",
        "body\n\n— a b AAAAAAA=\n",
        "body\n\n" + "— name AAAAAAA=\n" * 101,
        "b" * MAX_NOTE_BYTES + "\n\n— name AAAAAAA=\n",
        None,
        7,
        b"body\n\n",
    ],
)
def test_what_is_no_note(text: Any) -> None:
    with pytest.raises(BadProof):
        parse_note(text)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a\n1\n",
        f"a\n1\n{'A' * 43}=",
        f"\n1\n{'A' * 43}=\n",
        f"a\n01\n{'A' * 43}=\n",
        f"a\n-1\n{'A' * 43}=\n",
        f"a\n1.0\n{'A' * 43}=\n",
        f"a\n\u0661\n{'A' * 43}=\n",
        f"a\n{2**63}\n{'A' * 43}=\n",
        "a\n1\nAAAA\n",
        "a\n1\nroot\n",
        f"a\n1\n{'A' * 43}=\n\n",
        None,
        b"a\n1\n",
    ],
)
def test_what_is_no_checkpoint(body: Any) -> None:
    with pytest.raises(BadProof):
        Checkpoint.parse(body)


@pytest.mark.parametrize(
    "fields",
    [
        ("", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a\x00", 1, bytes(32)),
        ("\ud800", 1, bytes(32)),
        (None, 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", True, bytes(32)),
        ("a", 2**63, bytes(32)),
        ("a", "1", bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 1, "root"),
        ("a", 1, bytes(32), ("",)),
    ],
)
def test_what_cannot_be_written_as_a_checkpoint(fields: tuple[Any, ...]) -> None:
    with pytest.raises(BadProof):
        Checkpoint(*fields)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+AAAA",
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("PeterNeumann", "Peter Neumann"),
        GO_VKEY.replace("PeterNeumann", "Peter"),
        GO_VKEY + "\n",
        GO_VKEY[:-1],
        f"name+00000000+{to_base64(bytes([2]) + bytes(32))}",
        None,
        7,
    ],
)
def test_what_is_no_verifier_key(vkey: Any) -> None:
    with pytest.raises(BadProof):
        LogKey.parse(vkey)
    with pytest.raises(BadProof):
        open_checkpoint(NOTE, vkey)


@pytest.mark.parametrize(
    "fields",
    [
        ("", bytes(32)),
        ("a b", bytes(32)),
        ("a+b", bytes(32)),
        ("a\x07b", bytes(32)),
        ("\ud800", bytes(32)),
        (None, bytes(32)),
        ("a", bytes(31)),
        ("a", "x" * 32),
        ("a", bytes(32), 6),
        ("a", bytes(32), "1"),
    ],
)
def test_what_is_no_key(fields: tuple[Any, ...]) -> None:
    with pytest.raises(BadProof):
        LogKey(*fields)


@given(st.text() | st.text().map(lambda text: text + "\n\n— name AAAAAAA=\n"))
def test_no_text_makes_reading_a_note_fail_otherwise(text: str) -> None:
    try:
        note = parse_note(text)
    except BadProof:
        pass
    else:
        assert note.text() == text
    for read in (Checkpoint.parse, LogKey.parse):
        try:
            read(text)
        except BadProof:
            continue
