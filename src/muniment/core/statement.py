"""Signed statements in the formats other people's tools check.

DSSE envelopes around in-toto statements, in Sigstore bundles v0.3: one signature per envelope,
`keyid` empty, ECDSA P-256 over SHA-256. The log leaf of a signed statement is a Rekor v2
`hashedrekord` body over the envelope's pre-authentication encoding, so that Sigstore's tools find
it in our log with our trusted root.

Source: DSSE v1.0.2, in-toto attestation v1, Sigstore bundle v0.3, Rekor v2 client guide,
OpenSSF Model Signing v1.0.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from muniment.core.canon import canonical, from_base64, loads_strict, to_base64
from muniment.core.checkpoint import LogKey
from muniment.core.digest import Digest
from muniment.core.errors import BadManifest, BadProof, BadRequest, BadSignature

Sign = Callable[[bytes], bytes]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
MODEL_SIGNING_TYPE = "https://model_signing/signature/v1.0"
#: What Model Signing leaves out by default, at the top of a model only.
GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")

_P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P256_SPKI_BYTES = 91
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")


def pae(payload_type: str, body: bytes) -> bytes:
    """Return what a DSSE signature signs. Source: DSSE v1.0.2, Protocol, PAE."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def statement(
    subjects: Iterable[tuple[str, Digest]], predicate_type: str, predicate: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an in-toto statement about `subjects`, each a name and the SHA-256 it has.

    Source: in-toto attestation, Statement v1.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex}} for name, digest in subjects],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def model_signing_statement(name: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the OpenSSF Model Signing statement of a model's files.

    `digests` maps each relative POSIX path to its SHA-256, 64 lower-case hexadecimal digits. The
    subject's digest is over the raw digests in the order of the paths' code points. `GIT_PATHS` are
    left out, and said to be: tools that check the signature do not look at them either.

    Raises:
        BadManifest: there are no files to sign.
        BadDigest: a digest is none.
    Source: OpenSSF Model Signing v1.0, Payload (method `files`, hash `sha256`).
    """
    files = [
        (path, Digest.parse(digest))
        for path, digest in sorted(digests.items())
        if not is_git_path(path)
    ]
    if not files:
        raise BadManifest("expected at least one file to sign, found none")
    root = hashlib.sha256(b"".join(digest.raw for _, digest in files)).digest()
    how: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if len(files) != len(digests):
        how["ignore_paths"] = list(GIT_PATHS)
    predicate = {
        "serialization": how,
        "resources": [
            {"name": path, "algorithm": "sha256", "digest": digest.hex} for path, digest in files
        ],
    }
    return statement([(name, Digest(root))], MODEL_SIGNING_TYPE, predicate)


def is_git_path(path: str) -> bool:
    """Say whether Model Signing leaves `path` out: one of `GIT_PATHS`, or what is in it."""
    return path.partition("/")[0] in GIT_PATHS


def sign_bundle(
    signed: Mapping[str, Any], sign: Sign, public_der: bytes
) -> tuple[dict[str, Any], bytes]:
    """Sign a statement; return its Sigstore bundle, not yet in a log, and the leaf to log.

    `sign` gives ASN.1 DER ECDSA signatures over SHA-256 of what it is given; `public_der` is the
    P-256 public key that verifies them, as SubjectPublicKeyInfo.

    Raises:
        BadJson: the statement has no canonical form.
        BadProof: `public_der` is not a P-256 key.
    """
    return sign_statement_bytes(canonical(dict(signed)), sign, public_der)


def sign_statement_bytes(
    body: bytes, sign: Sign, public_der: bytes
) -> tuple[dict[str, Any], bytes]:
    """Sign a statement given as its canonical JSON, as `sign_bundle` does.

    Raises:
        BadProof: `public_der` is not a P-256 key.
    """
    encoded = pae(PAYLOAD_TYPE, body)
    signature = sign(encoded)
    leaf = hashedrekord_leaf(hashlib.sha256(encoded).digest(), signature, public_der)
    return bundle_of(body, signature, public_der), leaf


def bundle_leaf(body: bytes, signature: bytes, public_der: bytes) -> bytes:
    """Return the leaf of a statement whose JSON is `body`, signed with `signature`."""
    return hashedrekord_leaf(
        hashlib.sha256(pae(PAYLOAD_TYPE, body)).digest(), signature, public_der
    )


def hashedrekord_leaf(pae_digest: bytes, signature: bytes, public_der: bytes) -> bytes:
    """Return the canonical body of a Rekor v2 `hashedrekord` entry.

    `pae_digest` is SHA-256 over the pre-authentication encoding, 32 raw bytes.

    Raises:
        BadProof: `public_der` is not a P-256 key.
    Source: Rekor v2 client guide, DSSE as hashedrekord 0.0.2.
    """
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "publicKey": {"rawBytes": to_base64(_checked_p256(public_der))},
    }
    record = {
        "data": {"algorithm": "SHA2_256", "digest": to_base64(pae_digest)},
        "signature": {"content": to_base64(signature), "verifier": verifier},
    }
    return canonical(
        {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": record}}
    )


def verify_bundle(bundle: Mapping[str, Any], public_der: bytes) -> dict[str, Any]:
    """Return the statement in a bundle, once its signature by `public_der` has verified.

    What stands in the bundle about a log is not looked at: see `muniment.core.receipt`.

    Raises:
        BadProof: it is no bundle with one in-toto statement and one signature, or `public_der` is
            not a P-256 key.
        BadSignature: the signature does not verify.
    Source: DSSE v1.0.2, Protocol, Verification.
    """
    body, signature = read_bundle(bundle)
    verify_p256(pae(PAYLOAD_TYPE, body), signature, public_der)
    try:
        found = loads_strict(body)
    except BadRequest as error:
        raise BadProof(f"the signed statement cannot be read: {error.message}") from None
    if not (isinstance(found, dict) and found.get("_type") == STATEMENT_TYPE):
        raise BadProof(f"expected a statement ({STATEMENT_TYPE}), found something else")
    return found


def read_bundle(bundle: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the statement's bytes and the signature of a bundle; nothing is verified.

    Raises:
        BadProof: it is no bundle with one in-toto statement and one signature.
    """
    envelope = bundle.get("dsseEnvelope") if isinstance(bundle, Mapping) else None
    if not isinstance(envelope, Mapping) or bundle.get("mediaType") != BUNDLE_TYPE:
        raise BadProof(f"expected a bundle ({BUNDLE_TYPE}) with a dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise BadProof(f"expected the payload type {PAYLOAD_TYPE}, found another")
    signatures = envelope.get("signatures")
    if not (
        isinstance(signatures, list) and len(signatures) == 1 and isinstance(signatures[0], Mapping)
    ):
        raise BadProof("expected exactly one signature in the dsseEnvelope")
    return from_base64(envelope.get("payload")), from_base64(signatures[0].get("sig"))


def verify_p256(message: bytes, signature: bytes, public_der: bytes) -> None:
    """Check an ECDSA P-256 signature (ASN.1 DER) over SHA-256 of `message`.

    Raises:
        BadProof: `public_der` is not a P-256 key.
        BadSignature: it does not verify.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 -- the same
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 -- the same

    try:
        key = serialization.load_der_public_key(_checked_p256(public_der))
    except ValueError:
        raise BadProof("expected a P-256 public key, found no point of the curve") from None
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BadSignature("the signature of the statement does not verify") from None


def with_inclusion(
    bundle: Mapping[str, Any],
    *,
    index: int,
    hashes: Sequence[bytes],
    root: bytes,
    tree_size: int,
    checkpoint: str,
    log: LogKey,
    public_der: bytes,
) -> dict[str, Any]:
    """Return a copy of `bundle` that carries its place in the log.

    `hashes` is the inclusion proof of leaf `index` in the tree of `tree_size` leaves under `root`;
    `checkpoint` is the signed note; `public_der` is the record key.

    Raises:
        BadProof: `bundle` is none.
    Source: Sigstore bundle v0.3, TransparencyLogEntry; Rekor v2 client guide.
    """
    body, signature = read_bundle(bundle)
    entry = {
        "logIndex": str(index),
        "logId": {"keyId": to_base64(log.full_id)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "canonicalizedBody": to_base64(bundle_leaf(body, signature, public_der)),
        "inclusionProof": {
            "logIndex": str(index),
            "rootHash": to_base64(root),
            "treeSize": str(tree_size),
            "hashes": [to_base64(each) for each in hashes],
            "checkpoint": {"envelope": checkpoint},
        },
    }
    material = {"publicKey": {"hint": _hint(public_der)}, "tlogEntries": [entry]}
    return {**bundle, "verificationMaterial": material}


def trusted_root(log: LogKey, valid_from: dt.datetime) -> dict[str, Any]:
    """Return the trusted root that makes Sigstore's tools accept our log.

    The log's name must be a bare host name: the tools look for a note signature under the host of
    `baseUrl`.

    Source: Sigstore trusted_root v0.1.
    """
    key_id = {"keyId": to_base64(log.full_id)}
    start = valid_from.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    public_key = {
        "rawBytes": to_base64(_ED25519_SPKI + log.public),
        "keyDetails": "PKIX_ED25519",
        "validFor": {"start": start},
    }
    return {
        "mediaType": TRUSTED_ROOT_TYPE,
        "tlogs": [
            {
                "baseUrl": f"https://{log.name}",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public_key,
                "logId": key_id,
                "checkpointKeyId": key_id,
            }
        ],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    }


def unlogged_bundle(bundle: Mapping[str, Any], public_der: bytes) -> dict[str, Any]:
    """Return `bundle` exactly as `sign_bundle` made it, from its statement and signature alone.

    Raises:
        BadProof: `bundle` is none, or `public_der` is not a P-256 key.
    """
    return bundle_of(*read_bundle(bundle), public_der)


def public_key_pem(public_der: bytes) -> str:
    """Return a SubjectPublicKeyInfo as PEM, as OpenSSL writes it. Source: RFC 7468 §13."""
    text = to_base64(public_der)
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def bundle_of(body: bytes, signature: bytes, public_der: bytes) -> dict[str, Any]:
    """Return the bundle of a statement whose JSON is `body`, signed with any key's `signature`.

    `public_der` is that key as SubjectPublicKeyInfo; what the key is of is not looked at.
    """
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(public_der)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": to_base64(body),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": to_base64(signature), "keyid": ""}],
        },
    }


@functools.lru_cache(maxsize=8)
def _hint(public_der: bytes) -> str:
    """Name a key as Model Signing does: SHA-256 over its PEM, hexadecimal."""
    return hashlib.sha256(public_key_pem(public_der).encode()).hexdigest()


def _checked_p256(public_der: bytes) -> bytes:
    if not (
        isinstance(public_der, bytes)
        and len(public_der) == _P256_SPKI_BYTES
        and public_der.startswith(_P256_SPKI)
    ):
        raise BadProof("expected an ECDSA P-256 public key as SubjectPublicKeyInfo")
    return public_der
