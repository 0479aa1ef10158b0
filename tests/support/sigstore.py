"""A Sigstore of a test's own: an authority, a log of certificates, a transparency log, its trusted root.

Everything is made here with its own keys, in the formats of the public instance.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from muniment.core.canon import canonical, to_base64
from muniment.core.merkle import leaf_hash
from tests.support.signing import NOW, der_of, envelope_of, p256, signed_by

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main"
LOGGED_AT = NOW + dt.timedelta(minutes=3)
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_MINUTE = dt.timedelta(minutes=1)


def _octets(raw: bytes) -> bytes:
    """A DER OCTET STRING."""
    size = len(raw)
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"\x04" + (bytes([size]) if size < 128 else bytes([128 | len(long)]) + long) + raw


@dataclass
class Sigstore:
    """Its parts' keys; change one and what it signs is another's."""

    authority: Any = field(default_factory=lambda: p256(50))
    leaf: Any = field(default_factory=lambda: p256(51))
    log: Any = field(default_factory=lambda: p256(52))
    certificate_log: Any = field(default_factory=lambda: p256(53))
    issuer: str = ISSUER
    identity: str = WORKFLOW
    sct: bool = True
    issued_at: dt.datetime = NOW

    def root_certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sigstore of a test")])
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        key_id = x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.authority.public_key())
            .serial_number(7)
            .not_valid_before(NOW - dt.timedelta(days=100))
            .not_valid_after(NOW + dt.timedelta(days=1000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(key_id, critical=False)
            .sign(self.authority, hashes.SHA256(), ecdsa_deterministic=True)
        )

    def _leaf(self, *more: bytes) -> x509.Certificate:
        authority = self.root_certificate()
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        issuer = self.issuer.encode()
        utf8 = b"\x0c" + bytes([len(issuer)]) + issuer
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.identity)])
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(authority.subject)
            .public_key(self.leaf.public_key())
            .serial_number(8)
            .not_valid_before(self.issued_at)
            .not_valid_after(self.issued_at + 10 * _MINUTE)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(key_id, critical=False)
            .add_extension(names, critical=True)
            .add_extension(
                x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), utf8),
                critical=False,
            )
        )
        old = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), issuer)
        builder = builder.add_extension(old, critical=False)
        for raw in more:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(_SCT_LIST, raw), critical=False
            )
        return builder.sign(self.authority, hashes.SHA256(), ecdsa_deterministic=True)

    def certificate(self) -> x509.Certificate:
        """The certificate of whoever signs, with the promise of the log of certificates in it."""
        if not self.sct:
            return self._leaf()
        tbs = self._leaf().tbs_certificate_bytes
        at = int(self.issued_at.timestamp() * 1000)
        key_hash = hashlib.sha256(der_of(self.authority)).digest()
        message = (
            struct.pack(">BBQH32s", 0, 0, at, 1, key_hash)
            + len(tbs).to_bytes(3, "big")
            + tbs
            + b"\0\0"
        )
        signature = signed_by(self.certificate_log, message)
        log_id = hashlib.sha256(der_of(self.certificate_log)).digest()
        sct = struct.pack(">B32sQH", 0, log_id, at, 0) + b"\x04\x03"
        sct += len(signature).to_bytes(2, "big") + signature
        listed = len(sct).to_bytes(2, "big") + sct
        return self._leaf(_octets(len(listed).to_bytes(2, "big") + listed))

    def trusted_root(self) -> dict[str, Any]:
        """What says whose word is taken."""
        valid = {"start": "2026-01-01T00:00:00Z"}
        raw = self.root_certificate().public_bytes(serialization.Encoding.DER)
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_key(self.log, valid)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "test", "commonName": "sigstore of a test"},
                    "uri": "https://fulcio.example",
                    "certChain": {"certificates": [{"rawBytes": to_base64(raw)}]},
                    "validFor": dict(valid),
                }
            ],
            "ctlogs": [_key(self.certificate_log, valid)],
            "timestampAuthorities": [],
        }

    def bundle(
        self, said: Any, *, kind: str = "dsse", at: dt.datetime = LOGGED_AT
    ) -> dict[str, Any]:
        """A statement, signed, with its certificate and the log's entry of it."""
        envelope = envelope_of(said, self.leaf)
        certificate = self.certificate()
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        body = canonical(_body(kind, envelope, pem))
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {
                    "rawBytes": to_base64(certificate.public_bytes(serialization.Encoding.DER))
                },
                "tlogEntries": [self.entry(body, kind, at)],
            },
            "dsseEnvelope": envelope,
        }

    def entry(self, body: bytes, kind: str, at: dt.datetime) -> dict[str, Any]:
        """The log's only entry, with the promise and the proof of it."""
        log_id = hashlib.sha256(der_of(self.log)).digest()
        seconds = int(at.timestamp())
        promised = {
            "body": to_base64(body), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": 41,
        }  # fmt: skip
        tree = leaf_hash(body)
        note = f"rekor.example - 1\n1\n{to_base64(tree)}\n"
        signature = signed_by(self.log, note.encode())
        signed = base64.b64encode(log_id[:4] + signature).decode()
        return {
            "logIndex": "41",
            "logId": {"keyId": to_base64(log_id)},
            "kindVersion": {"kind": kind, "version": "0.0.1" if kind == "dsse" else "0.0.2"},
            "integratedTime": str(seconds),
            "inclusionPromise": {
                "signedEntryTimestamp": to_base64(signed_by(self.log, canonical(promised)))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": to_base64(tree),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 rekor.example {signed}\n"},
            },
            "canonicalizedBody": to_base64(body),
        }


def _key(key: Any, valid: dict[str, str]) -> dict[str, Any]:
    der = der_of(key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return {
        "baseUrl": "https://log.example",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": to_base64(der),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": dict(valid),
        },
        "logId": {"keyId": to_base64(hashlib.sha256(der).digest())},
    }


def _body(kind: str, envelope: dict[str, Any], pem: bytes) -> dict[str, Any]:
    payload = base64.b64decode(envelope["payload"])
    hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    signature = envelope["signatures"][0]["sig"]
    whole = hashlib.sha256(json.dumps(envelope).encode()).hexdigest()
    named = {"algorithm": "sha256", "value": whole}
    if kind == "dsse":
        spec: dict[str, Any] = {
            "envelopeHash": named,
            "payloadHash": hashed,
            "signatures": [{"signature": signature, "verifier": to_base64(pem)}],
        }
    else:
        twice = to_base64(signature.encode())
        made = {
            "payloadType": envelope["payloadType"],
            "signatures": [{"sig": twice, "publicKey": to_base64(pem)}],
        }
        spec = {"content": {"envelope": made, "hash": named, "payloadHash": hashed}}
    return {"apiVersion": "0.0.1" if kind == "dsse" else "0.0.2", "kind": kind, "spec": spec}
