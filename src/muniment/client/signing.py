"""Sign a version's files from its manifest alone: OpenSSF Model Signing, with one's own key or the registry's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from muniment.client.artifacts import Artifacts
from muniment.client.evidence import EvidenceCalls
from muniment.client.manifests import ManifestFile
from muniment.client.records import AddedEvidence
from muniment.client.transport import Transport
from muniment.client.versions import Versions, version_path
from muniment.core.canon import canonical
from muniment.core.errors import BadProof
from muniment.core.statement import PAYLOAD_TYPE, bundle_of, model_signing_statement, pae

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_UNSAFE: Final = str.maketrans("/@", "__")


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A private key of one's own: ECDSA over P-256, P-384 or P-521. It never leaves this process."""

    key: ec.EllipticCurvePrivateKey

    @property
    def public_key_der(self) -> bytes:
        """The public key as SubjectPublicKeyInfo."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- slow to import

        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message` in ASN.1 DER, over the SHA-2 of the curve's size."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 -- slow to import
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 -- the same

        sizes = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        return self.key.sign(message, ec.ECDSA(sizes[self.key.key_size]))


def needs_password(file: Path) -> bool:
    """Say whether a private key in PEM is encrypted.

    Raises:
        BadProof: it cannot be read.
    """
    try:
        return b"ENCRYPTED" in file.read_bytes()
    except OSError as error:
        raise BadProof(f"cannot read a private key from `{file}`: {error}") from error


def read_key(file: Path, password: str | None = None) -> OwnKey:
    """Read a private key in PEM.

    Raises:
        BadProof: it cannot be read, the password is wrong or wanting, or it is no key of those
            curves.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 -- the same

    try:
        key = serialization.load_pem_private_key(
            file.read_bytes(), password.encode() if password and needs_password(file) else None
        )
    except TypeError as error:
        raise BadProof(f"the key in `{file}` is encrypted: set `MUNIMENT_KEY_PASSWORD`") from error
    except (OSError, ValueError) as error:
        raise BadProof(f"cannot read a private key in PEM from `{file}`: {error}") from error
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and _signs_models(key)):
        raise BadProof(
            "expected an ECDSA key over P-256, P-384 or P-521, as Model Signing takes it, found"
            " another; make one with `openssl ecparam -name prime256v1 -genkey -noout -out KEY`"
        )
    return OwnKey(key)


def _signs_models(key: ec.EllipticCurvePrivateKey) -> bool:
    return key.curve.name in {"secp256r1", "secp384r1", "secp521r1"}


def sign_files(name: str, files: Sequence[ManifestFile], key: OwnKey) -> dict[str, Any]:
    """Return the signed bundle of a manifest's files; no file is read.

    Raises:
        BadManifest: there is nothing to sign.
    """
    said = model_signing_statement(name, {file.path: file.digest.hex for file in files})
    body = canonical(said)
    return bundle_of(body, key.sign(pae(PAYLOAD_TYPE, body)), key.public_key_der)


@dataclass(frozen=True, slots=True)
class SignedModel:
    """A signature of a version: the bundle, and the evidence it became, if it did."""

    bundle: dict[str, Any]
    evidence: AddedEvidence | None

    def as_bytes(self) -> bytes:
        """Return the bundle as a file holds it."""
        return json.dumps(self.bundle, indent=2).encode() + b"\n"


class Signing:
    """Calls that sign. `ref` is `[NAMESPACE/]NAME@VERSION`, `…@alias` or `…@7`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._versions = Versions(transport)
        self._artifacts = Artifacts(transport)
        self._evidence = EvidenceCalls(transport)

    def sign(
        self, ref: str, key: OwnKey, *, add: bool = True, dry_run: bool = False
    ) -> SignedModel:
        """Sign the files of `ref` with one's own key; `add` records the signature as evidence.

        Raises:
            BadManifest: it has no files to sign.
            DigestMismatch: the registry shows another manifest than was registered.
        """
        version = self._versions.get(ref)
        signed = SignedModel(sign_files(version.ref, self._artifacts.manifest(version), key), None)
        if not add:
            return signed
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder) / f"{version.ref.translate(_UNSAFE)}.sig"
            at.write_bytes(signed.as_bytes())
            done = self._evidence.add(ref, at, kind="signature", dry_run=dry_run)
        return SignedModel(signed.bundle, done[0])

    def sign_with_registry(self, ref: str) -> SignedModel:
        """Have the registry sign the files of `ref` with its record key, as evidence. Once is enough.

        Raises:
            BadManifest: it has no files to sign.
        """
        path = version_path(self._versions.get(ref), "signature")
        done = self._transport.send("POST", path, None, AddedEvidence)
        return SignedModel(json.loads(self._evidence.read(ref, str(done.id))), done)
