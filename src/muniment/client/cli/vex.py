"""`muniment vex`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, safe, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.vulnerabilities import VexStatement

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Say which vulnerabilities do not matter, and why.",
)

Ref = Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")]


@app.command()
def add(
    ctx: typer.Context,
    ref: Ref,
    file: Annotated[Path, typer.Argument(help="OpenVEX, or CycloneDX without components.")],
    expires: Annotated[
        dt.datetime | None,
        typer.Option(
            "--expires",
            help="Until when it holds, in UTC; 90 days if not said, at most 366.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it is about; record nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a VEX document to a version: kept as it is, as evidence, until it ends."""
    screen = Screen(ctx, as_json=as_json)
    at = None if expires is None else expires.replace(tzinfo=dt.UTC)
    with screen.client() as client:
        done = client.vulnerabilities.add_vex(ref, file, expires_at=at, dry_run=dry_run)
        add_names(client, (one.added_by for one in done.items))
    screen.result(done.as_json(), *_shown(done.items))
    if any(not one.about for one in done.items):
        screen.note("Some statements are about nothing that is found in this version now")


@app.command("list")
def list_(ctx: typer.Context, ref: Ref, as_json: Json = False) -> None:
    """List what was said of a version's vulnerabilities, the last first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.vulnerabilities.vex(ref)
        add_names(client, (one.added_by for one in found))
    hint = f"Nothing was said. Add a document: `muniment vex add {ref} FILE`"
    screen.result([one.as_json() for one in found], *(_shown(found) if found else [hint]))


def _shown(found: list[VexStatement]) -> list[RenderableType]:
    rows = [
        (
            one.names[0],
            one.status,
            safe(one.justification or one.detail),
            safe(one.author),
            one.added_by.get("name") or one.added_by.get("id"),
            str(one.expires_at)[:16] if one.holds else "over",
            ", ".join(safe(each) for each in one.about),
        )
        for one in found
    ]
    return [table(("Vulnerability", "Status", "Why", "Author", "Added by", "Until", "About"), rows)]
