"""Envelopes of others are read as they are, and verified with the keys people use."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.envelope import (
    Signature,
    is_envelope,
    names_of,
    read_envelope,
    read_public_key,
    verifies,
)
from muniment.core.errors import BadProof, MunimentError
from tests.support.signing import (
    Authority,
    bundle_by,
    der_of,
    envelope_of,
    p256,
    pem_of,
    provenance_of,
    signed_by,
)

SAID = provenance_of(digest_of(b"m"))
BUNDLE = bundle_by(SAID, p256())


def changed(path: list[Any], value: Any) -> Any:
    bundle = copy.deepcopy(BUNDLE)
    at: Any = bundle
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return bundle


def test_a_bundle_and_an_envelope_are_read_alike() -> None:
    bundle, alone = read_envelope(BUNDLE), read_envelope(BUNDLE["dsseEnvelope"])
    assert (bundle.payload, bundle.signatures) == (alone.payload, alone.signatures)
    assert bundle.names == {bundle.hint}
    assert bundle.hint in names_of(der_of(p256()))
    assert alone.names == frozenset()
    named = read_envelope(envelope_of(SAID, p256(1), p256(2), keyid="k"))
    assert len(named.signatures) == 2
    assert named.names == {"k"}


def test_base64_of_either_alphabet_is_read() -> None:
    made = (envelope_of(SAID, p256(number)) for number in range(9))
    envelope = next(one for one in made if {"+", "/"} & set(one["signatures"][0]["sig"]))
    expected = read_envelope(envelope).signatures
    sig = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = sig.replace("+", "-").replace("/", "_")
    assert read_envelope(envelope).signatures == expected


def test_certificates_are_read_from_either_place() -> None:
    chain = bundle_by(SAID, p256(), chain=[Authority().issue(p256())])
    material = chain["verificationMaterial"]
    (first,) = read_envelope(chain).certificates
    only = material.pop("x509CertificateChain")["certificates"][0]
    material["certificate"] = only
    assert read_envelope(chain).certificates == (first,)


@pytest.mark.parametrize("value", [None, 1, [], {}, {"payload": "x"}])
def test_what_is_no_envelope_is_said_to_be_none(value: Any) -> None:
    assert not is_envelope(value)
    with pytest.raises(BadProof, match="found neither"):
        read_envelope(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["mediaType"], "application/json"),
        (["mediaType"], 1),
        (["verificationMaterial"], None),
        (["dsseEnvelope"], 1),
        (["dsseEnvelope", "payloadType"], "text/plain"),
        (["dsseEnvelope", "payloadType"], None),
        (["dsseEnvelope", "payload"], "???"),
        (["dsseEnvelope", "payload"], None),
        (["dsseEnvelope", "signatures"], None),
        (["dsseEnvelope", "signatures"], []),
        (["dsseEnvelope", "signatures"], [1]),
        (["dsseEnvelope", "signatures"], [{"sig": "x"}]),
        (["dsseEnvelope", "signatures"], [{"sig": "AAAA", "keyid": 1}]),
        (["dsseEnvelope", "signatures"], [{"sig": "AAAA"}] * 2),
        (["dsseEnvelope", "signatures"], [{"sig": "AAAA"}] * 17),
        (["verificationMaterial", "publicKey"], {"hint": 1}),
        (["verificationMaterial", "certificate"], {"rawBytes": "?"}),
        (["verificationMaterial", "certificate"], 1),
        (["verificationMaterial", "x509CertificateChain"], {"certificates": []}),
        (["verificationMaterial", "x509CertificateChain"], {"certificates": [{}] * 17}),
        (["verificationMaterial", "tlogEntries"], "an entry"),
        (["verificationMaterial", "tlogEntries"], [{}] * 1_000),
        (["verificationMaterial", "tlogEntries"], ["an entry"]),
    ],
)
def test_a_malformed_bundle_is_refused(path: list[Any], value: Any) -> None:
    with pytest.raises(BadProof):
        read_envelope(changed(path, value))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope"]),
)  # fmt: skip
def test_anything_is_read_or_refused(value: Any, member: str) -> None:
    try:
        read_envelope(value)
        read_envelope({**BUNDLE, member: value})
    except MunimentError:
        pass


@pytest.mark.parametrize(
    "key",
    [
        p256(),
        ec.derive_private_key(10**30, ec.SECP384R1()),
        ec.derive_private_key(10**30, ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
    ],
)
def test_every_usual_key_verifies_its_own_and_no_other(key: Any) -> None:
    public = read_public_key(pem_of(key))
    assert public == der_of(key)
    signature = signed_by(key, b"message")
    assert verifies(b"message", signature, public)
    assert not verifies(b"massage", signature, public)
    assert not verifies(b"message", b"", public)


def test_rsa_verifies_in_both_paddings() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = read_public_key(pem_of(key))
    for pss in (False, True):
        assert verifies(b"m", signed_by(key, b"m", pss=pss), public)
    assert not verifies(b"n", signed_by(key, b"m"), public)
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(BadProof, match="2048"):
        read_public_key(pem_of(small))


@pytest.mark.parametrize(
    "pem",
    [
        "", "x", "é", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem_of(ec.derive_private_key(10**30, ec.SECP256K1())),
        pem_of(x25519.X25519PrivateKey.from_private_bytes(bytes(32))),
    ],
)  # fmt: skip
def test_what_is_no_usable_public_key_is_refused(pem: str) -> None:
    with pytest.raises(BadProof, match="key"):
        read_public_key(pem)


def test_a_signature_has_no_key_id_unless_it_says_so() -> None:
    assert Signature(b"x").keyid == ""
