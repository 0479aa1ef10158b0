"""`muniment download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, files_and_size
from muniment.client.receipts import save_receipt

app = typer.Typer(add_completion=False)


@app.command()
def download(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", "--to", "-o", help="Directory; `./NAME-VERSION` if not given."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the receipt against the trusted log key too.")
    ] = False,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Keep the receipt in this file.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Download a version; every byte is checked, interrupted files go on."""
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    with screen.client() as client, bars(quiet=screen.quiet) as on_progress:
        version = client.versions.get(ref)
        at = into or Path(f"{version.name}-{version.version}")
        paths = client.download(version.ref, at, verify=verify, on_progress=on_progress)
        if receipt:
            save_receipt(client, version, receipt)
    data = {"ref": version.ref, "into": str(at), "files": [str(path) for path in paths]}
    if receipt:
        data["receipt"] = str(receipt)
    size = files_and_size(len(paths), version.size_bytes)
    screen.result(data, f"Downloaded {version.ref} into `{at}`: {size}, every byte checked")
