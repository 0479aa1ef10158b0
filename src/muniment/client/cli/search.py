"""`muniment search`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from muniment.client.cli.describe import versions_table
from muniment.client.cli.screen import Json, Screen

app = typer.Typer(add_completion=False)

OrderBy = Annotated[
    str | None, typer.Option("--order-by", help="Field, with `desc` after it to turn it round.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many to show.")]
All = Annotated[bool, typer.Option("--all", help="Show all, however many.")]
Kind = Annotated[str | None, typer.Option("--kind", help="Only model, prompt or adapter.")]


def with_kind(filter_: str | None, kind: str | None) -> str | None:
    """Return a filter narrowed to `kind`."""
    if kind is None:
        return filter_
    quoted = kind.replace("'", "''")
    return f"kind = '{quoted}'" + (f" AND ({filter_})" if filter_ else "")


@app.command()
def search(
    ctx: typer.Context,
    filter_: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILTER]", help="Such as `tags.team = 'risk' AND lifecycle = 'draft'`."
        ),
    ] = None,
    kind: Kind = None,
    order_by: OrderBy = None,
    limit: Limit = 50,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """Search versions of all assets."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        options = {"order_by": order_by, "limit": None if all_ else min(limit, 500)}
        matches = client.versions.search(with_kind(filter_, kind), **options)
        found = list(matches if all_ else islice(matches, limit))
    data = [version.as_json() for version in found]
    if not found:
        hint = "register one with `muniment register`" if not filter_ else "try a wider filter"
        screen.result(data, f"Nothing found; {hint}.")
        return
    screen.result(data, versions_table(found))
    if not all_ and len(found) == limit:
        screen.note(f"Showing the first {limit}; `--all` or `--limit N` shows more.")
