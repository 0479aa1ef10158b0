"""Signed statements that others made: DSSE envelopes, alone or in a Sigstore bundle.

What is read here is not verified: `muniment.core.signers` says who made it, if anybody known did.

Source: DSSE v1.0.2; Sigstore bundle v0.1 to v0.3; OpenSSF Model Signing v1.0, Keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.canon import from_base64, to_base64
from muniment.core.errors import BadProof
from muniment.core.statement import pae, public_key_pem

_BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
_PAYLOAD: Final = "application/vnd.in-toto"
_SIGNATURES_MAX: Final = 16
_CERTIFICATES_MAX: Final = 16
_ENTRIES_MAX: Final = 8
_RSA_BITS_MIN: Final = 2048


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope, and the key id beside it: a hint that nobody signed."""

    value: bytes
    keyid: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope: what is signed, by whom it says it is, and what it brings to check that.

    `hint` and the signatures' key ids are unsigned. `certificates` are DER, the signer's first.
    `entries` are those of transparency logs, as they came.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]
    hint: str = ""
    certificates: tuple[bytes, ...] = ()
    entries: tuple[Mapping[str, Any], ...] = ()

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return pae(self.payload_type, self.payload)

    @property
    def names(self) -> frozenset[str]:
        """What it says its keys are called."""
        return frozenset({self.hint, *(one.keyid for one in self.signatures)}) - {""}


def is_envelope(value: Any) -> bool:
    """Say whether `value` (JSON) is meant to be an envelope or a bundle with one."""
    if not isinstance(value, Mapping):
        return False
    return "dsseEnvelope" in value or ("payload" in value and "signatures" in value)


def read_envelope(value: Any) -> Envelope:
    """Read an envelope, or a bundle with one, from JSON values.

    Raises:
        BadProof: it is malformed, or what is signed is no in-toto statement by its type.
    """
    if not is_envelope(value):
        raise BadProof("expected a DSSE envelope or a Sigstore bundle, found neither")
    if "dsseEnvelope" not in value:
        return _read(value, "", (), ())
    kind = value.get("mediaType")
    if not (isinstance(kind, str) and kind.startswith(_BUNDLE)):
        raise BadProof(f"expected a bundle ({_BUNDLE}…) as `mediaType`, found another")
    material = value.get("verificationMaterial")
    if not isinstance(material, Mapping):
        raise BadProof("expected `verificationMaterial` in the bundle, found none")
    envelope = _read(
        value["dsseEnvelope"], _hint(material), _certificates(material), _entries(material)
    )
    if len(envelope.signatures) != 1:
        raise BadProof("expected exactly one signature in the bundle's dsseEnvelope")
    return envelope


def _read(
    value: Any, hint: str, certificates: tuple[bytes, ...], entries: tuple[Mapping[str, Any], ...]
) -> Envelope:
    if not isinstance(value, Mapping):
        raise BadProof("expected an envelope as `dsseEnvelope`, found something else")
    kind = value.get("payloadType")
    if not (isinstance(kind, str) and kind.startswith(_PAYLOAD) and kind.endswith("+json")):
        raise BadProof(f"expected the payload type {_PAYLOAD}+json, found another")
    listed = value.get("signatures")
    if not isinstance(listed, list) or len(listed) > _SIGNATURES_MAX:
        raise BadProof(f"expected a list of at most {_SIGNATURES_MAX} `signatures`")
    signatures = tuple(_signature(one) for one in listed)
    return Envelope(kind, _bytes(value.get("payload")), signatures, hint, certificates, entries)


def _signature(value: Any) -> Signature:
    if not isinstance(value, Mapping):
        raise BadProof("expected an object as a signature, found something else")
    keyid = value.get("keyid") or ""
    if not isinstance(keyid, str):
        raise BadProof("expected text as a `keyid`, found something else")
    return Signature(_bytes(value.get("sig")), keyid)


def _hint(material: Mapping[str, Any]) -> str:
    key = material.get("publicKey")
    hint = key.get("hint") if isinstance(key, Mapping) else ""
    if not isinstance(hint, str | None):
        raise BadProof("expected text as the `hint` of the public key")
    return hint or ""


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    alone, chain = material.get("certificate"), material.get("x509CertificateChain")
    listed = chain.get("certificates") if isinstance(chain, Mapping) else None
    if alone is not None:
        listed = [alone]
    if listed is None:
        return ()
    if not isinstance(listed, list) or not 0 < len(listed) <= _CERTIFICATES_MAX:
        raise BadProof(f"expected a list of 1 to {_CERTIFICATES_MAX} certificates")
    if not all(isinstance(one, Mapping) for one in listed):
        raise BadProof("expected objects as certificates, found something else")
    return tuple(from_base64(one.get("rawBytes")) for one in listed)


def _entries(material: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    listed = material.get("tlogEntries") or []
    if not isinstance(listed, list) or len(listed) > _ENTRIES_MAX:
        raise BadProof(f"expected a list of at most {_ENTRIES_MAX} `tlogEntries`")
    if not all(isinstance(one, Mapping) for one in listed):
        raise BadProof("expected objects as `tlogEntries`, found something else")
    return tuple(listed)


def _bytes(text: Any) -> bytes:
    """Read base64 of either alphabet. Source: DSSE v1.0.2, Envelope."""
    plain = text.replace("-", "+").replace("_", "/") if isinstance(text, str) else text
    return from_base64(plain)


# --- keys ----------------------------------------------------------------------------------------


def read_public_key(pem: str) -> bytes:
    """Return a PEM public key as SubjectPublicKeyInfo (DER).

    Raises:
        BadProof: it is none that this module verifies with: ECDSA over P-256, P-384 or P-521,
            Ed25519, RSA of at least 2048 bits.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- the same

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadProof("expected a public key in PEM, found something else") from None
    if not _usable(key):
        raise BadProof("expected an ECDSA (P-256, P-384, P-521), Ed25519 or RSA (2048 bits) key")
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _usable(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 -- slow

    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS_MIN
    return isinstance(key, ed25519.Ed25519PublicKey)


def names_of(public_der: bytes) -> frozenset[str]:
    """Return what others may call a key: SHA-256 of its PEM or of its DER, in hex or base64."""
    pem = hashlib.sha256(public_key_pem(public_der).encode())
    der = hashlib.sha256(public_der)
    return frozenset({pem.hexdigest(), der.hexdigest(), to_base64(der.digest())})


def verifies(message: bytes, signature: bytes, public_der: bytes) -> bool:
    """Say whether `signature` of `message` was made with a key (`read_public_key`).

    ECDSA is over the SHA-2 of the curve's size; RSA is PKCS #1 v1.5 or PSS over SHA-256.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 -- the same
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415 -- the same

    key: Any = serialization.load_der_public_key(public_der)
    ways: list[tuple[Any, ...]] = [()]
    if isinstance(key, ec.EllipticCurvePublicKey):
        sizes = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        ways = [(ec.ECDSA(sizes[key.key_size]),)]
    elif isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
        ways = [(padding.PKCS1v15(), hashes.SHA256()), (pss, hashes.SHA256())]
    for way in ways:
        try:
            key.verify(signature, message, *way)
        except InvalidSignature:
            continue
        return True
    return False
