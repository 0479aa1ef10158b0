"""`muniment scrub`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import typer

from muniment.client.cli.screen import Json, Screen, amount, fields, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.storage import Scrub, ScrubPass

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="How stored bytes are read again on a schedule.",
)


@app.callback()
def _scrub() -> None:
    """Keep `status` a subcommand while it is the only one."""


@app.command()
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """Show the last full pass over all stored bytes, and what is missing or changed.

    Exits with 1 while anything is.
    """
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.storage.scrub()
    screen.result(found, *_shown(found))
    raise typer.Exit(1 if found.findings else 0)


def _shown(found: Scrub) -> list[RenderableType]:
    shown: list[RenderableType] = [
        fields(
            [
                ("Last full pass", _full(found.last_full_pass)),
                ("Under way", _part(found.under_way)),
                ("Every", f"{dt.timedelta(seconds=found.period_seconds)}"),
            ]
        )
    ]
    if not found.findings:
        return [*shown, "every blob read so far is what it was"]
    rows = [
        (one.problem, one.needed_for or "no version", one.found_at, f"sha256:{one.sha256}")
        for one in found.findings
    ]
    shown.append(table(("Problem", "Needed for", "Found", "Blob"), rows))
    if found.more_findings:
        shown.append("there are more: these are the oldest")
    shown.append("put each file back from its origin or a backup: its digest says which one")
    return shown


def _full(one: ScrubPass | None) -> str:
    if one is None:
        return "none yet"
    wrong = f", {one.finding_count} wrong" if one.finding_count else ""
    ended = f"{one.finished_at:%Y-%m-%d %H:%M:%SZ}" if one.finished_at else ""
    return f"{ended}: {one.blob_count} blobs, {amount(one.size_bytes)} read{wrong}"


def _part(one: ScrubPass | None) -> str:
    if one is None:
        return ""
    wrong = f", {one.finding_count} wrong" if one.finding_count else ""
    read = f"{amount(one.size_bytes)} of {amount(one.held_bytes)}"
    return f"since {one.started_at:%Y-%m-%d %H:%M:%SZ}: {one.blob_count} blobs, {read} read{wrong}"
