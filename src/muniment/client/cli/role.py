"""`muniment role`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.screen import Json, Screen

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Grant and revoke roles.")

Id = Annotated[str, typer.Argument(metavar="PRINCIPAL_ID")]
Role = Annotated[
    str,
    typer.Argument(help="viewer, consumer, contributor, publisher, approver_…, auditor or admin."),
]
Scope = Annotated[
    str | None,
    typer.Option("--on", metavar="NAMESPACE[/NAME]", help="A namespace or asset; else everything."),
]


@app.command()
def grant(
    ctx: typer.Context, principal_id: Id, role: Role, on: Scope = None, as_json: Json = False
) -> None:
    """Give a role."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        client.principals.grant(principal_id, role, scope=on)
    data = {"principal_id": principal_id, "role": role, "on": on}
    screen.result(data, f"`{principal_id}` is now {role} on {on or 'everything'}")


@app.command()
def revoke(
    ctx: typer.Context, principal_id: Id, role: Role, on: Scope = None, as_json: Json = False
) -> None:
    """Take a role away."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        client.principals.revoke(principal_id, role, scope=on)
    data = {"principal_id": principal_id, "role": role, "on": on}
    screen.result(data, f"`{principal_id}` is no longer {role} on {on or 'everything'}")
