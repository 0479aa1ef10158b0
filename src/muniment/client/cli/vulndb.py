"""`muniment vulndb`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, amount, fields, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.vulnerabilities import DatabaseImport, VulnerabilityDatabase

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Import vulnerability databases."
)


@app.command("import")
def import_(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="An ecosystem's all.zip, a directory of OSV records, or KEV.")
    ],
    ecosystem: Annotated[
        str | None, typer.Option("--ecosystem", help="OSV's name of it, such as PyPI or npm.")
    ] = None,
    kev: Annotated[
        bool, typer.Option("--kev", help="PATH is CISA's known_exploited_vulnerabilities.json.")
    ] = False,
    dated: Annotated[
        dt.datetime | None,
        typer.Option(
            "--dated",
            help="When it was published, in UTC; else its newest record's.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="Go back behind the snapshot that is there.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the import.")
    ] = 3600.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Import a snapshot of a vulnerability database, whole or not at all. May be repeated."""
    if (ecosystem is None) == (not kev):
        raise typer.BadParameter("say what it is: `--ecosystem NAME`, or `--kev`; not both")
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    at = None if dated is None else dated.replace(tzinfo=dt.UTC)

    def told(state: DatabaseImport) -> None:
        if state.total_count and state.state == "due":
            screen.note(f"Read {state.read_count} of {state.total_count} records")

    with screen.client() as client, bars(quiet=screen.quiet) as on_progress:
        done = client.vulnerabilities.import_database(
            path, "KEV" if kev else str(ecosystem), dated_at=at, older=older, timeout=wait,
            on_progress=on_progress, told=told,
        )  # fmt: skip
    screen.result(done.as_json(), _shown(done))


@app.command("list")
def list_(
    ctx: typer.Context,
    ecosystem: Annotated[str | None, typer.Option("--ecosystem", help="Only of this.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those before the newest too.")] = False,
    as_json: Json = False,
) -> None:
    """List the newest snapshot of each vulnerability database."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.vulnerabilities.databases(ecosystem=ecosystem, every=every)
    rows = [
        (each.id, each.ecosystem, each.number, each.dated_at, each.record_count, each.digest[:19])
        for each in found
    ]
    shown = (
        table(("Id", "Ecosystem", "No", "Of", "Records", "Digest"), rows)
        if rows
        else "No database yet. Import one: `muniment vulndb import all.zip --ecosystem PyPI`"
    )
    screen.result([each.as_json() for each in found], shown)


@app.command()
def show(
    ctx: typer.Context,
    database_id: Annotated[str, typer.Argument(metavar="DATABASE_ID")],
    as_json: Json = False,
) -> None:
    """Show one snapshot."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.vulnerabilities.database(database_id)
    screen.result(found.as_json(), _shown(found))


def _shown(found: VulnerabilityDatabase) -> RenderableType:
    return fields(
        [
            (
                "Database",
                f"{found.ecosystem} {found.number}{'' if found.current else ' (replaced)'}",
            ),
            ("Id", found.id),
            ("Of", found.dated_at),
            ("Records", f"{found.record_count}, {found.withdrawn_count} of them withdrawn"),
            ("Digest", found.digest),
            ("File", f"{found.source.get('name')}, {amount(found.source.get('size_bytes', 0))}"),
            ("Recorded", found.recorded_at),
        ]
    )
