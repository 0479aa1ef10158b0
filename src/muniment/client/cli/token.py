"""`muniment token`."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

import typer

from muniment.client.cli.people import came_in, makers
from muniment.client.cli.screen import Json, Screen, table

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Create, list, revoke tokens.")

_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}


@app.command()
def create(
    ctx: typer.Context,
    label: Annotated[str, typer.Argument(help="What it is for.")],
    principal: Annotated[
        str | None, typer.Option("--principal", help="Id of whose it is; else yours.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="12h|30d|4w", help="How long it lives.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", metavar="ROLE[:NAMESPACE[/NAME]]", help="Give it no more than this."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token; it is shown this once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        token = client.tokens.create(
            label, principal_id=principal, lifetime=_lifetime(expires), roles=role or ()
        )
    screen.note(f"Token `{token.id}`, valid until {token.expires_at}. It is not shown again:")
    screen.result(token.as_json(), token.token or "")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List tokens, ended ones too."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        tokens = client.tokens.list_()
        made = makers(each.came_in for each in tokens)
        names = client.principals.names(made) if made else {}
    rows = [
        (
            each.id,
            each.label,
            came_in(each.came_in, names),
            each.created_at,
            each.expires_at,
            each.revoked_at,
            each.last_used_at,
        )
        for each in tokens
    ]
    columns = ("Id", "Label", "Made by", "Created", "Expires", "Revoked", "Last used")
    screen.result([each.as_json() for each in tokens], table(columns, rows))


@app.command()
def revoke(
    ctx: typer.Context, token_id: Annotated[str, typer.Argument()], as_json: Json = False
) -> None:
    """End a token at once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        client.tokens.revoke(token_id)
    screen.result({"id": token_id, "revoked": True}, f"Token `{token_id}` is revoked")


def _lifetime(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if not found:
        msg = f"expected a time such as `12h`, `30d` or `4w`, found `{text}`"
        raise typer.BadParameter(msg)
    return int(found[1]) * _UNITS[found[2]]
