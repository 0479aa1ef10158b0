"""Offline verification: a receipt, a directory, and trusted keys; no registry, no network.

    from muniment import verify

    report = verify.verify_receipt("fraud-detector.receipt.json", directory="./model")
    report.raise_if_failed()

Steps, in order:

1. the receipt is well formed;
2. its proof, checkpoint and signatures hold under a trusted key (`core.receipt`);
3. the manifest beside it is the one the entry binds;
4. the files in the directory are those of the manifest, all of them and no others;
6. signatures of the files, and
7. their provenance, in files that are given, judged by signers that are given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muniment.client import trust
from muniment.client.attested import STEPS, check_files_given
from muniment.client.files import LocalFile, digest_of_file, find_files
from muniment.client.manifests import ManifestFile, digest_of_manifest, read_manifest
from muniment.client.progress import Meter, OnProgress
from muniment.client.report import Finding, Report, Standing
from muniment.core.attested import Model
from muniment.core.errors import BadProof, BadSignature, DigestMismatch, MunimentError
from muniment.core.receipt import Receipt, TrustedKeys, Verified
from muniment.core.receipt import verify as verify_proof
from muniment.core.signers import Signer, SignerUse

#: A receipt as a file, as bytes, or as JSON values.
ReceiptSource = str | os.PathLike[str] | bytes | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attested:
    """Signatures and provenance in files, each with what it must be, and the signers believed."""

    files: Sequence[tuple[SignerUse, Path]]
    signers: Sequence[Signer]


_MAX_RECEIPT_BYTES = 64 * 1024 * 1024

__all__ = [
    "Attested",
    "Finding",
    "Report",
    "Standing",
    "check_files",
    "check_proof",
    "verify_receipt",
]


def verify_receipt(
    receipt: ReceiptSource,
    trusted: TrustedKeys | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    attested: Attested | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Check a receipt and, if given, the files it is about. Never raises for what does not hold.

    Without `trusted`, the keys kept on this machine are tried (`muniment log keys --save`).
    `attested` are signatures and provenance, and by whom they are judged; the registry that wrote
    the receipt is a signer too, by its record key.
    """
    name = "receipt" if isinstance(receipt, bytes | Mapping) else str(receipt)
    try:
        value = read_json(receipt)
        parsed = parse_receipt(value)
    except MunimentError as error:
        return Report(name, (failed(1, "receipt", error),))
    read = Finding(1, "receipt", Standing.VERIFIED, "well formed")
    try:
        verified = check_proof(parsed, trusted)
    except MunimentError as error:
        return Report(name, (read, failed(2, "log entry", error)))
    at = Path(directory) if directory is not None else None
    content, files = _check_content(value.get("manifest"), verified, at, on_progress)
    name = str(verified.entry["subject"]["name"])
    more = _check_attested(attested, name, files)
    return Report(name, (read, proved(verified), *content, *more))


def _check_attested(
    attested: Attested | None, name: str, files: list[ManifestFile] | None
) -> list[Finding]:
    if attested is None:
        return []
    if files is None:
        without = BadProof("no manifest to compare with: give the files with `--dir`")
        return [failed(STEPS[use], str(file), without) for use, file in attested.files]
    model = Model(name, digest_of_manifest(files), {file.path: file.digest for file in files})
    return check_files_given(attested.files, model, attested.signers)


def parse_receipt(value: Mapping[str, Any]) -> Receipt:
    """Read a receipt, leaving out the manifest that `muniment` keeps beside it.

    Raises:
        BadProof: it is malformed.
    """
    return Receipt.parse({name: each for name, each in value.items() if name != "manifest"})


def check_proof(receipt: Receipt, trusted: TrustedKeys | None = None) -> Verified:
    """Return the entry a receipt proves under `trusted`, or under any key kept on this machine.

    Raises:
        BadSignature: a signature does not hold, or no key is trusted here.
        BadProof: the entry is not in the tree that was signed.
    """
    tried = [trusted] if trusted else [trust.as_trusted(keys) for keys in trust.load().values()]
    failure: MunimentError = BadSignature(
        "no log key is trusted on this machine: run `muniment log keys --save` while the registry"
        " can be reached, or give one with `--keys FILE`"
    )
    for keys in tried:
        try:
            return verify_proof(receipt, keys)
        except MunimentError as error:
            failure = error
    raise failure


