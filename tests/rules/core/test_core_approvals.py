"""What people sign: the same words make the same bytes, and nothing else is read as them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core import approvals
from muniment.core.approvals import (
    APPROVAL_TYPE,
    CHOICES,
    EXCEPTION_TYPE,
    REVIEW_STEP,
    ROLES,
    SIGN_OFFS,
    Condition,
    Said,
    Waiver,
    approval_statement,
    end_of,
    exception_statement,
    frozen_sha256,
    read_said,
    read_statement,
    read_waiver,
    sign,
    verified,
)
from muniment.core.canon import canonical, loads_strict, to_base64
from muniment.core.digest import digest_of
from muniment.core.errors import BadProof, BadSignature
from muniment.core.own_keys import check_possession, key_sha256, possession, read_own_key
from muniment.core.statement import bundle_of
from tests.support.signing import der_of, p256, pem_of, signed_by

NOW = dt.datetime(2026, 6, 1, 9, 30, 15, tzinfo=dt.UTC)
FROZEN: dict[str, Any] = {
    "version": {"ref": "fraud@1.0.0", "manifest_sha256": "0" * 64},
    "environment": "production",
    "policy_sha256": "1" * 64,
    "evidence": [{"id": str(uuid.UUID(int=5)), "kind": "sbom", "sha256": "2" * 64}],
}
SIGNED: dict[str, Any] = {
    "registry": "registry.example",
    "person": uuid.UUID(int=1),
    "role": "security",
    "at": NOW,
    "nonce": "ab" * 16,
}
SAID = Said(
    **SIGNED,
    request_id=uuid.UUID(int=2),
    decision="approve",
    sign_off="production-approved",
    comment="fine",
    conditions=(Condition("watch it", dt.date(2026, 7, 1)),),
)
WAIVER = Waiver(
    **SIGNED,
    rule="SEC-004",
    version_id=uuid.UUID(int=3),
    ref="fraud@1.0.0",
    manifest=digest_of(b"manifest"),
    environment="production",
    until=dt.date(2026, 7, 1),
    reason="no fix yet",
    control="it is not reachable",
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
dates = st.dates(max_value=dt.date(9999, 12, 30))
signed = st.fixed_dictionaries(
    {
        "registry": texts,
        "person": st.uuids(),
        "role": st.sampled_from(ROLES),
        "at": st.datetimes(
            dt.datetime(1970, 1, 1),  # noqa: DTZ001 -- the strategy adds it
            dt.datetime(9999, 12, 31),  # noqa: DTZ001 -- the same
            timezones=st.just(dt.UTC),
        ).map(lambda at: at.replace(microsecond=0)),
        "nonce": st.text("0123456789abcdef", min_size=32, max_size=32),
        "signed_by": st.sampled_from(["key", "registry"]),
    }
)


@given(
    signed,
    st.uuids(),
    st.sampled_from(CHOICES),
    st.none() | st.sampled_from(SIGN_OFFS),
    texts,
    st.lists(st.builds(Condition, texts, dates), max_size=3).map(tuple),
    st.none() | st.from_regex(REVIEW_STEP, fullmatch=True),
)
def test_a_word_is_read_as_it_was_written(  # noqa: PLR0917 -- its parts
    by: Any,
    request_id: uuid.UUID,
    decision: str,
    sign_off: Any,
    comment: str,
    conditions: Any,
    step: str | None,
) -> None:
    said = Said(
        **by, request_id=request_id, decision=decision, sign_off=sign_off, comment=comment,
        conditions=conditions, review_step=step,
    )  # fmt: skip
    statement = approval_statement(FROZEN, said)
    found = read_said(loads_strict(canonical(statement)))
    assert found == said
    assert canonical(approval_statement(FROZEN, found)) == canonical(statement)


def test_a_word_without_a_step_says_nothing_of_one() -> None:
    statement = approval_statement(FROZEN, SAID)
    assert "reviewStep" not in statement["predicate"]
    for wrong in ("Peer", "", None, 1, "a" * 64):
        statement["predicate"]["reviewStep"] = wrong
        with pytest.raises(BadProof, match="reviewStep"):
            read_said(statement)


@given(signed, st.uuids(), dates, texts, texts)
def test_an_exception_is_read_as_it_was_written(
    by: Any, version_id: uuid.UUID, until: dt.date, reason: str, control: str
) -> None:
    waiver = Waiver(
        **by, rule="X-1", version_id=version_id, ref="a@1.0.0", manifest=digest_of(b"m"),
        environment="e", until=until, reason=reason, control=control,
    )  # fmt: skip
    assert read_waiver(loads_strict(canonical(exception_statement(waiver)))) == waiver


def test_what_is_signed_is_the_digest_of_what_was_shown() -> None:
    statement = approval_statement(FROZEN, SAID)
    assert statement["subject"] == [
        {"name": "fraud@1.0.0 for production", "digest": {"sha256": frozen_sha256(FROZEN).hex}}
    ]
    assert statement["predicateType"] == APPROVAL_TYPE
    predicate = statement["predicate"]
    assert predicate["policy"] == {"digest": {"sha256": "1" * 64}}
    assert predicate["evidence"][0]["digest"] == {"sha256": "2" * 64}
    assert predicate["decidedAt"] == "2026-06-01T09:30:15Z"
    assert end_of(dt.date(2026, 6, 1)) == dt.datetime(2026, 6, 2, tzinfo=dt.UTC)


def test_a_long_list_of_evidence_is_named_by_its_digest_alone() -> None:
    many = {**FROZEN, "evidence": FROZEN["evidence"] * 51}
    statement = approval_statement(many, SAID)
    assert statement["predicate"]["evidence"] == []
    assert statement["subject"][0]["digest"]["sha256"] == frozen_sha256(many).hex


def bundle(said: Any = None, number: int = 1) -> dict[str, Any]:
    key = p256(number)
    statement = approval_statement(FROZEN, SAID) if said is None else said
    return sign(statement, lambda message: signed_by(key, message), der_of(key))


def test_a_signature_is_by_one_key() -> None:
    made = bundle()
    assert read_said(verified(made, der_of(p256(1)))) == SAID
    with pytest.raises(BadSignature):
        verified(made, der_of(p256(2)))


def raw(body: bytes) -> dict[str, Any]:
    return bundle_of(body, b"x", der_of(p256(1)))


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"b":1, "a":2}', b'{"a":1,"a":1}'])
def test_only_canonical_statements_are_read(body: bytes) -> None:
    with pytest.raises(BadProof):
        read_statement(raw(body))


def put(statement: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found: dict[str, Any] = loads_strict(canonical(statement))
    at = found
    *parents, last = path.split("/")
    for name in parents:
        at = at[name]
    at[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("predicateType", EXCEPTION_TYPE),
        ("predicate", []),
        ("predicate/approver", "ada"),
        ("predicate/approver/iss", 1),
        ("predicate/approver/sub", "ada"),
        ("predicate/approver/sub", "00000000000000000000000000000001"),
        ("predicate/role", "admin"),
        ("predicate/decision", "maybe"),
        ("predicate/meaning", "looked-at"),
        ("predicate/signedBy", "nobody"),
        ("predicate/comment", "x" * 2001),
        ("predicate/nonce", "xyz"),
        ("predicate/decidedAt", "yesterday"),
        ("predicate/decidedAt", "2026-13-01T00:00:00Z"),
        ("predicate/requestId", 7),
        ("predicate/conditions", {}),
        ("predicate/conditions", [{}] * 21),
        ("predicate/conditions", ["text"]),
        ("predicate/conditions", [{"text": 1, "due": "2026-07-01"}]),
        ("predicate/conditions", [{"text": "a", "due": "2026-7-1"}]),
        ("predicate/conditions", [{"text": "a", "due": "20260701"}]),
        ("predicate/conditions", [{"text": "a", "due": "9999-12-31"}]),
    ],
)
def test_what_is_no_word_is_not_read(path: str, value: Any) -> None:
    with pytest.raises(BadProof, match="expected"):
        read_said(put(approval_statement(FROZEN, SAID), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("predicateType", APPROVAL_TYPE),
        ("subject", []),
        ("subject", "fraud"),
        ("subject", ["fraud"]),
        ("subject", [{"name": "a", "digest": "b"}]),
        ("subject", [{"name": "a", "digest": {"sha256": "b"}}]),
        ("predicate/rule", "no rule"),
        ("predicate/versionId", "x"),
        ("predicate/until", "soon"),
        ("predicate/reason", None),
    ],
)
def test_what_is_no_exception_is_not_read(path: str, value: Any) -> None:
    with pytest.raises(BadProof, match="expected"):
        read_waiver(put(exception_statement(WAIVER), path, value))


# --- keys of people's own ------------------------------------------------------------------------


def test_a_key_is_shown_to_be_ones_own_for_oneself_alone() -> None:
    key, me = p256(1), str(uuid.UUID(int=1))
    proof = signed_by(key, possession(me, der_of(key)))
    check_possession(me, der_of(key), proof)
    wrong: list[Callable[[], None]] = [
        lambda: check_possession(str(uuid.UUID(int=2)), der_of(key), proof),
        lambda: check_possession(me, der_of(p256(2)), proof),
    ]
    for check in wrong:
        with pytest.raises(BadSignature):
            check()


def test_only_p256_keys_are_peoples_own() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415 -- here only

    assert read_own_key(pem_of(p256(1))) == der_of(p256(1))
    assert len(key_sha256(der_of(p256(1)))) == 64
    others = [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()]
    for pem in [*map(pem_of, others), "no key"]:
        with pytest.raises(BadProof):
            read_own_key(pem)


def test_the_words_of_the_types_are_fixed() -> None:
    """What is signed once must be read for ever."""
    assert (approvals.KEY, approvals.REGISTRY) == ("key", "registry")
    body = canonical(approval_statement(FROZEN, SAID))
    assert digest_of(body).hex == digest_of(canonical(loads_strict(body))).hex
    assert to_base64(b"") == ""
