"""Entries have one form: what is written is read back, and nothing else is."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import canonical, loads_strict
from muniment.core.digest import digest_of
from muniment.core.entry import (
    check_envelope,
    entry_leaf,
    payload_bytes,
    read_entry_leaf,
    read_payload,
    read_record_statement,
    record_statement,
    record_statement_bytes,
    time_text,
)
from muniment.core.errors import BadJson, BadProof
from tests.support.receipts import PAYLOAD, PREDICATE, SALT, an_envelope

STORED = payload_bytes(PAYLOAD, SALT)
ENVELOPE = an_envelope(STORED)
BOUNDS = (dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1))  # noqa: DTZ001 -- Hypothesis adds zones
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_an_envelope_is_what_the_design_says() -> None:
    expected = {
        "schema": "muniment/entry/v1",
        "id": "01963f2a-0000-7000-8000-000000000001",
        "time": "2026-04-20T09:00:00.000000Z",
        "actor": {"kind": "person", "id": "ada"},
        "act": "version.register",
        "subject": {"kind": "version", "id": "7", "name": "fraud-detector@1.2.0"},
        "digests": ["sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"],
        "payload_sha256": digest_of(STORED).hex,
    }
    assert expected == ENVELOPE


def test_entries_are_read_as_written() -> None:
    assert read_entry_leaf(entry_leaf(ENVELOPE)) == ENVELOPE
    assert read_payload(STORED) == PAYLOAD
    signed = loads_strict(canonical(record_statement(ENVELOPE, STORED, PREDICATE)))
    assert read_record_statement(signed) == (ENVELOPE, STORED)


def test_what_was_vouched_for_is_part_of_who_acted() -> None:
    claims = {"iss": "https://ci.example", "run_id": "1"}
    vouched = {**ENVELOPE, "actor": {"kind": "workload", "id": "a", "claims": claims}}
    assert read_entry_leaf(entry_leaf(vouched)) == vouched
    signed = loads_strict(canonical(record_statement(vouched, STORED, PREDICATE)))
    assert read_record_statement(signed) == (vouched, STORED)


def test_the_salt_is_part_of_what_is_hashed() -> None:
    assert json.loads(STORED)["salt"] == SALT
    assert payload_bytes(PAYLOAD, "0" * 32) != STORED


@given(st.datetimes(*BOUNDS, timezones=st.timezones()))
def test_times_are_utc_with_microseconds(at: dt.datetime) -> None:
    text = time_text(at)
    assert dt.datetime.fromisoformat(text) == at.astimezone(dt.UTC)
    assert check_envelope({**ENVELOPE, "time": text})


def test_times_have_a_zone() -> None:
    with pytest.raises(BadProof, match="zone"):
        an_envelope(STORED, at=dt.datetime(2026, 1, 1))  # noqa: DTZ001 -- the refused case


@pytest.mark.parametrize("salt", ["", "0" * 31, "G" * 32, "A" * 32])
def test_salts_are_32_digits(salt: str) -> None:
    with pytest.raises(BadProof, match="salt"):
        payload_bytes({}, salt)


def test_payloads_have_no_salt_of_their_own() -> None:
    with pytest.raises(BadProof, match="salt"):
        payload_bytes({"salt": SALT}, SALT)
    with pytest.raises(BadJson):
        payload_bytes({"a": float("nan")}, SALT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"salt":1}',
        b'{"salt":"x"}',
        STORED + b" ",
        STORED[:-1],
        b"\xff",
    ],
)
def test_what_is_no_payload(data: bytes) -> None:
    with pytest.raises(BadProof):
        read_payload(data)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("schema", "muniment/entry/v2"),
        ("id", "01963F2A-0000-7000-8000-000000000001"),
        ("id", "7"),
        ("time", "2026-04-20T09:00:00Z"),
        ("time", "2026-04-20T09:00:00.000000+00:00"),
        ("time", "2026-02-30T09:00:00.000000Z"),
        ("time", 7),
        ("actor", {"kind": "person"}),
        ("actor", {"kind": "person", "id": ""}),
        ("actor", {"kind": "person", "id": "a", "x": "b"}),
        ("actor", ["kind", "id"]),
        ("actor", {"kind": "workload", "id": "a", "claims": {}}),
        ("actor", {"kind": "workload", "id": "a", "claims": {"iss": ""}}),
        ("actor", {"kind": "workload", "id": "a", "claims": {"iss": 7}}),
        ("actor", {"kind": "workload", "id": "a", "claims": ["iss"]}),
        ("actor", {"kind": "workload", "claims": {"iss": "x"}}),
        ("actor", {"kind": "workload", "id": "a", "claims": {"iss": "x"}, "x": "y"}),
        ("act", "register"),
        ("act", "Version.register"),
        ("act", None),
        ("subject", {"kind": "version", "id": 7, "name": "a"}),
        ("digests", "sha256:" + "0" * 64),
        ("digests", ["0" * 64]),
        ("digests", [1]),
        ("payload_sha256", "sha256:" + "0" * 64),
        ("extra", 1),
    ],
)
def test_envelopes_that_are_wrong_say_where(member: str, value: Any) -> None:
    for call in (check_envelope, entry_leaf):
        with pytest.raises(BadProof) as caught:
            call({**ENVELOPE, member: value})
        assert [problem["field"] for problem in caught.value.problems] == [member]


def test_all_wrong_members_are_named_at_once() -> None:
    with pytest.raises(BadProof) as caught:
        check_envelope({"other": 1})
    assert len(caught.value.problems) == 9


def test_a_subject_may_have_no_name() -> None:
    subject = {"kind": "log", "id": "1", "name": ""}
    assert check_envelope(an_envelope(STORED, subject=subject))


def test_leaves_are_bounded() -> None:
    with pytest.raises(BadProof, match="65535"):
        entry_leaf(an_envelope(STORED, digests=[digest_of(b"")] * 1000))


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"[]",
        json.dumps(ENVELOPE).encode(),
        canonical(ENVELOPE) + b"\n",
        canonical({}),
        bytes(70_000),
    ],
)
def test_what_is_no_leaf(leaf: bytes) -> None:
    with pytest.raises(BadProof):
        read_entry_leaf(leaf)


def test_a_statement_is_about_the_digests_of_its_entry() -> None:
    signed = record_statement(ENVELOPE, STORED, PREDICATE)
    name, digest = ENVELOPE["subject"]["name"], ENVELOPE["digests"][0][7:]
    assert signed["subject"] == [{"name": name, "digest": {"sha256": digest}}]
    assert signed["predicate"]["payload"]["salt"] == SALT
    without = record_statement(an_envelope(STORED, digests=[]), STORED, PREDICATE)
    assert without["subject"][0]["digest"] == {"sha256": digest_of(STORED).hex}


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
def test_a_statement_written_at_once_is_the_same(name: str, said: dict[str, str]) -> None:
    said.pop("salt", None)
    stored = payload_bytes({"said": said, "name": f'"payload":"{SALT}"'}, SALT)
    quoting = f'{name}"payload":"{SALT}"'
    fields = an_envelope(stored, subject={"kind": "version", "id": "1", "name": quoting})
    at_once = record_statement_bytes(fields, stored, PREDICATE, SALT)
    assert at_once == canonical(record_statement(fields, stored, PREDICATE))


def test_a_statement_is_made_of_an_entry_and_its_own_payload() -> None:
    with pytest.raises(BadProof, match="another"):
        record_statement(ENVELOPE, payload_bytes({}, SALT), PREDICATE)
    with pytest.raises(BadProof):
        record_statement({}, STORED, PREDICATE)


@pytest.mark.parametrize(
    "change",
    [
        {"predicate": None},
        {"predicate": ENVELOPE},
        {"predicate": {**ENVELOPE, "payload": []}},
        {"predicate": {**ENVELOPE, "payload": {}}},
        {"subject": []},
        {"predicateType": None},
        {"_type": "x"},
        {"extra": 1},
    ],
)
def test_what_is_no_statement_of_an_entry(change: dict[str, Any]) -> None:
    signed = record_statement(ENVELOPE, STORED, PREDICATE)
    with pytest.raises(BadProof):
        read_record_statement(signed | change)


def test_true_is_not_one() -> None:
    payload = payload_bytes({"n": 1}, SALT)
    signed = record_statement(an_envelope(payload), payload, PREDICATE)
    signed["predicate"]["payload"]["n"] = True
    with pytest.raises(BadProof):
        read_record_statement(signed)


@given(JUNK, st.sampled_from([*ENVELOPE, "payload"]))
def test_nothing_makes_reading_an_entry_fail_otherwise(junk: Any, member: str) -> None:
    for value in ({**ENVELOPE, member: junk}, {member: junk}):
        try:
            check_envelope(value)
        except BadProof:
            continue
        assert read_entry_leaf(entry_leaf(value)) == value


@given(st.binary())
def test_no_bytes_make_reading_an_entry_fail_otherwise(data: bytes) -> None:
    for read in (read_entry_leaf, read_payload):
        with pytest.raises(BadProof):
            read(data)
