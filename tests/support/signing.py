"""Keys, authorities and signed statements, as builders and people bring them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muniment.core.canon import canonical, to_base64
from muniment.core.digest import Digest
from muniment.core.envelope import names_of
from muniment.core.statement import BUNDLE_TYPE, PAYLOAD_TYPE, pae, statement

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SLSA = "https://slsa.dev/provenance/v1"
BUILDER = "https://ci.example/builders/train@v1"


def p256(number: int = 1) -> ec.EllipticCurvePrivateKey:
    """A key that is the same in every run: `number` says which."""
    return ec.derive_private_key(10**30 + number, ec.SECP256R1())


def der_of(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def pem_of(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def private_pem(key: Any, password: str | None = None) -> bytes:
    how = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
    )
    return data


def signed_by(key: Any, message: bytes, *, pss: bool = False) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        way = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else padding.PKCS1v15()
        return key.sign(message, way, hashes.SHA256())
    size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.key_size]
    made: bytes = key.sign(message, ec.ECDSA(size, deterministic_signing=True))
    return made


def envelope_of(said: Any, *keys: Any, keyid: str = "") -> dict[str, Any]:
    """A DSSE envelope around a statement, signed with each of `keys`."""
    body = canonical(said)
    message = pae(PAYLOAD_TYPE, body)
    return {
        "payload": to_base64(body),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": to_base64(signed_by(key, message)), "keyid": keyid} for key in keys],
    }


def bundle_by(
    said: Any, key: Any, *, chain: list[x509.Certificate] | None = None
) -> dict[str, Any]:
    """A Sigstore bundle as `model_signing` writes it: with a key's hint, or with certificates."""
    material: dict[str, Any] = {"publicKey": {"hint": _pem_name(key)}}
    if chain:
        listed = [
            {"rawBytes": to_base64(one.public_bytes(serialization.Encoding.DER))} for one in chain
        ]
        material = {"x509CertificateChain": {"certificates": listed}}
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": envelope_of(said, key),
    }


def _pem_name(key: Any) -> str:
    hashed = hashes.Hash(hashes.SHA256())
    hashed.update(pem_of(key).encode())
    name = hashed.finalize().hex()
    assert name in names_of(der_of(key))
    return name


def provenance_of(
    *digests: Digest, builder: str | None = BUILDER, kind: str = SLSA
) -> dict[str, Any]:
    """SLSA provenance about what has these digests."""
    metadata = {
        "invocationId": "https://ci.example/runs/7",
        "startedOn": "2026-05-31T10:00:00Z",
        "finishedOn": "2026-05-31T10:05:00Z",
    }
    predicate: dict[str, Any] = {
        "buildDefinition": {
            "buildType": "https://ci.example/train/v1",
            "externalParameters": {"recipe": "train.py"},
            "resolvedDependencies": [
                {"uri": "git+https://git.example/fraud", "digest": {"gitCommit": "a" * 40}}
            ],
        },
        "runDetails": {"metadata": metadata},
    }
    if builder is not None:
        predicate["runDetails"]["builder"] = {"id": builder}
    return statement([(f"file-{n}", digest) for n, digest in enumerate(digests)], kind, predicate)


class Authority:
    """Issues certificates, each valid for ten days around a moment."""

    def __init__(
        self,
        name: str = "Example CA",
        *,
        number: int = 900,
        above: Authority | None = None,
        at: dt.datetime = NOW,
    ) -> None:
        self.at = at
        self.key = p256(number)
        self.above = above
        self.certificate = self._certificate(name, self.key, above, ca=True)

    def issue(self, key: Any, *names: x509.GeneralName, common: str = "", **options: Any) -> Any:
        """A certificate for `key` under subject alternative names, or a common name alone."""
        return self._certificate(common or "leaf", key, self, names=names, **options)

    def chain(self, leaf: x509.Certificate) -> list[x509.Certificate]:
        """A leaf and the intermediates, without the root."""
        found, at = [leaf], self
        while at.above is not None:
            found.append(at.certificate)
            at = at.above
        return found

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _certificate(
        self,
        name: str,
        key: Any,
        issuer: Authority | None,
        *,
        names: tuple[x509.GeneralName, ...] = (),
        ca: bool = False,
        signing: bool = True,
        code: bool = False,
        ended: bool = False,
    ) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        subject = named(name)
        above = subject if issuer is None else issuer.certificate.subject
        key_of_issuer = self.key if issuer is None else issuer.key
        until = self.at - DAY if ended else self.at + 10 * DAY
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at - 10 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca=ca, signing=signing and not ca), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if code:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(usage, critical=False)
        ours = key_of_issuer.public_key()
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return builder.sign(key_of_issuer, hashes.SHA256())


def _usage(*, ca: bool, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=not signing and not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
