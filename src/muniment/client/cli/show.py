"""`muniment show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.describe import (
    asset_fields,
    completeness_lines,
    consumers_line,
    fetch_fields,
    files_table,
    version_fields,
    versions_table,
)
from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen
from muniment.core.errors import NotFound

if TYPE_CHECKING:
    from muniment.client.client import Client

app = typer.Typer(add_completion=False)


@app.command()
def show(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@1.2.0, NAME@alias, NAME@7, or NAME alone.")],
    as_json: Json = False,
) -> None:
    """Show a version with its files and what it lacks, or an asset with its versions."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        if "@" in ref:
            _show_version(client, screen, ref)
        else:
            show_asset(client, screen, ref)


def _show_version(client: Client, screen: Screen, ref: str) -> None:
    try:
        version = client.versions.get(ref)
    except NotFound:
        asset, _, number = ref.rpartition("@")
        fetch = client.fetches.of(asset, int(number)) if number.isdecimal() else None
        if fetch is None:
            raise
        add_names(client, [fetch.asked_by])
        screen.result(fetch.as_json(), fetch_fields(fetch))
        return
    add_names(client, [version.registered_by])
    files = client.artifacts.manifest(version)
    completeness = client.versions.completeness(version)
    now = client.lifecycle.of(version)
    used = client.consumers.count(version.ref)
    listed = [
        {"path": file.path, "size_bytes": file.size_bytes, "sha256": file.digest.hex}
        for file in files
    ]
    data = {
        **version.as_json(),
        "lifecycle": now.lifecycle,
        "lifecycle_reasons": [one.as_json() for one in now.reasons],
        "approvals": [one.as_json() for one in now.approvals],
        "consumers": used.as_json(),
        "files": listed,
        "completeness": completeness.as_json(),
    }
    screen.result(
        data,
        version_fields(version, now),
        *consumers_line(used, version.ref),
        *files_table(files),
        *completeness_lines(completeness),
    )


def show_asset(client: Client, screen: Screen, ref: str) -> None:
    """Show an asset with its versions."""
    asset = client.assets.get(ref)
    versions = list(client.versions.of(ref))
    aliases = client.aliases.list_(ref)
    used = client.consumers.count(ref)
    data = {
        **asset.as_json(),
        "consumers": used.as_json(),
        "versions": [version.as_json() for version in versions],
        "aliases": [alias.as_json() for alias in aliases],
    }
    if versions:
        line = consumers_line(used, ref)
        screen.result(data, asset_fields(asset), *line, versions_table(versions))
    else:
        hint = (
            f"No versions yet. Add one: `muniment register {ref} --version 0.1.0 --artifact PATH`"
        )
        screen.result(data, asset_fields(asset), hint)
