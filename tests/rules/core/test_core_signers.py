"""Who vouches: known keys and authorities, for what they are believed, and nobody else."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from muniment.core.digest import digest_of
from muniment.core.envelope import Envelope, Signature, read_envelope
from muniment.core.errors import BadProof, BadSignature
from muniment.core.signers import Signer, SignerKind, SignerUse, Vouched, read_authorities, vouch
from tests.support.signing import (
    BUILDER,
    DAY,
    NOW,
    Authority,
    bundle_by,
    envelope_of,
    p256,
    pem_of,
    provenance_of,
)

SAID = provenance_of(digest_of(b"m"))
BOTH = frozenset(SignerUse)
ALICE = Signer(
    name="alice", kind=SignerKind.KEY, pem=pem_of(p256(1)), uses=BOTH, builders=(BUILDER,)
)
BOB = Signer(
    name="bob",
    kind=SignerKind.KEY,
    pem=pem_of(p256(2)),
    uses=BOTH,
    builders=("https://ci.example/*",),
)
ROOT = Authority()
SUB = Authority("Issuing CA", number=901, above=ROOT)
MAIL = x509.RFC822Name("train@ci.example")
CA = Signer(
    name="ca", kind=SignerKind.CERTIFICATE, pem=ROOT.pem, uses=BOTH,
    builders=(BUILDER,), identities=("train@ci.example", "leaf", "https://ci.example/job", "ci.example"),
)  # fmt: skip


def asked(
    value: Any, *signers: Signer, use: SignerUse = SignerUse.SIGNATURE, **more: Any
) -> Vouched:
    envelope = value if isinstance(value, Envelope) else read_envelope(value)
    return vouch(envelope, signers, use=use, **{"at": NOW, **more})


def test_a_known_key_vouches() -> None:
    found = asked(bundle_by(SAID, p256(1)), BOB, ALICE)
    assert (found.signer, found.identity) == ("alice", None)
    assert "alice" in found.reason
    assert asked(envelope_of(SAID, p256(2)), ALICE, BOB).signer == "bob"
    assert asked(envelope_of(SAID, p256(9), p256(2)), ALICE, BOB).signer == "bob"
    assert asked(envelope_of(SAID, p256(1), p256(2)), ALICE, BOB).signer == "alice"


def test_nobody_known_is_said_so() -> None:
    for found in (
        asked(bundle_by(SAID, p256(3)), ALICE, BOB),
        asked(bundle_by(SAID, p256(1))),
        asked(bundle_by(SAID, p256(1)), CA),
    ):
        assert (found.signer, found.reason) == (None, "no signer known here made its signature")
    assert asked(envelope_of(SAID), ALICE).reason == "nobody signed it"


def test_who_is_believed_for_something_else_does_not_vouch() -> None:
    only = Signer(
        name="a", kind=SignerKind.KEY, pem=ALICE.pem, uses=frozenset({SignerUse.SIGNATURE})
    )
    assert asked(bundle_by(SAID, p256(1)), only).signer == "a"
    found = asked(bundle_by(SAID, p256(1)), only, use=SignerUse.PROVENANCE, builder=BUILDER)
    assert found.signer is None


@pytest.mark.parametrize(
    ("signer", "builder", "good"),
    [
        (ALICE, BUILDER, True), (ALICE, BUILDER + "x", False), (ALICE, "https://other.example", False),
        (ALICE, None, False), (BOB, BUILDER, True), (BOB, "https://ci.example.evil/", False),
    ],
)  # fmt: skip
def test_provenance_is_vouched_for_by_who_may_speak_for_its_builder(
    signer: Signer, builder: str | None, good: bool
) -> None:
    key = p256(1 if signer is ALICE else 2)
    found = asked(bundle_by(SAID, key), signer, use=SignerUse.PROVENANCE, builder=builder)
    assert (found.signer is not None) == good
    assert good or signer.name in found.reason


@pytest.mark.parametrize("keyid", ["", "named"])
def test_a_signature_that_names_a_known_key_and_is_not_its_own_is_refused(keyid: str) -> None:
    forged = bundle_by(SAID, p256(1))
    forged["dsseEnvelope"]["signatures"] = envelope_of(SAID, p256(5))["signatures"]
    if keyid:
        hint = forged["verificationMaterial"].pop("publicKey")["hint"]
        forged["dsseEnvelope"]["signatures"][0]["keyid"] = hint
    with pytest.raises(BadSignature, match="alice"):
        asked(forged, ALICE, BOB)


# --- certificates --------------------------------------------------------------------------------


def by_certificate(*names: x509.GeneralName, issuer: Authority = SUB, **options: Any) -> Any:
    leaf = issuer.issue(p256(7), *names, **options)
    return bundle_by(SAID, p256(7), chain=issuer.chain(leaf))


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ([MAIL], "train@ci.example"),
        ([x509.UniformResourceIdentifier("https://ci.example/job")], "https://ci.example/job"),
        ([x509.DNSName("other.example"), x509.DNSName("ci.example")], "ci.example"),
        ([], "leaf"),
    ],
)
def test_an_authority_vouches_for_the_names_that_are_believed(name: Any, identity: str) -> None:
    for issuer in (ROOT, SUB):
        found = asked(by_certificate(*name, issuer=issuer), ALICE, CA)
        assert (found.signer, found.identity) == ("ca", identity)


def test_certificates_for_code_sign_models() -> None:
    assert asked(by_certificate(MAIL, signing=False, code=True), CA).signer == "ca"
    found = asked(by_certificate(MAIL, signing=False), CA)
    assert (found.signer, found.reason) == (
        None,
        "the certificate of train@ci.example is not for signing",
    )


def test_provenance_by_certificate_is_of_its_builder() -> None:
    bundle = by_certificate(MAIL)
    assert asked(bundle, CA, use=SignerUse.PROVENANCE, builder=BUILDER).signer == "ca"
    assert asked(bundle, CA, use=SignerUse.PROVENANCE, builder="other").signer is None


@pytest.mark.parametrize(
    ("bundle", "at", "reason"),
    [
        (by_certificate(x509.RFC822Name("eve@ci.example")), NOW, "but for another name"),
        (by_certificate(MAIL, ended=True), NOW, "no authority known here"),
        (by_certificate(MAIL), NOW + 30 * DAY, "no authority known here"),
        (by_certificate(MAIL), NOW - 30 * DAY, "no authority known here"),
        (by_certificate(MAIL, issuer=Authority(number=950)), NOW, "no authority known here"),
        (by_certificate(x509.IPAddress(ipaddress.ip_address("10.0.0.1")), common="c"), NOW, "for another name"),
    ],
)  # fmt: skip
def test_other_certificates_do_not_vouch(bundle: Any, at: Any, reason: str) -> None:
    found = asked(bundle, CA, at=at)
    assert found.signer is None
    assert reason in found.reason


def test_nobody_without_a_name_is_anybody() -> None:
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ROOT.certificate.subject)
        .public_key(p256(7).public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(ROOT.key, hashes.SHA256())
    )
    found = asked(bundle_by(SAID, p256(7), chain=[leaf]), CA)
    assert found.reason == "the certificate of nobody is not for signing"


def test_who_is_no_authority_issues_nothing() -> None:
    """A leaf of the authority's signs a certificate itself: CVE-2002-0862 and its kin."""
    middle = Authority("leaf", number=960, above=SUB)
    middle.certificate = SUB.issue(middle.key, MAIL)
    leaf = middle.issue(p256(7), MAIL)
    found = asked(bundle_by(SAID, p256(7), chain=[leaf, middle.certificate, SUB.certificate]), CA)
    assert found.signer is None