def proved(verified: Verified) -> Finding:
    """Say what a checked receipt proves."""
    entry = verified.entry
    detail = (
        f"`{entry['act']}` of {entry['subject']['name']} at {entry['time']}: entry"
        f" {verified.index} of {verified.tree_size}, signed by {verified.checkpoint.origin}"
        f"{' and the record key' if verified.signed else ''}"
    )
    return Finding(2, "log entry", Standing.VERIFIED, detail)


def check_manifest(files: list[ManifestFile], verified: Verified) -> Finding:
    """Say whether the proved entry binds the manifest of `files`."""
    found = str(digest_of_manifest(files))
    # Other acts name digests too; nobody signs for those.
    bound = verified.entry["digests"] if verified.entry["act"] == "version.register" else []
    if found in bound:
        return Finding(3, "manifest", Standing.VERIFIED, found)
    wanted = ", ".join(bound) or "nothing"
    return failed(3, "manifest", DigestMismatch(f"the entry binds {wanted}, found {found}"))


def check_files(
    files: Iterable[ManifestFile],
    directory: Path,
    on_progress: OnProgress | None = None,
) -> list[Finding]:
    """Compare every file of a manifest with `directory`; files that are in neither fail too."""
    expected = {file.path: file for file in files}
    try:
        present = {file.path: file for file in find_files(directory)}
    except MunimentError as error:
        return [failed(4, str(directory), error)]
    total = sum(file.size_bytes for file in expected.values())
    meter = Meter("verify", len(expected), total, on_progress)
    findings = [_check_file(file, present.get(path), meter) for path, file in expected.items()]
    strays = sorted(present.keys() - expected.keys())
    stray = "is not part of this version; remove it"
    return findings + [_mismatch(path, stray) for path in strays]


def failed(step: int, what: str, error: MunimentError) -> Finding:
    """Say that a step does not hold, and why."""
    return Finding(step, what, Standing.FAILED, error.message, error)


def read_json(receipt: ReceiptSource) -> dict[str, Any]:
    """Read a receipt's JSON.

    Raises:
        BadProof: the file cannot be read, or it is not a JSON object.
    """
    if isinstance(receipt, Mapping):
        return dict(receipt)
    try:
        if not isinstance(receipt, bytes):
            with Path(receipt).open("rb") as file:
                receipt = file.read(_MAX_RECEIPT_BYTES)
        value = json.loads(receipt)
    except (OSError, ValueError, RecursionError) as error:
        raise BadProof(f"the receipt cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise BadProof("expected a receipt (a JSON object), found something else")
    return value


def _check_content(
    manifest: Any, verified: Verified, directory: Path | None, on_progress: OnProgress | None
) -> tuple[list[Finding], list[ManifestFile] | None]:
    """Check manifest and files; return what was found, and the manifest if it is the one bound."""
    try:
        if manifest is not None:
            files = read_manifest(manifest, None)
        elif directory is not None:
            files = _manifest_of(directory)
        else:
            return [], None
    except MunimentError as error:
        return [failed(3, "manifest", error)], None
    bound = check_manifest(files, verified)
    if bound.standing is not Standing.VERIFIED:
        return [bound], None
    if directory is None:
        return [bound], files
    return [bound, *check_files(files, directory, on_progress)], files


def _manifest_of(directory: Path) -> list[ManifestFile]:
    return [
        ManifestFile(file.path, file.size_bytes, digest_of_file(file))
        for file in find_files(directory)
    ]


def _check_file(file: ManifestFile, local: LocalFile | None, meter: Meter) -> Finding:
    if local is None:
        return Finding(4, file.path, Standing.MISSING, "is not there; download it again")
    if local.size_bytes != file.size_bytes:
        detail = f"should have {file.size_bytes} bytes, found {local.size_bytes}"
        return _mismatch(file.path, detail)
    found = digest_of_file(local, meter.add_bytes)
    meter.add_file()
    if found != file.digest:
        return _mismatch(file.path, f"should be {file.digest}, found {found}")
    return Finding(4, file.path, Standing.VERIFIED, str(found))


def _mismatch(path: str, detail: str) -> Finding:
    error = DigestMismatch(f"`{path}` {detail}", extra={"path": path})
    return Finding(4, path, Standing.FAILED, detail, error)
