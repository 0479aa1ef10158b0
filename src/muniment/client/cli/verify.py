"""`muniment verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muniment.client import trust
from muniment.client import verify as offline_verify
from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, safe
from muniment.client.report import Finding, Report, Standing

app = typer.Typer(add_completion=False)

_TITLES = {
    1: "Receipt is well formed",
    2: "Log entry is proved and signed",
    3: "Manifest is the one registered",
    4: "Files have the registered bytes",
    5: "Record is as registered (what it says is not checked)",
}
_MARKS = {
    Standing.VERIFIED: "ok",
    Standing.ASSERTED: "asserted",
    Standing.MISSING: "MISSING",
    Standing.FAILED: "FAILED",
}
_FILES_SHOWN = 20


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
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check a version in the registry, or a receipt without network; exits with 1 if it fails.

    Online, every file is read and hashed, and nothing is stored.
    """
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    with bars(quiet=screen.quiet) as on_progress:
        if offline or target.endswith(".json"):
            trusted = trust.as_trusted(trust.read_keys(keys)) if keys else None
            report = offline_verify.verify_receipt(
                Path(target), trusted, directory=directory, on_progress=on_progress
            )
        else:
            with screen.client() as client:
                report = client.verify(target, directory=directory, on_progress=on_progress)
    screen.result(report.as_json(), *_lines(report))
    if not report.ok:
        raise typer.Exit(1)


def _lines(report: Report) -> list[str]:
    lines = []
    for step in sorted({finding.step for finding in report.findings}):
        found = [finding for finding in report.findings if finding.step == step]
        lines += _step_lines(step, found)
    if report.ok:
        return [*lines, f"Verified: {safe(report.subject)}"]
    first = report.failures[0]
    return [*lines, f"Not verified: step {first.step}, `{safe(first.what)}`: {safe(first.detail)}"]


def _step_lines(step: int, found: list[Finding]) -> list[str]:
    if len(found) == 1:
        only = found[0]
        mark = _MARKS[only.standing]
        return [f"{step}. {_TITLES[step]}: {mark}", f"   {safe(only.what)}: {safe(only.detail)}"]
    good = [finding for finding in found if finding.standing is Standing.VERIFIED]
    bad = [finding for finding in found if finding.standing is not Standing.VERIFIED]
    lines = [f"{step}. {_TITLES[step]}: {len(good)} of {len(found)} ok"]
    for finding in bad:
        mark = _MARKS[finding.standing]
        lines.append(f"   {mark} `{safe(finding.what)}`: {safe(finding.detail)}")
    if not bad and len(good) <= _FILES_SHOWN:
        lines += [f"   {safe(finding.what)}: {safe(finding.detail)}" for finding in good]
    return lines
