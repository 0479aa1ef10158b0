"""`muniment alias`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from muniment.client.cli.describe import changes_table, version_fields
from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Reason, Screen, table
from muniment.core.errors import BadReference

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Set, show and follow aliases.")

Alias = Annotated[str, typer.Argument(help="NAME@ALIAS.")]


@app.command("set")
def set_(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION, or NAME with VERSION at the end.")],
    alias: Annotated[str, typer.Argument(help="Such as `champion`.")],
    version: Annotated[str | None, typer.Argument(help="Unless REF has it.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Point an alias at a version."""
    screen = Screen(ctx, as_json=as_json)
    if ("@" in ref) == (version is not None):
        msg = f"say which version once: `muniment alias set NAME@1.0.0 {alias}`"
        raise BadReference(msg)
    with screen.client() as client:
        found = client.versions.get(ref if version is None else f"{ref}@{version}")
        asset = found.ref.rpartition("@")[0]
        moved = client.aliases.set(asset, alias, found.version, reason=reason)
    screen.result(moved.as_json(), f"{asset}@{alias} is now {found.version}")
    for warning in moved.warnings:
        screen.note(f"Warning: {warning}")


@app.command()
def unset(ctx: typer.Context, alias: Alias, reason: Reason = None, as_json: Json = False) -> None:
    """Point an alias at nothing; its history stays."""
    screen = Screen(ctx, as_json=as_json)
    asset, name = _split(alias)
    with screen.client() as client:
        client.aliases.unset(asset, name, reason=reason)
    screen.result({"alias": name, "version": None}, f"{alias} points to nothing now")


@app.command()
def show(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME for all its aliases, NAME@ALIAS for one.")],
    as_of: Annotated[
        dt.datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="At that time."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where aliases point, or pointed at a time."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        if "@" in ref:
            asset, name = _split(ref)
            version = client.aliases.get(asset, name, as_of=_aware(as_of))
            add_names(client, [version.registered_by])
            screen.result(version.as_json(), version_fields(version))
            return
        aliases = client.aliases.list_(ref)
    data = [alias.as_json() for alias in aliases]
    if not aliases:
        screen.result(
            data, f"No aliases yet; set one with `muniment alias set {ref}@1.0.0 champion`."
        )
        return
    rows = [(each.alias, each.version, each.number, each.updated_at) for each in aliases]
    screen.result(data, table(("Alias", "Version", "No.", "Since"), rows))


@app.command()
def history(ctx: typer.Context, alias: Alias, as_json: Json = False) -> None:
    """Show every move of an alias."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        changes = client.aliases.history(*_split(alias))
        add_names(client, (change.actor for change in changes))
    screen.result([change.as_json() for change in changes], changes_table(changes))


def _split(ref: str) -> tuple[str, str]:
    asset, at, alias = ref.rpartition("@")
    if not at or not alias:
        msg = f"expected `NAME@ALIAS`, found `{ref}`"
        raise BadReference(msg)
    return asset, alias


def _aware(at: dt.datetime | None) -> dt.datetime | None:
    return at.replace(tzinfo=dt.UTC) if at and at.tzinfo is None else at
