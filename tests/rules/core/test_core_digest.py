"""Digests are 32 bytes, written one way; errors have codes of their own."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import Digest, digest_of, digest_of_stream
from muniment.core.errors import CODES, BadDigest, MunimentError


@given(st.binary(min_size=32, max_size=32))
def test_digests_are_read_as_written(raw: bytes) -> None:
    assert Digest.parse(str(Digest(raw))) == Digest(raw)
    assert Digest.parse(Digest(raw).hex) == Digest(raw)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 63, "0" * 65, "A" * 64, "sha512:" + "0" * 64, "0" * 64 + "\n", None, 7, b"0" * 64],
)
def test_what_is_no_digest(text: Any) -> None:
    with pytest.raises(BadDigest):
        Digest.parse(text)


@pytest.mark.parametrize("raw", [b"", bytes(31), "0" * 32, None])
def test_a_digest_has_32_bytes(raw: Any) -> None:
    with pytest.raises(BadDigest):
        Digest(raw)


@given(st.lists(st.binary()))
def test_a_stream_hashes_as_its_bytes(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    assert digest_of_stream(chunks) == (digest_of(data), len(data))
    assert digest_of(data).raw == hashlib.sha256(data).digest()


def test_every_error_has_a_code_of_its_own() -> None:
    def tree(root: type[MunimentError]) -> list[type[MunimentError]]:
        return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]

    mine = [each for each in tree(MunimentError) if each.__module__ == "muniment.core.errors"]
    assert len({each.code for each in mine}) == len(mine) == len(CODES)


def test_an_error_says_what_its_class_says_unless_told_otherwise() -> None:
    assert BadDigest().message == BadDigest.__doc__
    error = BadDigest("no", problems=[{"field": "a"}], extra={"b": 1}, context={"c": 2})
    assert (error.message, str(error)) == ("no", "no")
    assert (error.problems, error.extra, error.context) == ([{"field": "a"}], {"b": 1}, {"c": 2})
