"""When a certificate that lives minutes was used, and who got it: Sigstore's, checked without a network.

A trusted root (Sigstore's `trusted_root.json`) names the keys of transparency logs, the authorities
that issue certificates, and the logs of certificates. `signed_at`, in this order:

1. A log of the root signed the entry and its time (the promise); its key was valid then.
2. If the entry comes with a proof, it is in the tree of a checkpoint that the same key signed.
3. The entry is of this very signature, by this certificate, over this payload.
4. An authority of the root, valid then, issued the certificate, which was valid then.
5. A log of certificates of the root promised to log the certificate, if the root has any.

Entries of logs that sign no time (Rekor v2) prove none here: their time stands in timestamps
(RFC 3161), which are not read.

Source: Sigstore bundle v0.1 to v0.3; Rekor v1 (dsse 0.0.1, intoto 0.0.2); Fulcio certificate
specification; RFC 6962 §3.2; C2SP signed-note.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from muniment.core.canon import canonical, from_base64, loads_strict
from muniment.core.envelope import Envelope, read_public_key, verifies
from muniment.core.errors import BadJson, BadProof
from muniment.core.merkle import leaf_hash, verify_inclusion
from muniment.core.statement import public_key_pem

if TYPE_CHECKING:
    from cryptography import x509

ROOT_MAX_BYTES: Final = 65_536
_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json"
_KEYS_MAX: Final = 64
_HASHES_MAX: Final = 64
_HINT_BYTES: Final = 4
_ISSUER_OIDS: Final = ("1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1")
_UTF8_STRING: Final = 0x0C
_LONG_FORM: Final = 0x80

#: Says whether one of some authorities issued the first of a chain, valid at a moment.
Issued = Callable[[Sequence["x509.Certificate"], Sequence["x509.Certificate"], dt.datetime], bool]


class NotProven(ValueError):
    """Nothing shows that the certificate was used while it was valid; the message says why."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A log's public key (DER), and when it may be used."""

    der: bytes
    since: dt.datetime
    until: dt.datetime | None

    def valid(self, at: dt.datetime) -> bool:
        return self.since <= at and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class _Authority:
    """An authority's certificates (DER), and when it may issue."""

    certificates: tuple[bytes, ...]
    since: dt.datetime
    until: dt.datetime | None

    def valid(self, at: dt.datetime) -> bool:
        return self.since <= at and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """Whose word is taken: logs by their id, authorities, logs of certificates by their id."""

    logs: Mapping[bytes, _Key]
    authorities: tuple[_Authority, ...]
    certificate_logs: Mapping[bytes, _Key]


