"""`muniment sbom`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from muniment.client.cli.screen import Json, Screen

app = typer.Typer(add_completion=False)


@app.command()
def sbom(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the ML-BOM of a version: CycloneDX 1.7 JSON, made from what is registered and known."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.evidence.sbom(ref)
    if output is None:
        screen.result(found, json.dumps(found, indent=2, ensure_ascii=False))
        return
    output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    count = len(found["components"])
    data = {"ref": ref, "output": str(output), "serial_number": found["serialNumber"]}
    screen.result(data, f"Wrote `{output}`: CycloneDX {found['specVersion']}, {count} components")
