"""`muniment register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from muniment.client import metadata as metadata_files
from muniment.client.cli.bars import bars
from muniment.client.cli.describe import completeness_lines
from muniment.client.cli.screen import Json, Quiet, Screen, files_and_size, tags_of
from muniment.client.records import Registered

app = typer.Typer(add_completion=False)


@app.command()
def register(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="[NAMESPACE/]NAME", help="The asset.")],
    version: Annotated[
        str, typer.Option("--version", help="MAJOR.MINOR.PATCH, never used before.")
    ],
    artifact: Annotated[
        list[Path] | None,
        typer.Option("--artifact", "-a", help="File or directory; may be repeated."),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", "-m", help="YAML or JSON file of fields.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One field, over the file's."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE")] = None,
    description: Annotated[str | None, typer.Option("--description")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="model, prompt or adapter: makes the asset if there is none."),
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Owner of a new asset.")] = None,
    require: Annotated[
        str | None,
        typer.Option(
            "--require", help="Refuse unless the fields of this step (`candidate`) are there."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything; send and write nothing.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Register files as a new version.

    Only what the registry lacks is sent; an interrupted upload goes on when run again. The same
    files under the same version give the same answer however often they are registered.
    """
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    read = metadata_files.load(metadata)
    options: dict[str, Any] = {
        "metadata": metadata_files.merged(read, metadata_files.settings(set_ or [])),
        "kind": kind,
        "owner": owner,
        "tags": tags_of(tag or []),
        "description": description,
        "require": require,
        "dry_run": dry_run,
    }
    with screen.client() as client, bars(quiet=screen.quiet) as on_progress:
        registered = client.register(
            ref, version=version, artifact=artifact, on_progress=on_progress, **options
        )
    screen.result(registered.as_json(), *_lines(registered, dry_run=dry_run))


def _lines(registered: Registered, *, dry_run: bool) -> list[str]:
    size = files_and_size(registered.file_count, registered.size_bytes)
    if dry_run:
        first = f"Would register {registered.ref}: {size}"
    elif registered.created:
        first = f"Registered {registered.ref}: {size}"
    else:
        first = f"{registered.ref} was registered before with the same content: {size}"
    lines = [first, f"Manifest {registered.manifest_digest}"]
    if registered.executable:
        formats = ", ".join(registered.formats)
        lines.append(f"Loading it runs code ({formats}); safer formats are safetensors and ONNX")
    return lines + completeness_lines(registered.completeness)
