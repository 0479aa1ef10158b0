"""Statements are signed as other people's tools expect, and only the signed opens."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import to_base64
from muniment.core.checkpoint import LogKey
from muniment.core.digest import Digest
from muniment.core.errors import BadDigest, BadManifest, BadProof, BadSignature
from muniment.core.statement import (
    BUNDLE_TYPE,
    PAYLOAD_TYPE,
    hashedrekord_leaf,
    model_signing_statement,
    pae,
    public_key_pem,
    read_bundle,
    sign_bundle,
    statement,
    trusted_root,
    unlogged_bundle,
    verify_bundle,
    verify_p256,
    with_inclusion,
)
from tests.support.keys import MemoryKeys

KEYS = MemoryKeys()
OTHER = MemoryKeys("other")
DER = KEYS.record.public_key_der
LOG = LogKey("audit.registry.example", KEYS.log.public_key_der[-32:])
STATEMENT = statement([("m", Digest(bytes(32)))], "https://example/p/v1", {"n": 1, "x": 0.5})
BUNDLE, LEAF = sign_bundle(STATEMENT, KEYS.record.sign, DER)


def changed(**members: Any) -> dict[str, Any]:
    """The bundle with other members in its dsseEnvelope."""
    bundle = copy.deepcopy(BUNDLE)
    bundle["dsseEnvelope"].update(members)
    return bundle


def test_pre_authentication_encoding() -> None:
    """The example of the DSSE protocol document."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected
    assert pae("é", b"\xff") == b"DSSEv1 2 \xc3\xa9 1 \xff"


def test_a_statement_has_the_shape_of_in_toto() -> None:
    assert STATEMENT == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://example/p/v1",
        "predicate": {"n": 1, "x": 0.5},
    }


def test_what_was_signed_opens() -> None:
    assert verify_bundle(BUNDLE, DER) == STATEMENT
    assert verify_bundle(json.loads(json.dumps(BUNDLE)), DER) == STATEMENT
    assert unlogged_bundle(BUNDLE, DER) == BUNDLE


def test_a_bundle_has_one_signature_that_other_code_verifies() -> None:
    envelope = BUNDLE["dsseEnvelope"]
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == ""
    key = serialization.load_der_public_key(DER)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    body = base64.b64decode(envelope["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(body) + body
    key.verify(base64.b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public_key_pem(DER).encode() == pem
    hint = BUNDLE["verificationMaterial"]["publicKey"]["hint"]
    assert hint == hashlib.sha256(pem).hexdigest()


def test_the_leaf_is_a_hashedrekord_body() -> None:
    """Rekor v2 client guide: DSSE is logged as the digest of its encoding."""
    body, signature = read_bundle(BUNDLE)
    digest = hashlib.sha256(pae(PAYLOAD_TYPE, body)).digest()
    assert hashedrekord_leaf(digest, signature, DER) == LEAF
    expected = (
        '{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
        f'{{"algorithm":"SHA2_256","digest":"{to_base64(digest)}"}},"signature":{{"content":'
        f'"{to_base64(signature)}","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256",'
        f'"publicKey":{{"rawBytes":"{to_base64(DER)}"}}}}}}}}}}}}'
    )
    assert LEAF.decode() == expected


def test_any_flipped_byte_of_what_is_signed_is_refused() -> None:
    body, signature = read_bundle(BUNDLE)
    for at in range(len(body)):
        flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignature):
            verify_bundle(changed(payload=to_base64(flipped)), DER)
    for at in range(len(signature)):
        flipped = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        with pytest.raises(BadSignature):
            verify_bundle(changed(signatures=[{"sig": to_base64(flipped), "keyid": ""}]), DER)


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(BadSignature):
        verify_bundle(BUNDLE, OTHER.record.public_key_der)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        None,
        KEYS.log.public_key_der,
        DER[:-1],
        DER + b"\0",
        DER[:27] + bytes(64),
        DER[:26] + b"\x05" + DER[27:],
    ],
)
def test_only_p256_keys_sign_statements(der: Any) -> None:
    with pytest.raises(BadProof, match="P-256"):
        verify_p256(b"", b"", der)


def test_only_p256_keys_are_logged() -> None:
    with pytest.raises(BadProof, match="P-256"):
        sign_bundle(STATEMENT, KEYS.log.sign, KEYS.log.public_key_der)


