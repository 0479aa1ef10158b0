"""Who made a signed statement, as far as anybody here is known: keys and certificates.

`vouch`, in this order:

1. A certificate that the statement brings must have signed it: else it is no signature at all.
2. A signer's key that made a signature vouches; one that the statement names and that did not is
   a forgery or a broken file.
3. A signer's authority that issued the certificate vouches, if the certificate is for signing,
   valid at the moment asked about, and in one of the names the signer may have.
4. So does a signer known through Sigstore, if a log of its trusted root shows that the certificate
   was used while it was valid (`core.keyless`), and it is of the signer's issuer and names.
5. Of provenance, the signer must be one that may speak for the builder it names.

Source: R-068, R-087; OpenSSF Model Signing v1.0; SLSA v1.0, Verifying artifacts.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from muniment.core.envelope import Envelope, names_of, read_public_key, verifies
from muniment.core.errors import BadProof, BadSignature
from muniment.core.keyless import NotProven, issuer_of, read_trusted_root, signed_at

if TYPE_CHECKING:
    from cryptography import x509


class SignerKind(enum.StrEnum):
    """How a signer is known: by its key, by who issues its certificates, or through Sigstore."""

    KEY = "key"
    CERTIFICATE = "certificate"
    SIGSTORE = "sigstore"


class SignerUse(enum.StrEnum):
    """What a signer may vouch for."""

    SIGNATURE = "signature"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Somebody whose signatures are believed.

    `pem` is a public key, or the certificates of authorities; of Sigstore its trusted root, in JSON.
    `builders` are the builder ids it may
    speak for, a `*` at the end standing for any rest; `identities` the names (e-mail, URI, DNS;
    without any, the common name) that certificates it issued may be in, of Sigstore with a `*` at
    the end for any rest. `issuer` is whose ID tokens Sigstore's certificates are for.
    """

    name: str
    kind: SignerKind
    pem: str
    uses: frozenset[SignerUse]
    builders: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Which signer vouches (None: nobody known), and why or why not; `identity` is a certificate's."""

    signer: str | None
    reason: str
    identity: str | None = None


def vouch(
    envelope: Envelope,
    signers: Iterable[Signer],
    *,
    use: SignerUse,
    at: dt.datetime,
    builder: str | None = None,
) -> Vouched:
    """Say who of `signers` made the signature of an envelope, asked for `use` at a moment.

    `builder` is the one that provenance names.

    Raises:
        BadSignature: it brings a certificate or names a key that did not sign it.
        BadProof: its certificate cannot be read.
    """
    able = [signer for signer in signers if use in signer.uses]
    if not envelope.signatures:
        return Vouched(None, "nobody signed it")
    found = (
        _by_certificate(envelope, able, at)
        if envelope.certificates
        else _by_key(envelope, able, exact=use is SignerUse.SIGNATURE)
    )
    if not isinstance(found, tuple):
        return found
    signer, vouched = found
    if use is SignerUse.PROVENANCE and not _speaks_for(signer, builder):
        said = f"builder {builder}" if builder else "no builder, and it must name one"
        return Vouched(None, f"signed by {signer.name}, which may not speak for {said}")
    return vouched


def _speaks_for(signer: Signer, builder: str | None) -> bool:
    return builder is not None and any(
        builder.startswith(one[:-1]) if one.endswith("*") else builder == one
        for one in signer.builders
    )


def _by_key(
    envelope: Envelope, signers: Sequence[Signer], *, exact: bool
) -> tuple[Signer, Vouched] | Vouched:
    """Look for the key that signed; `exact`: a hint must be of that key, as Model Signing has it."""
    found = None
    for signer in signers:
        if signer.kind is not SignerKind.KEY:
            continue
        key = read_public_key(signer.pem)
        if any(verifies(envelope.message, one.value, key) for one in envelope.signatures):
            if exact and envelope.hint and envelope.hint not in names_of(key):
                raise BadSignature(f"names another key than {signer.name}'s, which signed it")
            found = found or signer
        elif not names_of(key).isdisjoint(envelope.names):
            raise BadSignature(f"names the key of {signer.name}, which did not make its signature")
    if found is None:
        return Vouched(None, "no signer known here made its signature")
    return found, Vouched(found.name, f"signed with the key of {found.name}")


# --- certificates --------------------------------------------------------------------------------


