"""`muniment impact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.screen import Json, Screen, fields, safe, table

if TYPE_CHECKING:
    from muniment.client.impact import Reached

app = typer.Typer(add_completion=False)


@app.command()
def impact(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="CVE-…, GHSA-…, pkg:…, a SHA-256, or a dataset's or base model's name."
        ),
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Show at most so many versions.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which versions contain something or were made of it, by what path, where they are, who uses them."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.impact(what, limit=limit)
    counted = (
        f"{found.version_count}, {found.deployment_count} deployments,"
        f" {found.consumer_count} consumers"
    )
    head = fields(
        [
            ("Asked about", f"{found.what} ({found.about})"),
            ("Also called", [one for one in found.names if one != found.what]),
            ("Composites", len(found.composites) or None),
            ("Versions", counted if found.known else "nobody here ever heard of that"),
        ]
    )
    rows = [
        (
            one.version,
            {None: "", True: "yes", False: "no"}[one.open],
            ", ".join(one.aliases),
            ", ".join(f"{each['environment']} ({each['mode']})" for each in one.deployments),
            _used(one),
            safe(" > ".join(step["name"] for step in one.paths[0])),
        )
        for one in found.items
    ]
    columns = ("Version", "Open", "Aliases", "Deployed", "Used by", "By way of")
    also = [
        (one.cvi, one.system, safe(" > ".join(step["name"] for step in one.paths[0])))
        for one in found.composites
        if one.paths
    ]
    shown = [table(columns, rows)] if rows else []
    shown += [table(("Composite", "System", "By way of"), also)] if also else []
    notes = ["Only the newest composites are shown"] if found.more_composites else []
    screen.result(found.as_json(), head, *shown, *notes)


def _used(one: Reached) -> str:
    """Who uses a version, each system once, and how many more there are."""
    systems = list(dict.fromkeys(each["system"] for each in one.consumers))
    more = one.consumer_count - len(one.consumers)
    return ", ".join(systems) + (f" and {more} more" if more > 0 else "")