@pytest.mark.parametrize(
    "bundle",
    [
        None,
        [],
        "x",
        {},
        {"mediaType": BUNDLE_TYPE},
        {**BUNDLE, "mediaType": "application/json"},
        {**BUNDLE, "dsseEnvelope": []},
        changed(payloadType="text/plain"),
        changed(payload=None),
        changed(payload="***"),
        changed(signatures=None),
        changed(signatures=[]),
        changed(signatures=[None]),
        changed(signatures=[{}]),
        changed(signatures=BUNDLE["dsseEnvelope"]["signatures"] * 2),
    ],
)
def test_what_is_no_bundle(bundle: Any) -> None:
    with pytest.raises(BadProof):
        verify_bundle(bundle, DER)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"_type":"x"}', b'{"a":1,"a":2}'])
def test_what_is_signed_must_be_a_statement(body: bytes) -> None:
    signature = KEYS.record.sign(pae(PAYLOAD_TYPE, body))
    signatures = [{"sig": to_base64(signature), "keyid": ""}]
    with pytest.raises(BadProof):
        verify_bundle(changed(payload=to_base64(body), signatures=signatures), DER)


def test_inclusion_names_the_place_in_the_log() -> None:
    bundle = with_inclusion(
        BUNDLE,
        index=3,
        hashes=[bytes(32)],
        root=bytes([1]) * 32,
        tree_size=5,
        checkpoint="note\n",
        log=LOG,
        public_der=DER,
    )
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    assert entry["logIndex"] == entry["inclusionProof"]["logIndex"] == "3"
    assert entry["inclusionProof"]["treeSize"] == "5"
    assert entry["inclusionProof"]["hashes"] == [to_base64(bytes(32))]
    assert entry["inclusionProof"]["checkpoint"] == {"envelope": "note\n"}
    assert base64.b64decode(entry["canonicalizedBody"]) == LEAF
    named = LOG.name.encode() + b"\n\x01" + LOG.public
    assert base64.b64decode(entry["logId"]["keyId"]) == hashlib.sha256(named).digest()
    assert bundle["dsseEnvelope"] == BUNDLE["dsseEnvelope"]
    assert BUNDLE["verificationMaterial"]["tlogEntries"] == []


def test_the_trusted_root_names_the_log() -> None:
    start = dt.datetime(2026, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    (log,) = trusted_root(LOG, start)["tlogs"]
    assert log["baseUrl"] == "https://audit.registry.example"
    assert base64.b64decode(log["publicKey"]["rawBytes"]) == KEYS.log.public_key_der
    assert log["publicKey"]["validFor"] == {"start": "2026-01-01T00:00:00Z"}
    assert log["logId"] == log["checkpointKeyId"] == {"keyId": to_base64(LOG.full_id)}


def test_model_signing_sorts_by_path_and_hashes_the_digests() -> None:
    """OpenSSF Model Signing v1.0: `a-x` before `a.txt` before `a/b`."""
    digests = {"a/b": "03" * 32, "a.txt": "02" * 32, "a-x": "01" * 32}
    found = model_signing_statement("fraud-detector", digests)
    root = hashlib.sha256(b"\x01" * 32 + b"\x02" * 32 + b"\x03" * 32).hexdigest()
    assert found["subject"] == [{"name": "fraud-detector", "digest": {"sha256": root}}]
    assert found["predicateType"] == "https://model_signing/signature/v1.0"
    assert [each["name"] for each in found["predicate"]["resources"]] == ["a-x", "a.txt", "a/b"]
    assert found["predicate"]["serialization"] == {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
    }


def test_model_signing_needs_files_with_digests() -> None:
    with pytest.raises(BadManifest):
        model_signing_statement("m", {})
    for digest in ("x", None):
        with pytest.raises(BadDigest):
            model_signing_statement("m", {"a": digest})  # type: ignore[dict-item]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["payload", "payloadType", "signatures", None]),
)
def test_nothing_makes_verifying_a_bundle_fail_otherwise(junk: Any, member: str | None) -> None:
    with pytest.raises((BadProof, BadSignature)):
        verify_bundle(changed(**{member: junk}) if member else junk, DER)