def _by_certificate(
    envelope: Envelope, signers: Sequence[Signer], at: dt.datetime
) -> tuple[Signer, Vouched] | Vouched:
    chain = [_certificate(der) for der in envelope.certificates]
    leaf = chain[0]
    key = read_public_key(_public_pem(leaf))
    if not any(verifies(envelope.message, one.value, key) for one in envelope.signatures):
        raise BadSignature("the certificate it brings did not make its signature")
    names = identities_of(leaf)
    shown = names[0] if names else "nobody"
    if not _may_sign(leaf):
        return Vouched(None, f"the certificate of {shown} is not for signing")
    issued = [
        signer
        for signer in signers
        if signer.kind is SignerKind.CERTIFICATE
        and _issued(read_authorities(signer.pem), chain, at)
    ]
    for signer in issued:
        for name in names:
            if name in signer.identities:
                reason = f"signed by {name}, with a certificate issued by {signer.name}"
                return signer, Vouched(signer.name, reason, name)
    through = [signer for signer in signers if signer.kind is SignerKind.SIGSTORE]
    if through and not issued:
        return _through_sigstore(envelope, chain, through)
    if issued:
        reason = f"the certificate of {shown} was issued by {issued[0].name}, but for another name"
        return Vouched(None, reason)
    reason = f"no authority known here issued a certificate for {shown} that was valid then"
    return Vouched(None, reason)


def _through_sigstore(
    envelope: Envelope, chain: Sequence[x509.Certificate], signers: Sequence[Signer]
) -> tuple[Signer, Vouched] | Vouched:
    """Look for a signer whose trusted root shows that the certificate signed while it was valid."""
    names, issuer = identities_of(chain[0]), issuer_of(chain[0]) or "nobody"
    shown = names[0] if names else "nobody"
    why = ""
    for signer in signers:
        try:
            at = signed_at(envelope, chain, read_trusted_root(signer.pem), _issued)
        except (NotProven, BadProof) as error:
            why = why or str(error)
            continue
        for name in names:
            if issuer == signer.issuer and _named(name, signer.identities):
                reason = f"signed by {name} ({issuer}), as its log says at {at:%Y-%m-%d %H:%M:%SZ}"
                return signer, Vouched(signer.name, reason, name)
        why = f"{shown}, for whom {issuer} vouches, is nobody who is believed here"
    return Vouched(None, f"the certificate of {shown}: {why}")


def _named(name: str, allowed: Iterable[str]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in allowed)


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading a certificate raises that is none, or that nobody should have issued."""
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    return (
        ValueError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def _certificate(der: bytes) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    try:
        found = x509.load_der_x509_certificate(der)
        _ = found.extensions, found.subject  # parsed when asked for
    except _unreadable():
        raise BadProof("expected an X.509 certificate in the bundle, found none") from None
    return found


def _public_pem(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- the same

    try:
        return (
            certificate.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )
    except (ValueError, UnsupportedAlgorithm):
        raise BadProof("the key of the certificate cannot be read") from None


def identities_of(certificate: x509.Certificate) -> list[str]:
    """Return the names a certificate is for: e-mail, URI, DNS; without any, its common name."""
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    try:
        names: Any = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        names = ()
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    found = [one.value for one in names if isinstance(one, kinds)]
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return found or [str(one.value) for one in common]


def _may_sign(certificate: x509.Certificate) -> bool:
    from cryptography import x509  # noqa: PLC0415 -- slow to import
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 -- the same

    held = {type(one.value): one.value for one in certificate.extensions}
    usage = held.get(x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage) and usage.digital_signature:
        return True
    extended = held.get(x509.ExtendedKeyUsage)
    return (
        isinstance(extended, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CODE_SIGNING in extended
    )


def read_authorities(pem: str) -> list[x509.Certificate]:
    """Return the certificates of authorities in PEM.

    Raises:
        BadProof: there is none, or one that is no authority's.
    """
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        held = [{type(one.value): one.value for one in each.extensions} for each in found]
    except _unreadable():
        raise BadProof("expected certificates in PEM, found something else") from None
    constraints = [one.get(x509.BasicConstraints) for one in held]
    if not all(isinstance(one, x509.BasicConstraints) and one.ca for one in constraints):
        raise BadProof("expected certificates of authorities (`CA:TRUE`), found another's")
    return found


def _issued(
    authorities: Sequence[x509.Certificate], chain: Sequence[x509.Certificate], at: dt.datetime
) -> bool:
    """Say whether one of `authorities` issued the first of `chain`, valid at `at`."""
    from cryptography.x509 import verification  # noqa: PLC0415 -- slow to import

    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(authorities)))
        .time(at.astimezone(dt.UTC).replace(tzinfo=None))
        .extension_policies(
            ca_policy=_authorities(), ee_policy=verification.ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except verification.VerificationError:
        return False
    return True


def _authorities() -> Any:
    """What every authority on the way must be: one, by its own issuer's word (`CA:TRUE`)."""
    from cryptography import x509  # noqa: PLC0415 -- slow to import
    from cryptography.x509 import verification  # noqa: PLC0415 -- the same

    return verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
    )
