"""`muniment namespace`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from muniment.client.cli.describe import changes_table
from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.core.errors import BadRequest

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="How namespaces enforce their rules."
)

Name = Annotated[str, typer.Argument(help="The namespace.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List namespaces and how each enforces its rules."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.namespaces.list_()
    rows = [(one.namespace, one.mode, one.production_aliases) for one in found]
    data = [one.as_json() for one in found]
    if found:
        screen.result(data, table(("Namespace", "Mode", "Production aliases"), rows))
    else:
        screen.result(data, "No namespaces yet: the first asset makes its own.")


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    mode: Annotated[str, typer.Option("--mode", help="observe, warn or enforce.")] = "enforce",
    as_json: Json = False,
) -> None:
    """Create a namespace."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        made = client.namespaces.create(name, mode=mode)
    screen.result(made.as_json(), f"Created {made.namespace}: mode {made.mode}")


@app.command()
def show(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show how a namespace is governed, and what its rules said no to."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.namespaces.get(name)
        counts = client.namespaces.enforcement(name)
    shown = fields(
        [
            ("Namespace", found.namespace),
            ("Mode", found.mode),
            ("Production aliases", found.production_aliases),
            ("Asks for", [_asked(one) for one in found.required_fields]),
            ("Refused", str(counts.refused)),
            ("Would have been refused", str(counts.would_have_been_refused)),
            ("By rule", counts.by_rule),
            ("Last", counts.last_at),
        ]
    )
    screen.result({**found.as_json(), "enforcement": counts.as_json()}, shown)


@app.command()
def mode(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str, typer.Argument(help="observe, warn or enforce.")],
    reason: Why,
    as_json: Json = False,
) -> None:
    """Change how a namespace takes what its rules do not allow."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.namespaces.govern(name, mode=to, reason=reason)
    screen.result(found.as_json(), f"{found.namespace} is in mode {found.mode} now")


@app.command()
def aliases(
    ctx: typer.Context,
    name: Name,
    names: Annotated[list[str], typer.Argument(help="All aliases that production resolves.")],
    reason: Why,
    as_json: Json = False,
) -> None:
    """Say through which aliases production finds what it runs: moving one is a promotion."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.namespaces.govern(name, production_aliases=names, reason=reason)
    shown = ", ".join(found.production_aliases)
    screen.result(found.as_json(), f"Production of {found.namespace} resolves {shown}")


def _asked(one: dict[str, Any]) -> str:
    of = ", ".join([*one["kinds"], *one["risk_tiers"]]) or "all"
    return f"extra.{one['field']} at {one['step']}, of {of}: {one['why']}"


@app.command()
def require(
    ctx: typer.Context,
    name: Name,
    field: Annotated[str, typer.Argument(help="The member of `extra` in a version's metadata.")],
    reason: Why,
    why: Annotated[str, typer.Option("--why", help="Why it is due: who lacks it is told.")] = "",
    step: Annotated[
        str, typer.Option("--step", help="From when: draft, candidate or approved.")
    ] = "candidate",
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Of which kind; repeatable. None: of all.")
    ] = None,
    tiers: Annotated[
        list[str] | None,
        typer.Option("--risk-tier", help="Of which tier; repeatable. None: of all."),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Ask for it no more.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for a field of your own in the metadata of every version, like those that come with Muniment."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        now = client.namespaces.get(name)
        others = [one for one in now.required_fields if one["field"] != field]
        if drop and len(others) == len(now.required_fields):
            raise BadRequest(f"{name} does not ask for `extra.{field}`: `muniment namespace show`")
        new = {
            "field": field,
            "why": why or reason,
            "step": step,
            "kinds": kinds or [],
            "risk_tiers": tiers or [],
        }
        found = client.namespaces.govern(
            name,
            required_fields=others if drop else [*others, new],
            reason=reason,
            revision=now.revision,
        )
    said = "no more" if drop else f"from {step} on"
    screen.result(found.as_json(), f"{found.namespace} asks for `extra.{field}` {said}")


@app.command()
def attempts(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """List what the rules of a namespace did not allow, newest first: promotions, new consumers."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.namespaces.attempts(name)
    rows = [
        (
            one.at,
            one.step,
            one.composite or one.subject,
            one.environment,
            _what(carried_out=one.carried_out),
            one.rules,
        )
        for one in found
    ]
    data = [one.as_json() for one in found]
    if found:
        screen.result(data, table(("When", "To", "What", "In", "Was", "Rules"), rows))
    else:
        screen.result(data, "Nothing was asked that the rules do not allow.")


def _what(*, carried_out: bool) -> str:
    return "carried out" if carried_out else "refused"


@app.command()
def history(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show every change of how a namespace is governed."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        changes = client.namespaces.history(name)
        add_names(client, (one.actor for one in changes))
    screen.result([one.as_json() for one in changes], changes_table(changes))
