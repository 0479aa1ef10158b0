"""A receipt proves its entry, and no receipt with anything changed does."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core import merkle
from muniment.core.canon import canonical, from_base64, to_base64
from muniment.core.checkpoint import ED25519_COSIGNER, LogKey, cosign
from muniment.core.entry import entry_leaf, payload_bytes, record_statement
from muniment.core.errors import BadProof, BadSignature
from muniment.core.receipt import MAX_HASHES, SCHEMA, Receipt, TrustedKeys, verify
from muniment.core.statement import sign_bundle, statement, verify_bundle
from tests.support.keys import MemoryKeys
from tests.support.receipts import ORIGIN, PAYLOAD, PREDICATE, SALT, a_log, an_envelope

LOG = a_log()
TRUSTED = LOG.trusted
UNSIGNED = LOG.unsigned_receipt()
SIGNED = LOG.signed_receipt()
BOTH = pytest.mark.parametrize("receipt", [UNSIGNED, SIGNED], ids=["unsigned", "signed"])
REFUSED = (BadProof, BadSignature)


def replaced(receipt: Receipt, **changes: Any) -> Receipt:
    return dataclasses.replace(receipt, **changes)


def opens(receipt: Receipt, trusted: TrustedKeys = TRUSTED) -> bool:
    """Whether `receipt` verifies; any other failure than a refusal is a failure of the test."""
    try:
        verify(receipt, trusted)
    except REFUSED:
        return False
    return True


def test_an_unsigned_entry_is_proved() -> None:
    found = verify(UNSIGNED, TRUSTED)
    assert found.entry == an_envelope(payload_bytes(PAYLOAD, SALT), act="version.annotate")
    assert (found.index, found.tree_size) == (4, 5)
    assert found.checkpoint.origin == ORIGIN
    assert found.payload == PAYLOAD
    assert not found.signed


def test_a_registration_nobody_signed_is_no_registration() -> None:
    log = a_log()
    forged = log.unsigned_receipt(act="version.register")
    with pytest.raises(BadProof, match="signed by the record key"):
        verify(forged, log.trusted)


def test_a_signed_entry_is_proved() -> None:
    found = verify(SIGNED, TRUSTED)
    assert found.entry == an_envelope(payload_bytes(PAYLOAD, SALT))
    assert found.payload == PAYLOAD
    assert found.predicate_type == PREDICATE
    assert found.signed


@BOTH
def test_receipts_are_read_as_written(receipt: Receipt) -> None:
    for source in (
        receipt.to_json(),
        json.dumps(receipt.to_json()),
        json.dumps(receipt.to_json()).encode(),
        canonical(receipt.to_json()),
    ):
        parsed = Receipt.parse(source)
        assert parsed == receipt
        assert opens(parsed)


@BOTH
@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_any_flipped_byte_of_a_receipt_is_refused(receipt: Receipt, mask: int) -> None:
    data = canonical(receipt.to_json())
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
        try:
            parsed = Receipt.parse(changed)
        except BadProof:
            continue
        assert not opens(parsed), f"byte {at} does not matter: {changed[at - 30 : at + 30]!r}"


@BOTH
@given(data=st.data())
def test_any_flipped_bit_of_any_part_is_refused(receipt: Receipt, data: st.DataObject) -> None:
    parts = {"leaf": receipt.leaf, "payload": receipt.payload, "hash": receipt.hashes[-1]}
    if receipt.bundle:
        envelope = receipt.bundle["dsseEnvelope"]
        parts["statement"] = from_base64(envelope["payload"])
        parts["sig"] = from_base64(envelope["signatures"][0]["sig"])
    part = data.draw(st.sampled_from([name for name, value in parts.items() if value]))
    flipped = bytearray(parts[part] or b"")
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    bundle = copy.deepcopy(receipt.bundle)
    if part == "statement" and bundle:
        bundle["dsseEnvelope"]["payload"] = to_base64(bytes(flipped))
    elif part == "sig" and bundle:
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = to_base64(bytes(flipped))
    changes: dict[str, dict[str, Any]] = {
        "leaf": {"leaf": bytes(flipped)},
        "payload": {"payload": bytes(flipped)},
        "hash": {"hashes": (*receipt.hashes[:-1], bytes(flipped))},
    }
    assert not opens(replaced(receipt, bundle=bundle, **changes.get(part, {})))


@BOTH
def test_the_place_in_the_log_is_proved(receipt: Receipt) -> None:
    for index in range(-1, 8):
        for size in range(-1, 8):
            same = (index, size) == (receipt.index, receipt.tree_size)
            assert opens(replaced(receipt, index=index, tree_size=size)) == same
    for hashes in ((), receipt.hashes[:-1], (*receipt.hashes, bytes(32)), receipt.hashes[::-1]):
        if hashes != receipt.hashes:
            assert not opens(replaced(receipt, hashes=hashes))


@BOTH
def test_another_log_proves_nothing(receipt: Receipt) -> None:
    other = MemoryKeys("other")
    key = LogKey(ORIGIN, other.log.public_key_der[-32:]).vkey
    assert not opens(receipt, dataclasses.replace(TRUSTED, log_vkey=key))
    renamed = LogKey("other.example", LOG.log_key.public).vkey
    assert not opens(receipt, dataclasses.replace(TRUSTED, log_vkey=renamed))
    assert not opens(replaced(receipt, checkpoint=LOG.checkpoint().replace(ORIGIN, "b.example")))


@BOTH
def test_witnesses_may_have_signed_too(receipt: Receipt) -> None:
    keys = MemoryKeys("witness")
    witness = LogKey("witness.example", keys.log.public_key_der[-32:], ED25519_COSIGNER)
    lines = "".join(cosign(receipt.checkpoint, witness, at, keys.log.sign) for at in range(16))
    assert opens(replaced(receipt, checkpoint=receipt.checkpoint + lines))


def test_an_erased_payload_leaves_the_entry_proved() -> None:
    found = verify(replaced(UNSIGNED, payload=None), TRUSTED)
    assert found.payload is None
    assert found.entry["act"] == "version.annotate"


def test_an_erased_statement_leaves_nothing_to_prove() -> None:
    with pytest.raises(BadProof, match="erased"):
        verify(replaced(SIGNED, bundle=None), TRUSTED)


def test_a_signed_entry_needs_the_record_key() -> None:
    with pytest.raises(BadProof, match="record key"):
        verify(SIGNED, TrustedKeys(TRUSTED.log_vkey))
    assert opens(UNSIGNED, TrustedKeys(TRUSTED.log_vkey))
    other = MemoryKeys("other").record.public_key_der
    with pytest.raises(BadSignature):
        verify(SIGNED, TrustedKeys(TRUSTED.log_vkey, other))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", payload_bytes({}, SALT), payload_bytes(PAYLOAD, "0" * 32)]
)
def test_a_payload_of_something_else_is_refused(payload: bytes) -> None:
    assert not opens(replaced(UNSIGNED, payload=payload))
    assert not opens(replaced(SIGNED, payload=payload))


def test_a_payload_beside_its_own_statement_is_accepted() -> None:
    assert opens(replaced(SIGNED, payload=payload_bytes(PAYLOAD, SALT)))


def test_a_logged_payload_must_still_be_a_payload() -> None:
    bare = canonical(dict(PAYLOAD))
    log = a_log()
    assert not opens(log.add(entry_leaf(an_envelope(bare)), bare), log.trusted)


def test_bundles_of_other_entries_are_refused() -> None:
    log = a_log()
    one, other = log.signed_receipt(), log.signed_receipt(act="version.withdraw")
    newest = log.receipt(one.index, None, one.bundle)
    assert opens(newest, log.trusted)
    assert not opens(replaced(newest, bundle=other.bundle), log.trusted)
    assert not opens(replaced(newest, leaf=other.leaf), log.trusted)
    unsigned = log.unsigned_receipt()
    with pytest.raises(BadProof, match="no bundle"):
        verify(replaced(unsigned, bundle=one.bundle), log.trusted)


def test_a_second_signature_of_the_same_statement_is_not_what_was_logged() -> None:
    """The leaf binds the signature, so (r, n - s) does not pass for (r, s)."""
    assert SIGNED.bundle is not None
    log = a_log()
    receipt = log.signed_receipt()
    signature = from_base64(SIGNED.bundle["dsseEnvelope"]["signatures"][0]["sig"])
    mirrored = mirror(signature)
    bundle = copy.deepcopy(SIGNED.bundle)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = to_base64(mirrored)
    assert log.keys.record.public_key_der == LOG.keys.record.public_key_der
    assert TRUSTED.record_key_der is not None
    assert verify_bundle(bundle, TRUSTED.record_key_der)
    with pytest.raises(BadProof, match="the leaf that this bundle makes"):
        verify(replaced(receipt, bundle=bundle), log.trusted)


def mirror(signature: bytes) -> bytes:
    """The other valid ECDSA signature."""
    from cryptography.hazmat.primitives.asymmetric.utils import (  # noqa: PLC0415 -- one test
        decode_dss_signature,
        encode_dss_signature,
    )

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, order - s)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": [{"name": "other", "digest": {"sha256": "0" * 64}}]},
        {"predicateType": 7},
        {"predicate": {}},
        {"predicate": None},
        {"extra": True},
    ],
)
def test_a_signed_statement_that_is_no_entry_is_refused(change: dict[str, Any]) -> None:
    payload = payload_bytes(PAYLOAD, SALT)
    signed = record_statement(an_envelope(payload), payload, PREDICATE)
    log = a_log()
    with pytest.raises(BadProof):
        verify(log.add_statement(signed | change), log.trusted)


def test_another_statement_in_the_log_is_no_entry() -> None:
    log = a_log()
    with pytest.raises(BadProof, match="an entry and its payload"):
        verify(log.add_statement(statement([], "https://example/p", {})), log.trusted)


def test_a_leaf_signed_by_somebody_else_is_refused() -> None:
    log, other = a_log(), MemoryKeys("other").record
    payload = payload_bytes(PAYLOAD, SALT)
    signed = record_statement(an_envelope(payload), payload, PREDICATE)
    bundle, leaf = sign_bundle(signed, other.sign, other.public_key_der)
    assert not opens(log.add(leaf, None, bundle), log.trusted)


def test_any_other_leaf_is_no_entry() -> None:
    for index in range(4):
        with pytest.raises(BadProof, match="leaf"):
            verify(LOG.receipt(index), TRUSTED)


def test_what_else_stands_in_a_bundle_is_refused() -> None:
    assert SIGNED.bundle is not None
    material = SIGNED.bundle["verificationMaterial"]
    for bundle in (
        {**SIGNED.bundle, "more": 1},
        {**SIGNED.bundle, "more": float("nan")},
        {**SIGNED.bundle, "verificationMaterial": None},
        {**SIGNED.bundle, "verificationMaterial": {**material, "tlogEntries": [{}]}},
        {**SIGNED.bundle, "verificationMaterial": {**material, "publicKey": {"hint": "me"}}},
    ):
        with pytest.raises(BadProof, match="found more"):
            verify(replaced(SIGNED, bundle=bundle), TRUSTED)


def test_the_bundle_for_other_tools_carries_the_proof() -> None:
    bundle = SIGNED.sigstore_bundle(TRUSTED)
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    assert from_base64(entry["canonicalizedBody"]) == SIGNED.leaf
    proof = entry["inclusionProof"]
    merkle.verify_inclusion(
        merkle.leaf_hash(SIGNED.leaf),
        int(proof["logIndex"]),
        int(proof["treeSize"]),
        [from_base64(each) for each in proof["hashes"]],
        from_base64(proof["rootHash"]),
    )
    assert proof["checkpoint"]["envelope"] == SIGNED.checkpoint
    logged = replaced(SIGNED, bundle=bundle)
    assert opens(logged)
    assert logged.sigstore_bundle(TRUSTED) == bundle
    entry["inclusionProof"]["treeSize"] = "7"
    assert not opens(logged)
    with pytest.raises(BadProof, match="expected a signed entry"):
        UNSIGNED.sigstore_bundle(TRUSTED)


def test_the_proof_as_text() -> None:
    """c2sp.org/tlog-proof@v1."""
    lines = SIGNED.tlog_proof().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", f"index {SIGNED.index}"]
    blank = lines.index("")
    assert [from_base64(line) for line in lines[2:blank]] == list(SIGNED.hashes)
    assert "\n".join(lines[blank + 1 :]) == SIGNED.checkpoint


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("schema", "muniment/receipt/v2"),
        ("schema", None),
        ("leaf", None),
        ("leaf", "é"),
        ("leaf", to_base64(bytes(65_536))),
        ("payload", 7),
        ("bundle", []),
        ("index", "4"),
        ("index", 4.0),
        ("index", True),
        ("index", -1),
        ("tree_size", None),
        ("tree_size", 2**63),
        ("hashes", None),
        ("hashes", "x"),
        ("hashes", [None]),
        ("hashes", [to_base64(bytes(33))]),
        ("hashes", [to_base64(bytes(32))] * (MAX_HASHES + 1)),
        ("checkpoint", None),
        ("checkpoint", "x" * 1_000_000),
        ("other", 1),
    ],
)
def test_receipts_that_are_wrong_say_where(member: str, value: Any) -> None:
    with pytest.raises(BadProof) as caught:
        Receipt.parse({**SIGNED.to_json(), member: value})
    assert [problem["field"] for problem in caught.value.problems] == [member]


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(BadProof) as caught:
        Receipt.parse({"schema": SCHEMA, "index": "x"})
    assert len(caught.value.problems) == 7


@pytest.mark.parametrize(
    "source", [b"", b"[]", b"null", "7", b"\xff", b'{"schema":1,"schema":1}', None, 7, []]
)
def test_what_is_no_receipt(source: Any) -> None:
    with pytest.raises(BadProof):
        Receipt.parse(source)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(JUNK, st.sampled_from([*SIGNED.to_json(), "other", None]))
def test_nothing_makes_reading_a_receipt_fail_otherwise(junk: Any, member: str | None) -> None:
    source = {**SIGNED.to_json(), member: junk} if member else junk
    try:
        receipt = Receipt.parse(source)
    except BadProof:
        return
    assert opens(receipt) == (receipt in (SIGNED, replaced(SIGNED, payload=None)))


@given(JUNK, st.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope"]))
def test_nothing_makes_verifying_a_receipt_fail_otherwise(junk: Any, member: str) -> None:
    assert SIGNED.bundle is not None
    assert not opens(replaced(SIGNED, bundle={**SIGNED.bundle, member: junk}))


def test_importing_is_cheap() -> None:
    code = "import sys, muniment.core.receipt; print('cryptography' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
