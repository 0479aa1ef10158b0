"""Parts of MLflow's uploads: what an address permits, and what makes a whole."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadRequest, NotAllowed
from muniment.server.artifacts.records import Declared
from muniment.server.facades.mlflow.rules import multipart
from muniment.server.facades.mlflow.rules.multipart import Part

KEY = bytes(32)
ID = "01a1fc65-6121-7000-8bfb-3651fd695a46"
PART = Part(ID, "0/r/artifacts/w.bin", 2, 3)


@pytest.mark.parametrize(
    ("directory", "sent", "expected"),
    [
        ("0/r/artifacts", "/home/ada/model/w.bin", "0/r/artifacts/w.bin"),
        ("0/r/artifacts/", "w.bin", "0/r/artifacts/w.bin"),
        ("", "a/w.bin", "w.bin"),
        ("0", "C:\\Users\\ada\\w.bin", "0/w.bin"),
        ("0", "\\\\host\\share\\w.bin", "0/w.bin"),
        ("0", "a\\b", "0/a\\b"),  # a name on other systems: refused as an artifact's, not cut
        ("0", "..", "0/.."),  # not for this rule to refuse
    ],
)
def test_a_file_goes_below_the_directory_by_its_name(
    directory: str, sent: str, expected: str
) -> None:
    assert multipart.path_of(directory, sent) == expected


@pytest.mark.parametrize("sent", ["", "/", "a/", "C:\\"])
def test_a_file_has_a_name(sent: str) -> None:
    with pytest.raises(BadRequest, match="'path'"):
        multipart.path_of("0", sent)


def test_a_file_has_as_many_parts_as_s3_takes() -> None:
    assert [multipart.check_count(count) for count in (1, 10_000)] == [1, 10_000]
    for count in (-1, 0, 10_001):
        with pytest.raises(BadRequest, match="'num_parts'"):
            multipart.check_count(count)


def test_an_address_permits_what_it_says_until_it_ends() -> None:
    signature = multipart.sign(KEY, PART, 100)
    multipart.check_signed(KEY, PART, 100, signature, 99.9)
    with pytest.raises(NotAllowed, match="ended"):
        multipart.check_signed(KEY, PART, 100, signature, 100)


@pytest.mark.parametrize(
    "part",
    [
        Part(str(uuid.UUID(int=1)), PART.path, 2, 3),
        Part(ID, "0/r/artifacts/x.bin", 2, 3),
        Part(ID, PART.path, 1, 3),
        Part(ID, PART.path, 2, 4),
    ],
)
def test_an_address_permits_nothing_else(part: Part) -> None:
    signature = multipart.sign(KEY, PART, 100)
    with pytest.raises(NotAllowed, match="signature"):
        multipart.check_signed(KEY, part, 100, signature, 0)


@pytest.mark.parametrize(
    ("key", "expires", "signature"),
    [
        (bytes(31) + b"\1", 100, multipart.sign(KEY, PART, 100)),
        (KEY, 101, multipart.sign(KEY, PART, 100)),
        (KEY, 100, multipart.sign(KEY, PART, 100).upper()),
        (KEY, 100, ""),
        (KEY, 100, "é"),
    ],
)
def test_a_signature_is_of_this_server_and_this_time(
    key: bytes, expires: int, signature: str
) -> None:
    with pytest.raises(NotAllowed, match="signature"):
        multipart.check_signed(key, PART, expires, signature, 0)


def _sent(path: str, sizes: list[int]) -> tuple[list[tuple[int, str]], list[Declared]]:
    """Return parts as completed, and what is staged of them."""
    parts = [(number, f"etag{number}") for number in range(1, len(sizes) + 1)]
    pieces = [
        Declared(multipart.staged_as(Part(ID, path, number, len(sizes)), etag), size)
        for (number, etag), size in zip(parts, sizes, strict=True)
    ]
    return parts, pieces


@given(sizes=st.lists(st.integers(0, 2**40), min_size=1, max_size=9), data=st.data())
def test_a_whole_is_every_part_once_in_order(sizes: list[int], data: st.DataObject) -> None:
    parts, pieces = _sent("0/w", sizes)
    known = {one.digest: one for one in pieces}
    assert multipart.whole("0/w", ID, parts, known) == pieces
    assert multipart.whole("0/w", ID, [(n, f'"{e}"') for n, e in parts], known) == pieces
    chosen = data.draw(st.lists(st.sampled_from(parts), max_size=len(parts) + 1))
    if chosen != parts:
        with pytest.raises(BadRequest):
            multipart.whole("0/w", ID, chosen, known)


def test_a_whole_is_of_its_own_path_session_and_bytes() -> None:
    parts, pieces = _sent("0/w", [5, 5])
    known = {one.digest: one for one in pieces}
    for path, session, said in (
        ("0/x", ID, parts),
        ("0/w", str(uuid.UUID(int=1)), parts),
        ("0/w", ID, [parts[0], (2, "etag1")]),
    ):
        with pytest.raises(BadRequest, match="was not sent"):
            multipart.whole(path, session, said, known)


def test_a_session_is_named_in_one_way() -> None:
    assert multipart.session_of(ID) == uuid.UUID(ID)
    for text in ("", "x", ID.upper(), f"{{{ID}}}", ID.replace("-", "")):
        assert multipart.session_of(text) is None
