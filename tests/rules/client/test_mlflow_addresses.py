"""Addresses of registries and versions as MLflow's client writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.client.mlflow_plugin.addresses import (
    parse_version_address,
    registry_url,
    version_address,
    without_secrets,
)
from muniment.core.errors import BadReference


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("muniment://registry.example", "https://registry.example"),
        ("muniment://registry.example:8443/", "https://registry.example:8443"),
        ("muniment+http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("muniment://[::1]:80/models/", "https://[::1]:80/models"),
    ],
)
def test_a_registry_is_at(address: str, url: str) -> None:
    assert registry_url(address) == url


@pytest.mark.parametrize(
    "address",
    ["muniment:registry", "muniment://", "http://h", "muniment://u:secret@h", "muniment://h?x=1", "muniment://h#f", ""],
)  # fmt: skip
def test_anything_else_is_no_registry(address: str) -> None:
    with pytest.raises(BadReference) as caught:
        registry_url(address)
    assert "secret" not in caught.value.message


_NAMES = st.text(st.characters(blacklist_characters="/:@%\\?#", codec="utf-8"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)


@given(
    name=_NAMES, number=st.integers(1, 10**6), inside=st.sampled_from(["", "MLmodel", "a/b c.bin"])
)
def test_what_was_written_reads_back(name: str, number: int, inside: str) -> None:
    address = version_address("muniment://h:1/prefix", name, str(number))
    found = parse_version_address(address, inside)
    assert found == ("https://h:1/prefix", f"{name}@{number}", inside)
    root, last = address.rsplit("/", 1)  # as MLflow takes it apart
    assert parse_version_address(root, f"{last}/{inside}") == found


@pytest.mark.parametrize(
    ("address", "below"),
    [("muniment://h", ""), ("muniment://h/m", ""), ("muniment://h/m@1", "../x"), ("muniment://h", "../m@1"),
     ("muniment://h//m@1", ""), ("muniment://h/m@1/./x", ""), ("http://h/m@1", ""), ("muniment://u@h/m@1", "")],
)  # fmt: skip
def test_anything_else_is_no_version(address: str, below: str) -> None:
    with pytest.raises(BadReference):
        parse_version_address(address, below)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ada:pw@h:1/a?token=x", "https://h:1/a"),
        ("postgresql://u:p@h/db", "postgresql://h/db"),
        ("runs:/1/m", "runs:/1/m"),
        ("/home/ada/m", "/home/ada/m"),
    ],
)
def test_what_is_recorded_holds_no_secret(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown
