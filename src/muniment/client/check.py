"""Online verification of a version: its receipt, its manifest, its files.

Steps, in order:

1. the registry shows the version and a receipt for it;
2. the receipt proves, under the trusted log key, that the registration is in the log;
3. the registration binds the manifest that the registry shows;
4. every file has the bytes of the manifest;
5. what the registry shows of the version is what was registered, by the log's own record;
   whether it is true is another matter: metadata is asserted, not verified;
6. signatures of the files, and
7. their provenance, judged here by the signers the registry lists, or by others that are given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.client import trust
from muniment.client.attested import check_recorded
from muniment.client.download import RECEIVERS, file_path
from muniment.client.manifests import ManifestFile
from muniment.client.progress import Meter, OnProgress
from muniment.client.receipts import PATIENCE
from muniment.client.records import LogKeys, Version
from muniment.client.report import Finding, Report, Standing
from muniment.client.verify import check_files, check_manifest, check_proof, failed, parse_receipt
from muniment.client.verify import proved as proved_entry
from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.core.errors import DigestMismatch, LogBusy, MunimentError, NotAllowed, NotFound

#: What never changes of a version, besides its manifest.
_FIXED = (
    "number",
    "size_bytes",
    "file_count",
    "formats",
    "executable",
    "metadata",
    "metrics_at_registration",
)

if TYPE_CHECKING:
    from muniment.client.client import Client
    from muniment.core.receipt import Verified
    from muniment.core.signers import Signer


def check_version(
    client: Client,
    ref: str,
    *,
    directory: Path | None = None,
    files: bool = True,
    signers: Sequence[Signer] | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Check one version; `files` False leaves steps 4, 6 and 7 out. Failures are in the report.

    Raises:
        NotFound: there is no such version.
        LogInconsistent: the registry shows another log key than the one trusted here.
    """
    version = client.versions.get(ref)
    findings, verified = _check_entry(client, version)
    try:
        listed = client.artifacts.manifest(version)
    except MunimentError as error:
        return Report(version.ref, (*findings, failed(3, "manifest", error)))
    if verified:
        findings.append(check_manifest(listed, verified))
    if directory is not None:
        findings += check_files(listed, directory, on_progress)
    elif files:
        findings += _check_remote(client, version, listed, on_progress)
    if verified:
        findings.append(_check_record(version, verified))
    if files or directory is not None:
        findings += check_recorded(client, version, listed, signers, _record_key(client))
    return Report(version.ref, tuple(findings))


def _was_named(client: Client, version: Version, verified: Verified) -> bool:
    """Say whether the entry is of this version, under a name its asset had before it was renamed."""
    subject = verified.entry["subject"]
    asset, _, number = version.ref.rpartition("@")
    inside = "" if version.namespace == "default" else f"{version.namespace}/"
    former = client.assets.get(asset).former_names
    names = {f"{inside}{name}@{number}" for name in former}
    return bool(subject["id"] == version.id and subject["name"] in names)


def trusted_keys(client: Client) -> tuple[LogKeys, bool]:
    """Return the log keys trusted for this registry, and whether they became so just now.

    Raises:
        LogInconsistent: the registry now shows others.
    """
    known = trust.load().get(client.url)
    try:
        shown = client.log.keys()
    except MunimentError:
        if known is None:
            raise
        return known, False
    return shown, trust.pin(client.url, shown)


def _record_key(client: Client) -> bytes | None:
    """Return the record key trusted for this registry, None if none is."""
    known = trust.load().get(client.url)
    return None if known is None else trust.as_trusted(known).record_key_der


def _check_entry(client: Client, version: Version) -> tuple[list[Finding], Verified | None]:
    try:
        keys, new = trusted_keys(client)
    except NotAllowed as error:
        unknown = f"no log key is trusted for {client.url}: {error.message}"
        return [Finding(1, "log key", Standing.MISSING, unknown, error)], None
    try:
        receipt = parse_receipt(client.versions.receipt(version, wait=PATIENCE))
    except (NotFound, LogBusy) as error:
        return [Finding(1, "receipt", Standing.MISSING, error.message, error)], None
    except MunimentError as error:
        return [failed(1, "receipt", error)], None
    first = " (key trusted from now on)" if new else ""
    findings = [Finding(1, "receipt", Standing.VERIFIED, f"well formed{first}")]
    try:
        verified = check_proof(receipt, trust.as_trusted(keys))
    except MunimentError as error:
        return [*findings, failed(2, "log entry", error)], None
    findings.append(proved_entry(verified))
    named = verified.entry["subject"]["name"]
    if named != version.ref and not _was_named(client, version, verified):
        other = DigestMismatch(f"the receipt is of {named}, expected {version.ref}")
        return [*findings, failed(2, "log entry", other)], None
    return findings, verified


def _check_record(version: Version, verified: Verified) -> Finding:
    """Compare what the registry shows of a version with what the log says was registered."""
    logged = (verified.payload or {}).get("version")
    if not isinstance(logged, dict):
        return Finding(5, "record", Standing.ASSERTED, "the log's record of it was erased")
    shown = version.as_json()
    other = [name for name in _FIXED if canonical(shown[name]) != canonical(logged.get(name))]
    if other:
        message = (
            f"{', '.join(f'`{name}`' for name in other)} differ from what was registered:"
            " run `muniment fsck` there"
        )
        return failed(5, "record", DigestMismatch(message, extra={"fields": other}))
    said = f"as registered: {len(version.metadata)} metadata fields, which nobody here checked"
    return Finding(5, "record", Standing.ASSERTED, said)


def _check_remote(
    client: Client,
    version: Version,
    files: Sequence[ManifestFile],
    on_progress: OnProgress | None,
) -> list[Finding]:
    total = sum(file.size_bytes for file in files)
    meter = Meter("verify", len(files), total, on_progress)

    def check(file: ManifestFile) -> Finding:
        try:
            found = _remote_digest(client, version, file, meter)
        except NotFound as error:
            return Finding(4, file.path, Standing.MISSING, error.message, error)
        except MunimentError as error:
            return failed(4, file.path, error)
        meter.add_file()
        if found == file.digest:
            return Finding(4, file.path, Standing.VERIFIED, str(found))
        message = f"should be {file.digest}, found {found}"
        return failed(4, file.path, DigestMismatch(message, extra={"path": file.path}))

    with ThreadPoolExecutor(RECEIVERS, "muniment-verify") as pool:
        return list(pool.map(check, files))


def _remote_digest(client: Client, version: Version, file: ManifestFile, meter: Meter) -> Digest:
    hasher = hashlib.sha256()
    with client.transport.stream(file_path(version, file.path), {}) as response:
        for chunk in response.iter_raw():
            hasher.update(chunk)
            meter.add_bytes(len(chunk))
    return Digest(hasher.digest())
