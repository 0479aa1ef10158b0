"""`muniment trust people`: by which issuers people log in, and what their groups are here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.client.logins import LoginIssuer
from muniment.core.errors import BadRequest

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Say by which issuers people log in."
)

Name = Annotated[str, typer.Argument(help="What the issuer is called here.")]
_MAPPED = "GROUP=ROLE[:NAMESPACE[/NAME]]"
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar=_MAPPED, help="What its members are; repeatable."),
]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    url: Annotated[str, typer.Argument(help="Exactly the `iss` of its tokens.")],
    client_id: Annotated[
        str, typer.Option("--client-id", help="Of a public client that may use the device flow.")
    ],
    group: Groups = None,
    groups_claim: Annotated[
        str, typer.Option("--groups-claim", help="The claim that names a person's groups.")
    ] = "groups",
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What else to ask for, beside openid and profile."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let people log in by an issuer."""
    screen = Screen(ctx, as_json=as_json)
    roles = _roles(group or [])
    with screen.client() as client:
        made = client.login_issuers.add(
            name,
            url,
            client_id=client_id,
            groups_claim=groups_claim,
            scopes=["openid", "profile", *(scope or [])],
            roles=roles,
        )
    if not made.roles:
        screen.note(
            "Note: no group gives a role, so nobody new comes in: `muniment trust people roles`"
        )
    screen.result(made.as_json(), _shown(made))


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List issuers by which people log in, removed ones too."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.login_issuers.list_()
    rows = [
        (each.name, each.url, each.client_id, [_line(one) for one in each.roles], each.removed_at)
        for each in found
    ]
    titles = ("Name", "URL", "Client id", "Groups", "Removed")
    data = [each.as_json() for each in found]
    screen.result(data, table(titles, rows) if rows else "nobody logs in by an issuer")


@app.command()
def roles(ctx: typer.Context, name: Name, group: Groups = None, as_json: Json = False) -> None:
    """Replace what an issuer's groups are: for each person from their next login.

    Without `--group`, no group gives a role any more.
    """
    screen = Screen(ctx, as_json=as_json)
    wanted = _roles(group or [])
    with screen.client() as client:
        made = client.login_issuers.set_roles(name, wanted)
    screen.result(made.as_json(), _shown(made))


@app.command()
def remove(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let nobody log in by an issuer any more: what its groups gave, and all tokens, end."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        gone = client.login_issuers.remove(name)
    screen.result(gone.as_json(), f"Nobody logs in by `{gone.url}` any more")


def _roles(given: list[str]) -> list[dict[str, Any]]:
    """Read `GROUP=ROLE[:NAMESPACE[/NAME]]`; a group's name may have `=` in it.

    Raises:
        BadRequest: one is something else.
    """
    found = []
    for each in given:
        group, equals, what = each.rpartition("=")
        role, _, scope = what.partition(":")
        namespace, _, asset = scope.partition("/")
        if not (group and equals and role):
            msg = f"expected `--group {_MAPPED}`, found `{each}`"
            raise BadRequest(msg)
        place = {"namespace": namespace or None, "asset": asset or None}
        found.append({"group": group, "role": role, **place})
    return found


def _line(one: dict[str, Any]) -> str:
    at = "/".join(each for each in (one.get("namespace"), one.get("asset")) if each)
    return f"{one.get('group')}={one.get('role')}" + (f":{at}" if at else "")


def _shown(one: LoginIssuer) -> Any:
    rows: list[tuple[str, Any]] = [
        ("Name", one.name),
        ("URL", one.url),
        ("Client id", one.client_id),
        ("Groups claim", one.groups_claim),
        ("Scopes", one.scopes),
        ("Groups", [_line(each) for each in one.roles] or "none gives a role"),
    ]
    return fields(rows)
