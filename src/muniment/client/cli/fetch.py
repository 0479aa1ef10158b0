"""`muniment fetch`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.describe import fetch_fields, ref_of
from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show registrations whose bytes are fetched from elsewhere.",
)


@app.command("list")
def list_(
    ctx: typer.Context,
    asset: Annotated[str | None, typer.Option("--asset", help="Only those of this asset.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="pending|registered|failed", help="Only these."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List fetches, newest first, with who asked and why they failed."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        fetches = client.fetches.list_(asset=asset, state=state)
        add_names(client, (each.asked_by for each in fetches))
    rows = [
        (
            f"{ref_of(each.namespace, each.name)}@{each.number}",
            each.state,
            each.source,
            each.asked_at,
            each.asked_by.get("name") or each.asked_by.get("id"),
            each.reason,
        )
        for each in fetches
    ]
    columns = ("Version", "State", "Source", "Asked for", "By", "Reason")
    shown = table(columns, rows) if rows else "Nothing is or was fetched"
    screen.result([each.as_json() for each in fetches], shown)


@app.command()
def show(
    ctx: typer.Context,
    fetch_id: Annotated[str, typer.Argument(metavar="FETCH_ID")],
    as_json: Json = False,
) -> None:
    """Show one fetch."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        fetch = client.fetches.get(fetch_id)
    screen.result(fetch.as_json(), fetch_fields(fetch))
