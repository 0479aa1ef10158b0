"""`muniment history`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.describe import changes_table
from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen

app = typer.Typer(add_completion=False)


@app.command()
def history(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION for a version, NAME for its asset.")],
    as_json: Json = False,
) -> None:
    """Show every act on a version or asset, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        changes = client.versions.history(ref) if "@" in ref else client.assets.history(ref)
        add_names(client, (change.actor for change in changes))
    screen.result([change.as_json() for change in changes], changes_table(changes))
