"""`muniment exception`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from muniment.client.cli.key import KeyFile, own_key
from muniment.client.cli.screen import Json, Screen, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Waive a rule for a version in an environment, until a day.",
)


@app.command()
def grant(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(help="Id of the rule.")],
    ref: Annotated[str, typer.Option("--for", help="NAME@1.2.0.")],
    environment: Annotated[str, typer.Option("--env", help="Where.")],
    until: Annotated[
        dt.datetime,
        typer.Option("--until", formats=["%Y-%m-%d"], help="The last day it holds (UTC)."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    control: Annotated[str, typer.Option("--control", help="What is done instead.")],
    role: Annotated[str, typer.Option("--as", help="security or governance.")] = "security",
    key: KeyFile = None,
    session: Annotated[
        bool,
        typer.Option("--session", help="Have the registry sign for this session."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Grant an exception. Rules of class critical_safety take none, from anyone."""
    screen = Screen(ctx, as_json=as_json)
    own = None if session else own_key(key)
    with screen.client() as client:
        done, decision = client.exceptions.grant(
            rule,
            ref,
            environment,
            until=until.date(),
            reason=reason,
            control=control,
            role=role,
            key=own,
        )
    lines = [
        f"{done.rule} is waived for {done.version} in {done.environment} until {done.until}: exception {done.id}"
    ]
    if decision is not None:
        lines.append(f"Decision {decision.id}: {decision.outcome}")
    data = {
        "exception": done.as_json(),
        "decision": None if decision is None else decision.as_json(),
    }
    screen.result(data, *lines)


@app.command("list")
def list_(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Option("--version", help="Only of NAME@1.2.0.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those too that hold no more.")] = False,
    as_json: Json = False,
) -> None:
    """List exceptions, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.exceptions.list_(version=version, ended=ended)
        names = client.principals.names({each.person_id for each in found}) if found else {}
    data = [each.as_json() for each in found]
    if not found:
        screen.result(data, "No exception holds")
        return
    rows = [
        (
            each.id,
            each.rule,
            each.version,
            each.environment,
            each.until,
            names.get(each.person_id, each.person_id),
            each.state,
            each.control,
        )
        for each in found
    ]
    columns = ("Id", "Rule", "Version", "In", "Until", "Granted by", "State", "Instead")
    screen.result(data, table(columns, rows))


@app.command()
def revoke(
    ctx: typer.Context,
    exception_id: Annotated[str, typer.Argument(help="Id of the exception.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    as_json: Json = False,
) -> None:
    """Have an exception hold no more."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.exceptions.revoke(exception_id, reason=reason)
    screen.result(done.as_json(), f"The exception to {done.rule} ({done.id}) is revoked")
