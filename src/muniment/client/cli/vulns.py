"""`muniment vulns`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, fields, safe, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.vulnerabilities import Finding, Findings, VersionStanding

app = typer.Typer(add_completion=False)

_DENIED, _MISSING = 3, 4
_SHOWN = 50
_SAYS = {
    "no_sbom": "nobody said what it contains: add an SBOM (`muniment evidence add`)",
    "no_database": "there is nothing to hold it against: `muniment vulndb import`",
    "open": "something matters, or cannot be told",
    "none_open": "of what could be looked up, nothing matters",
}


@app.command()
def vulns(
    ctx: typer.Context,
    ref: Annotated[str | None, typer.Argument(help="NAME@1.2.0, NAME@alias or NAME@7.")] = None,
    every: Annotated[bool, typer.Option("--all", help="How every version stands.")] = False,
    only_open: Annotated[
        bool, typer.Option("--open", help="Only what still matters, after VEX.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="With `--all`: only versions in it.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="With `--all`: at most so many versions.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which known vulnerabilities are in what a version contains, with and without VEX.

    Exits with 0 if none is open, with 3 if one is or cannot be told, with 4 if there is no SBOM or
    no database. What could not be looked up is counted, never called clean.
    """
    if (ref is None) == (not every):
        raise typer.BadParameter("say of what: NAME@VERSION, or `--all`; not both")
    screen = Screen(ctx, as_json=as_json)
    if ref is None:
        _all(screen, namespace, limit, only_open=only_open)
        return
    with screen.client() as client:
        found = client.vulnerabilities.of(ref, only_open=only_open)
    screen.result(found.as_json(), *_one(found))
    raise typer.Exit(_exit_code(found.state))


def _exit_code(state: str) -> int:
    return {"none_open": 0, "open": _DENIED}.get(state, _MISSING)


def _all(screen: Screen, namespace: str | None, limit: int | None, *, only_open: bool) -> None:
    with screen.client() as client:
        listed = client.vulnerabilities.of_all(namespace=namespace)
        wanted = (one for one in listed if not only_open or one.state != "none_open")
        found = list(itertools.islice(wanted, limit))
    rows = [(one.version, one.state, _counted(one), one.counts.get("resolved", 0)) for one in found]
    shown = table(("Version", "State", "Open", "Resolved"), rows) if rows else "No version to show"
    screen.result([one.as_json() for one in found], shown)


def _counted(one: VersionStanding) -> str:
    parts = [f"{number} {severity}" for severity, number in one.counts.get("open", {}).items()]
    also = ("undecided", "exploited")
    parts += [f"{one.counts[name]} {name}" for name in also if one.counts.get(name)]
    return ", ".join(parts)


def _one(found: Findings) -> list[RenderableType]:
    parts = found.components
    uncovered = [f"{number} {kind}" for kind, number in parts.get("uncovered", {}).items()]
    against = [f"{one['ecosystem']} of {str(one['dated_at'])[:16]}" for one in found.databases]
    head = fields(
        [
            ("Version", found.version),
            ("State", f"{found.state}: {_SAYS.get(found.state, '')}"),
            ("Open", _counted(found)),
            ("Resolved", found.counts.get("resolved") or None),
            ("Components", parts.get("total")),
            ("Not identified", parts.get("unidentified") or None),
            ("No database for", ", ".join(uncovered)),
            ("Held against", ", ".join(against)),
        ]
    )
    if not found.items:
        return [head]
    columns = ("Vulnerability", "Severity", "Component", "Fixed in", "Open", "Why")
    shown: list[RenderableType] = [
        head,
        table(columns, [_row(one) for one in found.items[:_SHOWN]]),
    ]
    if found.items[_SHOWN:]:
        shown.append(f"and {len(found.items) - _SHOWN} more: see `--json`")
    return shown


def _row(one: Finding) -> tuple[Any, ...]:
    score = "" if one.score is None else f" {one.score}"
    flags = [
        name
        for name, on in (("exploited", one.exploited), (one.outcome, one.outcome != "affected"))
        if on
    ]
    return (
        one.name,
        f"{one.severity}{score}{' (' + ', '.join(flags) + ')' if flags else ''}",
        safe(f"{one.package.removeprefix('pkg:')} {one.version or ''}"),
        ", ".join(one.fixed_in[:3]),
        "yes" if one.open else "no",
        safe(_why(one)),
    )


def _why(one: Finding) -> str:
    if one.vex is not None:
        reason = one.vex["justification"] or one.vex["detail"]
        return f"{one.vex['status']}{': ' + reason if reason else ''}, until {str(one.vex['expires_at'])[:10]}"
    if one.expired_vex is not None:
        return f"{one.expired_vex['status']} was over on {str(one.expired_vex['expires_at'])[:10]}"
    return one.summary[:80]
