"""`muniment verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muniment.client import trust
from muniment.client import verify as offline_verify
from muniment.client.attested import STEPS, registry_signer
from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, safe
from muniment.client.report import CLAIMS, Finding, Report, Standing
from muniment.client.signers import read_signers
from muniment.core.receipt import TrustedKeys
from muniment.core.signers import Signer, SignerUse

app = typer.Typer(add_completion=False)

_TITLES = {
    1: "Receipt is well formed",
    2: "Log entry is proved and signed",
    3: "Manifest is the one registered",
    4: "Files have the registered bytes",
    5: "Record is as registered (what it says is not checked)",
    6: "Files are signed",
    7: "Provenance of the files",
}
_MARKS = {
    Standing.VERIFIED: "ok",
    Standing.ASSERTED: "asserted",
    Standing.MISSING: "MISSING",
    Standing.FAILED: "FAILED",
}
_FILES_SHOWN = 20
_LACKING = 4


Signers = Annotated[
    Path | None,
    typer.Option("--signers", help="Believe these instead (`muniment signer list --json`)."),
]
SignatureFiles = Annotated[
    list[Path] | None,
    typer.Option("--signature", help="With a receipt: a signature of the files."),
]
ProvenanceFiles = Annotated[
    list[Path] | None,
    typer.Option("--provenance", help="With a receipt: provenance of the files."),
]
Require = Annotated[
    list[str] | None,
    typer.Option(help="`signature`, `provenance`: exit with 4 unless verified; may be repeated."),
]


@app.command()
def verify(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(help="NAME@VERSION, or a receipt file with `--offline`.")
    ],
    offline: Annotated[
        bool, typer.Option("--offline", help="TARGET is a receipt; use no network.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Check the files in this directory.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Trust the keys in this file (`muniment log keys --json`)."),
    ] = None,
    signers: Signers = None,
    signature: SignatureFiles = None,
    provenance: ProvenanceFiles = None,
    require: Require = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check a version in the registry, or a receipt without network.

    Says of bytes, signature, provenance and receipt whether each is verified, asserted or missing.
    Exits with 1 if anything does not hold, with 4 if only something required is not verified.
    Online, every file is read and hashed, and nothing is stored.
    """
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    for claim in require or []:
        if claim not in CLAIMS:
            raise typer.BadParameter(f"expected one of {', '.join(CLAIMS)}, found `{claim}`")
    without_network = offline or target.endswith(".json")
    if (signature or provenance) and not without_network:
        raise typer.BadParameter(
            "`--signature` and `--provenance` go with a receipt; add them as evidence"
        )
    believed = None if signers is None else read_signers(signers)
    with bars(quiet=screen.quiet) as on_progress:
        if without_network:
            trusted = trust.as_trusted(trust.read_keys(keys)) if keys else None
            report = offline_verify.verify_receipt(
                Path(target), trusted, directory=directory, on_progress=on_progress,
                attested=_attested(signature or [], provenance or [], believed or [], trusted),
            )  # fmt: skip
        else:
            with screen.client() as client:
                report = client.verify(
                    target, directory=directory, signers=believed, on_progress=on_progress
                )
    lacking = report.lacking(require or [])
    screen.result({**report.as_json(), "lacking": lacking}, *_lines(report))
    if not report.ok:
        raise typer.Exit(1)
    if lacking:
        screen.note(f"Required and not verified: {', '.join(lacking)}")
        raise typer.Exit(_LACKING)


def _attested(
    signatures: list[Path],
    provenance: list[Path],
    believed: list[Signer],
    trusted: TrustedKeys | None,
) -> offline_verify.Attested:
    files = [(SignerUse.SIGNATURE, file) for file in signatures]
    files += [(SignerUse.PROVENANCE, file) for file in provenance]
    keys = [trusted] if trusted else [trust.as_trusted(each) for each in trust.load().values()]
    registries = [_registry(each, each.record_key_der) for each in keys if each.record_key_der]
    return offline_verify.Attested(files, [*believed, *registries])


def _lines(report: Report) -> list[str]:
    lines = []
    for step in sorted({finding.step for finding in report.findings}):
        found = [finding for finding in report.findings if finding.step == step]
        lines += _step_lines(step, found)
    said = ", ".join(f"{claim} {standing}" for claim, standing in report.standings.items())
    lines.append(said[0].upper() + said[1:])
    if report.ok:
        return [*lines, f"Verified: {safe(report.subject)}"]
    first = report.failures[0]
    return [*lines, f"Not verified: step {first.step}, `{safe(first.what)}`: {safe(first.detail)}"]


def _step_lines(step: int, found: list[Finding]) -> list[str]:
    if len(found) == 1:
        only = found[0]
        mark = _MARKS[only.standing] if only.required else str(only.standing)
        return [f"{step}. {_TITLES[step]}: {mark}", f"   {safe(only.what)}: {safe(only.detail)}"]
    if step in STEPS.values():
        return [f"{step}. {_TITLES[step]}:", *(_one(finding) for finding in found)]
    good = [finding for finding in found if finding.standing is Standing.VERIFIED]
    bad = [finding for finding in found if finding.standing is not Standing.VERIFIED]
    lines = [f"{step}. {_TITLES[step]}: {len(good)} of {len(found)} ok"]
    for finding in bad:
        mark = _MARKS[finding.standing]
        lines.append(f"   {mark} `{safe(finding.what)}`: {safe(finding.detail)}")
    if not bad and len(good) <= _FILES_SHOWN:
        lines += [f"   {safe(finding.what)}: {safe(finding.detail)}" for finding in good]
    return lines


def _one(finding: Finding) -> str:
    return f"   {_MARKS[finding.standing]} {safe(finding.what)}: {safe(finding.detail)}"


def _registry(keys: TrustedKeys, record_key_der: bytes) -> Signer:
    return registry_signer(record_key_der, f"registry {keys.log_vkey.partition('+')[0]}")
