"""`muniment tag`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.describe import asset_fields, version_fields
from muniment.client.cli.screen import Json, Reason, Screen, tags_of

app = typer.Typer(add_completion=False)


@app.command()
def tag(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION for a version, NAME for its asset.")],
    tags: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Set or remove tags; the earlier values stay in the history."""
    screen = Screen(ctx, as_json=as_json)
    changes: dict[str, str | None] = {**tags_of(tags or []), **dict.fromkeys(remove or [])}
    if not changes:
        msg = "give at least one `key=value` or `--remove KEY`"
        raise typer.BadParameter(msg)
    with screen.client() as client:
        if "@" in ref:
            version = client.versions.edit(ref, reason=reason, tags=changes)
            screen.result(version.as_json(), version_fields(version))
        else:
            asset = client.assets.edit(ref, reason=reason, tags=changes)
            screen.result(asset.as_json(), asset_fields(asset))
