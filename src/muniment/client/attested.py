"""Steps 6 and 7 of a verification: who signed the files, and who says where they came from.

Each file is judged anew, here, by the signers believed here; what the registry recorded of it is not
relied on. Files are verified, asserted or, where none is there, missing; nothing fails for want of
one, unless it was asked for (`Report.require`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from muniment.client.manifests import ManifestFile
from muniment.client.report import Finding, Standing
from muniment.client.signers import as_signers
from muniment.core.attested import Judged, Model, judge, use_of
from muniment.core.canon import loads_strict
from muniment.core.digest import Digest, digest_of
from muniment.core.envelope import is_envelope, read_envelope
from muniment.core.errors import BadProof, MunimentError
from muniment.core.signers import Signer, SignerKind, SignerUse
from muniment.core.statement import public_key_pem

if TYPE_CHECKING:
    from muniment.client.client import Client
    from muniment.client.records import Version

#: The step in which each kind of evidence is looked at.
STEPS: Final = {SignerUse.SIGNATURE: 6, SignerUse.PROVENANCE: 7}
_MAX_BYTES: Final = 64 << 20


def registry_signer(record_key_der: bytes, name: str = "registry") -> Signer:
    """Return the registry itself as a signer of models, by its record key."""
    pem = public_key_pem(record_key_der)
    return Signer(name=name, kind=SignerKind.KEY, pem=pem, uses=frozenset({SignerUse.SIGNATURE}))


def check_recorded(
    client: Client,
    version: Version,
    files: Sequence[ManifestFile],
    signers: Sequence[Signer] | None,
    record_key_der: bytes | None,
) -> list[Finding]:
    """Judge the signatures and provenance recorded of a version.

    Without `signers` they are those the registry lists, and the registry itself.
    """
    try:
        known = as_signers(client.signers.list_()) if signers is None else list(signers)
    except MunimentError as error:
        return [_absent(use, f"no signers can be had: {error.message}") for use in STEPS]
    if record_key_der is not None:
        known.append(registry_signer(record_key_der))
    manifest = Digest.parse(version.manifest_digest)
    model = Model(version.ref, manifest, {file.path: file.digest for file in files})
    findings = []
    for use in STEPS:
        findings += _check_kind(client, version, use, model, known)
    return findings


def _check_kind(
    client: Client, version: Version, use: SignerUse, model: Model, signers: Sequence[Signer]
) -> list[Finding]:
    try:
        listed = client.evidence.of_version(version, kind=use.value)
    except MunimentError as error:
        return [_absent(use, f"no evidence can be had: {error.message}")]
    findings = {}
    for each in listed:  # one file may be there twice: as it was, and as it was judged again
        if each.digest in findings:
            continue
        try:
            data = client.evidence.read_file(version, each)
        except MunimentError as error:
            findings[each.digest] = _failed(use, each.file_name, error)
            continue
        at = each.recorded_at or dt.datetime.now(dt.UTC)
        findings[each.digest] = check_attested(data, each.file_name, model, signers, at=at, use=use)
    return list(findings.values()) or [_absent(use, f"no {use.value} is recorded")]


def check_files_given(
    given: Sequence[tuple[SignerUse, Path]], model: Model, signers: Sequence[Signer]
) -> list[Finding]:
    """Judge signatures and provenance in files on this machine; say what no file was given of.

    Certificates must be valid now: nobody here knows when they were used.
    """
    findings = []
    for use in STEPS:
        files = [file for kind, file in given if kind is use]
        findings += [_check_file(use, file, model, signers) for file in files]
        if not files:
            findings.append(_absent(use, f"no {use.value} was given"))
    return findings


def _check_file(use: SignerUse, file: Path, model: Model, signers: Sequence[Signer]) -> Finding:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES)
    except OSError as error:
        return _failed(use, str(file), BadProof(f"cannot be read: {error}"))
    return check_attested(data, str(file), model, signers, at=dt.datetime.now(dt.UTC), use=use)


def check_attested(
    data: bytes,
    name: str,
    model: Model,
    signers: Sequence[Signer],
    *,
    at: dt.datetime,
    use: SignerUse,
) -> Finding:
    """Judge one signature or provenance, the file called `name`."""
    try:
        judged = _judged(data, model, signers, at, use)
    except MunimentError as error:
        return _failed(use, name, error)
    standing = Standing.VERIFIED if judged.verified else Standing.ASSERTED
    return Finding(STEPS[use], name, standing, judged.reason)


def _judged(
    data: bytes, model: Model, signers: Sequence[Signer], at: dt.datetime, use: SignerUse
) -> Judged:
    value = loads_strict(data, max_bytes=_MAX_BYTES)
    envelope = read_envelope(value) if is_envelope(value) else None
    statement = value
    if envelope is not None:
        statement = loads_strict(envelope.payload, max_bytes=_MAX_BYTES)
    if not isinstance(statement, dict) or use_of(statement) is not use:
        raise BadProof(f"expected a {use.value} in it, found something else")
    return judge(statement, envelope, model, signers, at=at, file=digest_of(data))


def _absent(use: SignerUse, detail: str) -> Finding:
    return Finding(STEPS[use], use.value, Standing.MISSING, detail, required=False)


def _failed(use: SignerUse, what: str, error: MunimentError) -> Finding:
    return Finding(STEPS[use], what, Standing.FAILED, error.message, error)
