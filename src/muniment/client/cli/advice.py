"""`muniment why-not`, `muniment explain`.

Exit codes: 0 allowed, 3 denied, 4 evidence missing, 5 approval pending, 1 error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.screen import Json, Screen, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.advice import Unmet, WhyNot

app = typer.Typer(add_completion=False)

Ref = Annotated[str, typer.Argument(help="NAME@1.2.0, NAME@alias, NAME@7, or a composite: cvi1-….")]
For = Annotated[str, typer.Option("--for", help="development, staging or production.")]
_EXITS = {None: 0, "nothing": 3, "evidence": 4, "approval": 5}


@app.command("why-not")
def why_not(
    ctx: typer.Context, ref: Ref, environment: For = "production", as_json: Json = False
) -> None:
    """Say what stands between a version, or a composite, and an environment, who can mend it, and how.

    Exits with 0 if nothing does, 3 if it is denied, 4 if evidence is missing, 5 if approval is pending.
    """
    screen, found = _asked(ctx, ref, environment, as_json=as_json)
    lines: list[RenderableType] = [_first(found)]
    for one in found.unmet:
        lines += _unmet(one)
    screen.result(found.as_json(), *lines)
    raise typer.Exit(_EXITS[found.lacks])


@app.command()
def explain(
    ctx: typer.Context, ref: Ref, environment: For = "production", as_json: Json = False
) -> None:
    """Show what every rule says of a version or a composite, those that pass too.

    Exits with 0 if it is allowed, 3 if it is denied, 4 if evidence is missing, 5 if approval is pending.
    """
    screen, found = _asked(ctx, ref, environment, as_json=as_json)
    rows = [
        (one.id, one.title, one.rule_class, one.outcome.replace("_", " "), one.message, one.source)
        for one in found.results
    ]
    policy = (
        f"Policy: {found.policy_digest}" if found.policy_digest else "No policy is asked there."
    )
    shown = table(("Rule", "Title", "Class", "Says", "Why", "Source"), rows)
    screen.result(found.as_json(), _first(found), policy, shown)
    raise typer.Exit(_EXITS[found.lacks])


def _asked(
    ctx: typer.Context, ref: str, environment: str, *, as_json: bool
) -> tuple[Screen, WhyNot]:
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        return screen, client.lifecycle.why_not(ref, environment)


def _first(found: WhyNot) -> str:
    where = f"{found.composite or found.version} to {found.environment}"
    if found.composite:
        where = f"{where} ({', '.join(found.members)})"
    if found.allowed:
        trusts = "its assets trust" if found.composite else "the asset trusts"
        return f"{where}: nothing is in the way of the pipeline that {trusts}."
    counted = "1 rule is" if len(found.unmet) == 1 else f"{len(found.unmet)} rules are"
    said = f"{where}: {counted} in the way ({_LACK[found.lacks or '']})."
    if found.enforcement == "enforce":
        return said
    return f"{said} The namespace is in {found.enforcement}: it would be carried out, and recorded."


_LACK = {
    "nothing": "as it is, it is refused",
    "evidence": "evidence is missing",
    "approval": "approval is pending",
}


def _unmet(one: Unmet) -> list[RenderableType]:
    lines: list[RenderableType] = [
        "",
        f"{one.id}  {one.title or one.rule_class}",
        f"  {one.message}",
    ]
    if not any(way.command for way in one.ways):
        lines.append(f"  To do: {one.remedy}")
    for way in one.ways:
        who = ", ".join(way.people) or "nobody holds that role yet"
        roles = ", ".join(way.roles)
        if way.command:
            lines.append(f"  Run:   {way.command}")
        if roles:
            lines.append(f"  Who:   {roles} ({who})")
    return lines
