"""`muniment approvals`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.screen import Json, Screen, table

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Approvals that end soon; their conditions."
)


@app.command()
def expiring(
    ctx: typer.Context,
    days: Annotated[int, typer.Option("--days", min=1, help="Within so many days.")] = 30,
    as_json: Json = False,
) -> None:
    """List approvals that end soon and that no later decision replaced."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.expiring(days=days)
    data = [each.as_json() for each in found]
    if not found:
        screen.result(data, f"No approval ends within {days} days")
        return
    rows = [(each.name, each.environment, each.expires_at, each.id) for each in found]
    screen.result(data, table(("What", "For", "Ends", "Decision"), rows))


@app.command()
def meet(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    condition: Annotated[str, typer.Argument(help="Id of the condition.")],
    note: Annotated[str, typer.Option("--note", help="How it was met.")],
    as_json: Json = False,
) -> None:
    """Say that a condition of an approval was met, as somebody who could approve the request."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.approvals.meet(request, condition, note)
    screen.result(done, f"Condition {condition} is met")
