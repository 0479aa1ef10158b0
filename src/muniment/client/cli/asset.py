"""`muniment asset`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated

import typer

from muniment.client.cli.describe import asset_fields, assets_table
from muniment.client.cli.screen import Json, Reason, Screen, tags_of
from muniment.client.cli.search import All, Kind, Limit, OrderBy, with_kind
from muniment.client.cli.show import show_asset

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Create, show, list, edit assets."
)

Ref = Annotated[str, typer.Argument(metavar="[NAMESPACE/]NAME")]
Owner = Annotated[str | None, typer.Option("--owner")]
BackupOwner = Annotated[str | None, typer.Option("--backup-owner")]
Contact = Annotated[str | None, typer.Option("--escalation-contact")]
RiskTier = Annotated[
    str | None, typer.Option("--risk-tier", help="minimal, limited, high or unacceptable.")
]
Description = Annotated[str | None, typer.Option("--description")]
Tag = Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE")]


@app.command()
def create(
    ctx: typer.Context,
    ref: Ref,
    kind: Annotated[str, typer.Option("--kind", help="model, prompt or adapter.")] = "model",
    owner: Owner = None,
    backup_owner: BackupOwner = None,
    escalation_contact: Contact = None,
    risk_tier: RiskTier = None,
    description: Description = None,
    tag: Tag = None,
    as_json: Json = False,
) -> None:
    """Create an asset; it has an owner from the first moment (you, if none is given)."""
    screen = Screen(ctx, as_json=as_json)
    given = {
        "backup_owner": backup_owner,
        "escalation_contact": escalation_contact,
        "risk_tier": risk_tier,
        "description": description,
        "tags": tags_of(tag) if tag else None,
    }
    with screen.client() as client:
        owner = owner or client.whoami().name
        asset = client.assets.create(ref, kind=kind, owner=owner, **_those_given(given))
    screen.result(asset.as_json(), asset_fields(asset))


@app.command()
def show(ctx: typer.Context, ref: Ref, as_json: Json = False) -> None:
    """Show an asset with its versions."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        show_asset(client, screen, ref)


@app.command("list")
def list_(
    ctx: typer.Context,
    filter_: Annotated[str | None, typer.Argument(metavar="[FILTER]")] = None,
    kind: Kind = None,
    order_by: OrderBy = None,
    limit: Limit = 50,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """List assets that match a filter."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        options = {"order_by": order_by, "limit": None if all_ else min(limit, 500)}
        matches = client.assets.search(with_kind(filter_, kind), **options)
        found = list(matches if all_ else islice(matches, limit))
    data = [asset.as_json() for asset in found]
    if found:
        screen.result(data, assets_table(found))
    else:
        screen.result(data, "No assets found; create one with `muniment asset create NAME`.")


@app.command()
def rename(
    ctx: typer.Context,
    ref: Ref,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Call an asset something else; its old name stays reserved for it."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        asset = client.lifecycle.rename(ref, name, reason=reason or "")
    screen.result(asset.as_json(), f"{ref} is {asset.name} now; `{ref}` stays reserved for it")


@app.command()
def edit(
    ctx: typer.Context,
    ref: Ref,
    owner: Owner = None,
    backup_owner: BackupOwner = None,
    escalation_contact: Contact = None,
    risk_tier: RiskTier = None,
    description: Description = None,
    tag: Tag = None,
    revision: Annotated[
        int | None, typer.Option("--revision", help="Only if it still has this revision.")
    ] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Change an asset; the earlier values stay in the history."""
    screen = Screen(ctx, as_json=as_json)
    given = {
        "owner": owner,
        "backup_owner": backup_owner,
        "escalation_contact": escalation_contact,
        "risk_tier": risk_tier,
        "description": description,
        "tags": tags_of(tag) if tag else None,
    }
    changes = _those_given(given)
    if not changes:
        msg = "give at least one field to change, such as `--owner`"
        raise typer.BadParameter(msg)
    with screen.client() as client:
        asset = client.assets.edit(ref, revision=revision, reason=reason, **changes)
    screen.result(asset.as_json(), asset_fields(asset))


def _those_given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