def read_trusted_root(text: str) -> TrustedRoot:
    """Read a trusted root.

    Raises:
        BadProof: it is none, or has no log or no authority.
    """
    if len(text.encode()) > ROOT_MAX_BYTES:
        raise BadProof(f"expected a trusted root of at most {ROOT_MAX_BYTES} bytes, found more")
    try:
        told = loads_strict(text)
    except BadJson as error:
        raise BadProof(f"expected a trusted root in JSON: {error.message}") from None
    if not isinstance(told, dict) or not str(told.get("mediaType", "")).startswith(
        _MEDIA_TYPE.partition("+")[0]
    ):
        raise BadProof(f"expected a trusted root ({_MEDIA_TYPE};version=0.1), found something else")
    try:
        root = TrustedRoot(
            dict(_logs(told.get("tlogs", ()))),
            tuple(_authorities(told.get("certificateAuthorities", ()))),
            dict(_logs(told.get("ctlogs", ()))),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadProof(f"the trusted root cannot be read: {error!r:.200}") from None
    if not root.logs or not root.authorities:
        raise BadProof("expected at least one of `tlogs` and `certificateAuthorities`, found none")
    return root


def _logs(told: Sequence[Any]) -> Iterator[tuple[bytes, _Key]]:
    for one in told[:_KEYS_MAX]:
        key = one["publicKey"]
        der = from_base64(key["rawBytes"])
        since, until = _valid_for(key.get("validFor") or {})
        yield from_base64(one["logId"]["keyId"]), _Key(der, since, until)


def _authorities(told: Sequence[Any]) -> Iterator[_Authority]:
    for one in told[:_KEYS_MAX]:
        listed = one["certChain"]["certificates"]
        since, until = _valid_for(one.get("validFor") or {})
        yield _Authority(tuple(from_base64(each["rawBytes"]) for each in listed), since, until)


def _valid_for(told: Mapping[str, str]) -> tuple[dt.datetime, dt.datetime | None]:
    since, until = told.get("start"), told.get("end")
    return (
        dt.datetime.min.replace(tzinfo=dt.UTC) if since is None else _time(since),
        None if until is None else _time(until),
    )


def _time(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found.astimezone(dt.UTC)


# --- entries of the log --------------------------------------------------------------------------


def signed_at(
    envelope: Envelope, chain: Sequence[x509.Certificate], root: TrustedRoot, issued: Issued
) -> dt.datetime:
    """Return when a log says that the first of `chain` signed an envelope: it was valid then.

    That the certificate's key made the signature is the caller's to know.

    Raises:
        NotProven: nothing shows it.
    """
    if not envelope.entries:
        raise NotProven("it brings no entry of a transparency log")
    wrong: list[str] = []
    for entry in envelope.entries:
        try:
            at = _promised(entry, root)
            _included(entry, root)
            _is_of(envelope, chain[0], from_base64(entry.get("canonicalizedBody")))
        except NotProven as error:
            wrong.append(str(error))
        except (BadProof, BadJson) as error:
            wrong.append(f"its entry of the log does not hold: {error.message}")
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            wrong.append("its entry of the log cannot be read")
        else:
            _check_issued(chain, root, at, issued)
            return at
    raise NotProven(wrong[0])


def _log_of(entry: Mapping[str, Any], root: TrustedRoot) -> tuple[bytes, _Key]:
    log_id = from_base64(entry["logId"]["keyId"])
    key = root.logs.get(log_id)
    if key is None:
        raise NotProven("its entry is of a log that the trusted root does not name")
    return log_id, key


def _promised(entry: Mapping[str, Any], root: TrustedRoot) -> dt.datetime:
    """The time that the log signed with the entry (rule 1)."""
    log_id, key = _log_of(entry, root)
    promise = (entry.get("inclusionPromise") or {}).get("signedEntryTimestamp")
    seconds = int(entry.get("integratedTime") or 0)
    if promise is None or seconds <= 0:
        raise NotProven("its log signed no time, and timestamps are not read here")
    signed = {
        "body": entry["canonicalizedBody"],
        "integratedTime": seconds,
        "logID": log_id.hex(),
        "logIndex": int(entry["logIndex"]),
    }
    if not _verifies(canonical(signed), from_base64(promise), key):
        raise NotProven("the log did not sign the entry it brings")
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    if not key.valid(at):
        raise NotProven("the log's key was not valid when it signed the entry")
    return at


def _verifies(message: bytes, signature: bytes, key: _Key) -> bool:
    return verifies(message, signature, read_public_key(public_key_pem(key.der)))


def _included(entry: Mapping[str, Any], root: TrustedRoot) -> None:
    """Accept a proof of inclusion, if there is one (rule 2)."""
    proof = entry.get("inclusionProof")
    if proof is None:
        return
    _, key = _log_of(entry, root)
    size, tree = int(proof["treeSize"]), from_base64(proof["rootHash"])
    note = proof["checkpoint"]["envelope"]
    text, gap, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not gap or lines[1] != str(size) or from_base64(lines[2]) != tree:
        raise NotProven("the log's checkpoint is of another tree than the proof")
    made = (base64.b64decode(line.rpartition(" ")[2])[_HINT_BYTES:] for line in _lines(signatures))
    if not any(_verifies(f"{text}\n".encode(), one, key) for one in made):
        raise NotProven("the log did not sign the checkpoint of the proof")
    listed = proof.get("hashes") or []
    if len(listed) > _HASHES_MAX:
        raise NotProven("the proof has too many hashes")
    body = from_base64(entry["canonicalizedBody"])
    hashes = [from_base64(each) for each in listed]
    verify_inclusion(leaf_hash(body), int(proof.get("logIndex") or 0), size, hashes, tree)


def _lines(signatures: str) -> list[str]:
    return [line for line in signatures.split("\n") if line.startswith("\u2014 ")][:_KEYS_MAX]


def _is_of(envelope: Envelope, leaf: x509.Certificate, body: bytes) -> None:
    """Accept the body of an entry that is of this envelope, by this certificate (rule 3)."""
    told = json.loads(body)
    kind = told.get("kind"), told.get("apiVersion")
    if kind == ("dsse", "0.0.1"):
        spec = told["spec"]
        made = [(from_base64(one["signature"]), one["verifier"]) for one in spec["signatures"]]
    elif kind == ("intoto", "0.0.2"):
        spec = told["spec"]["content"]
        made = [
            (from_base64(from_base64(one["sig"]).decode()), one["publicKey"])
            for one in spec["envelope"]["signatures"]
        ]
    else:
        raise NotProven(f"its entry is of a kind that is not read here ({kind[0]!r:.40})")
    payload = spec["payloadHash"]
    if (payload["algorithm"], payload["value"]) != (
        "sha256",
        hashlib.sha256(envelope.payload).hexdigest(),
    ):
        raise NotProven("its entry of the log is of another statement")
    wanted = {one.value for one in envelope.signatures}
    if {signature for signature, _ in made} != wanted:
        raise NotProven("its entry of the log is of another signature")
    if any(_certificate(from_base64(pem)) != leaf for _, pem in made):
        raise NotProven("its entry of the log is of another certificate")


def _certificate(pem: bytes) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    return x509.load_pem_x509_certificate(pem)


# --- certificates --------------------------------------------------------------------------------


def _check_issued(
    chain: Sequence[x509.Certificate], root: TrustedRoot, at: dt.datetime, issued: Issued
) -> None:
    """Accept a certificate that an authority issued and that was promised to be logged (rules 4, 5)."""
    from cryptography import x509  # noqa: PLC0415 -- slow to import

    for authority in root.authorities:
        if not authority.valid(at):
            continue
        try:
            held = [x509.load_der_x509_certificate(each) for each in authority.certificates]
        except ValueError:
            continue
        if issued(held, chain, at):
            if root.certificate_logs and not _logged(chain[0], held, root):
                raise NotProven("no log of the trusted root promised to log its certificate")
            return
    raise NotProven("no authority of the trusted root issued its certificate, valid when it signed")


def _logged(
    leaf: x509.Certificate, authorities: Sequence[x509.Certificate], root: TrustedRoot
) -> bool:
    """Say whether a log of certificates promised to log this one. Source: RFC 6962 §3.2."""
    from cryptography import x509  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- the same

    try:
        promises: Any = leaf.extensions.get_extension_for_class(
            x509.PrecertificateSignedCertificateTimestamps
        ).value
    except x509.ExtensionNotFound:
        return False
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    tbs = leaf.tbs_precertificate_bytes
    for issuer in (one for one in authorities if one.subject == leaf.issuer):
        key_hash = hashlib.sha256(issuer.public_key().public_bytes(*form)).digest()
        for one in promises:
            key = root.certificate_logs.get(one.log_id)
            at = one.timestamp.replace(tzinfo=dt.UTC)
            milliseconds = round(at.timestamp() * 1000)
            message = (
                struct.pack(">BBQH32s", 0, 0, milliseconds, 1, key_hash)
                + len(tbs).to_bytes(3, "big") + tbs
                + len(one.extension_bytes).to_bytes(2, "big") + one.extension_bytes
            )  # fmt: skip
            if key is not None and key.valid(at) and _verifies(message, one.signature, key):
                return True
    return False


def issuer_of(certificate: x509.Certificate) -> str | None:
    """Return who vouched for whoever got a certificate of Fulcio: the issuer of their ID token."""
    held = {one.oid.dotted_string: one.value for one in certificate.extensions}
    for oid in _ISSUER_OIDS:
        raw = getattr(held.get(oid), "value", None)
        if isinstance(raw, bytes):
            try:
                return (_utf8(raw) if oid == _ISSUER_OIDS[0] else raw).decode()
            except (ValueError, IndexError):
                return None
    return None


def _utf8(raw: bytes) -> bytes:
    """The content of a DER UTF8String, whose length may be written in one byte or in more."""
    if raw[0] != _UTF8_STRING:
        raise ValueError("no UTF8String")
    size, at = raw[1], 2
    if size & _LONG_FORM:
        at += size & ~_LONG_FORM
        size = int.from_bytes(raw[2:at], "big")
    if len(raw) != at + size:
        raise ValueError("another length")
    return raw[at:]
