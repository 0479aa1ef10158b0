"""`muniment principal`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.login import grant_text
from muniment.client.cli.screen import Json, Screen, fields, table

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Manage people, services and workloads."
)

Id = Annotated[str, typer.Argument(metavar="PRINCIPAL_ID")]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument()],
    kind: Annotated[str, typer.Option("--kind", help="person, service or workload.")] = "person",
    as_json: Json = False,
) -> None:
    """Add a principal; it may do nothing until a role is granted."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        made = client.principals.create(name, kind=kind)
    hint = f"Grant a role with `muniment role grant {made.id} contributor`"
    screen.result(made.as_json(), f"Created {made.kind} `{made.name}` ({made.id}). {hint}")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List principals."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.principals.list_()
    rows = [
        (each.id, each.name, each.kind, [grant_text(g) for g in each.grants], each.disabled_at)
        for each in found
    ]
    columns = ("Id", "Name", "Kind", "Roles", "Disabled")
    screen.result([each.as_json() for each in found], table(columns, rows))


@app.command()
def show(ctx: typer.Context, principal_id: Id, as_json: Json = False) -> None:
    """Show one principal with its roles."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        each = client.principals.get(principal_id)
    roles = [grant_text(grant) for grant in each.grants]
    shown = [("Id", each.id), ("Name", each.name), ("Kind", each.kind), ("Roles", roles)]
    screen.result(each.as_json(), fields([*shown, ("Disabled", each.disabled_at)]))


@app.command()
def disable(ctx: typer.Context, principal_id: Id, as_json: Json = False) -> None:
    """Refuse all tokens of a principal from now on."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        client.principals.disable(principal_id)
    screen.result({"id": principal_id, "disabled": True}, f"`{principal_id}` is disabled")


@app.command()
def enable(ctx: typer.Context, principal_id: Id, as_json: Json = False) -> None:
    """Let a disabled principal in again, with its roles. Its old tokens stay refused."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        client.principals.enable(principal_id)
    hint = f"it needs a new token: `muniment token create NAME --principal {principal_id}`"
    screen.result({"id": principal_id, "disabled": False}, f"`{principal_id}` is enabled; {hint}")