def test_a_certificate_whose_key_nobody_knows_is_refused() -> None:
    der = SUB.issue(p256(7), MAIL).public_bytes(Encoding.DER)
    ecdsa, unknown = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209")
    envelope = read_envelope(by_certificate(MAIL))
    other = der.replace(ecdsa, unknown)
    assert other != der
    broken = Envelope(envelope.payload_type, envelope.payload, envelope.signatures, "", (other,))
    with pytest.raises(BadProof, match="key of the certificate"):
        asked(broken, CA)


def test_no_changed_byte_of_a_certificate_is_believed() -> None:
    """Refused or nobody's, never an error of another kind; but how the signature is padded is free."""
    envelope = read_envelope(by_certificate(MAIL, issuer=ROOT))
    der = envelope.certificates[0]
    signed = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    for place in range(len(der)):
        for change in (0x01, 0x20):
            other = der[:place] + bytes([der[place] ^ change]) + der[place + 1 :]
            broken = Envelope(
                envelope.payload_type, envelope.payload, envelope.signatures, "", (other,)
            )
            try:
                believed = asked(broken, CA).signer is not None
            except (BadProof, BadSignature):
                continue
            assert (
                not believed
                or x509.load_der_x509_certificate(other).tbs_certificate_bytes == signed
            )


def test_an_extension_twice_is_refused() -> None:
    der = by_twice()
    with pytest.raises(BadProof, match=r"X\.509"):
        asked(Envelope("application/vnd.in-toto+json", b"", (Signature(b""),), "", (der,)), CA)


def by_twice() -> bytes:
    """A certificate whose key identifiers both say that they are the subject's."""
    der: bytes = SUB.issue(p256(7), MAIL).public_bytes(Encoding.DER)
    authority, subject = bytes.fromhex("0603551d23"), bytes.fromhex("0603551d0e")
    twice = der.replace(authority, subject)
    assert twice != der
    return twice


def test_a_certificate_that_did_not_sign_is_refused() -> None:
    leaf = SUB.issue(p256(7), MAIL)
    with pytest.raises(BadSignature, match="did not make"):
        asked(bundle_by(SAID, p256(8), chain=SUB.chain(leaf)), CA)


def test_certificates_that_cannot_be_read_are_refused() -> None:
    bundle = by_certificate(MAIL)
    envelope = read_envelope(bundle)
    broken = Envelope(envelope.payload_type, envelope.payload, envelope.signatures, "", (b"x",))
    with pytest.raises(BadProof, match=r"X\.509"):
        asked(broken, CA)


def test_authorities_are_authorities() -> None:
    assert len(read_authorities(ROOT.pem + SUB.pem)) == 2
    leaf = SUB.issue(p256(7), MAIL)
    for pem in ("", "x", leaf.public_bytes(Encoding.PEM).decode()):
        with pytest.raises(BadProof, match="certificates"):
            read_authorities(pem)
