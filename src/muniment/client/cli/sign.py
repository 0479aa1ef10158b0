"""`muniment sign`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.screen import Json, Screen
from muniment.core.errors import BadPath

if TYPE_CHECKING:
    from muniment.client.records import AddedEvidence
    from muniment.client.signing import OwnKey

app = typer.Typer(add_completion=False)


@app.command()
def sign(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")],
    key: Annotated[
        Path | None,
        typer.Option(
            help="Your private key (ECDSA, PEM; `MUNIMENT_KEY_PASSWORD` where it is encrypted)."
            " Without: the registry signs with its record key."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the signature here as well.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add/--no-add", help="Whether to record it as evidence.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Sign a version's files as `model_signing` does, from its manifest: nothing is downloaded."""
    screen = Screen(ctx, as_json=as_json)
    if key is None and not add:
        raise typer.BadParameter("`--no-add` needs `--key`: what the registry signs is evidence")
    if output is not None and output.exists():
        raise BadPath(f"`{output}` is there already; remove it, or say where else")
    own = None if key is None else _own(key)
    with screen.client() as client:
        if own is None:
            signed = client.signing.sign_with_registry(ref)
        else:
            signed = client.signing.sign(ref, own, add=add)
    if output is not None:
        output.write_bytes(signed.as_bytes())
    hint = signed.bundle["verificationMaterial"]["publicKey"]["hint"]
    data = {
        "ref": ref,
        "by": "registry" if own is None else "key",
        "key_sha256": hint,
        "output": None if output is None else str(output),
        "evidence": None if signed.evidence is None else signed.evidence.as_json(),
        "bundle": signed.bundle,
    }
    whose = "the registry's record key" if own is None else f"your key ({hint[:16]}…)"
    lines = [f"Signed the files of `{ref}` with {whose}."]
    if output is not None:
        lines.append(f"Wrote `{output}`.")
    screen.result(data, *lines, *_recorded(signed.evidence))


def _own(file: Path) -> OwnKey:
    from muniment.client.signing import needs_password, read_key  # noqa: PLC0415 -- slow to import

    password = os.environ.get("MUNIMENT_KEY_PASSWORD")
    if password is None and needs_password(file) and sys.stdin.isatty():
        password = typer.prompt(f"Password of {file}", hide_input=True, err=True)
    return read_key(file, password)


def _recorded(evidence: AddedEvidence | None) -> list[str]:
    if evidence is None:
        return []
    how = "Recorded as" if evidence.created else "It was there already, as"
    lines = [f"{how} evidence {evidence.id}: {evidence.assurance}, {evidence.assurance_reason}."]
    if evidence.assurance != "verified":
        lines.append(
            "To have it verified, an administrator believes the key: `muniment signer add NAME"
            " --key PUBLIC.pem --use signature`; then add it again."
        )
    return lines
