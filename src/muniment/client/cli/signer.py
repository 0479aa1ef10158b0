"""`muniment signer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muniment.client.cli.screen import Json, Screen, table
from muniment.core.errors import BadPath

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Say whose signatures of models and provenance are believed.",
)

Name = Annotated[str, typer.Argument(help="What the signer is called here.")]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    key: Annotated[
        Path | None, typer.Option(help="Its public key, in PEM.", metavar="PUBLIC.pem")
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(help="Instead: certificates of the authority that issues its, in PEM."),
    ] = None,
    trusted_root: Annotated[
        Path | None,
        typer.Option(
            help="Instead: Sigstore's trusted_root.json; with --issuer and --identity.",
            metavar="JSON",
        ),
    ] = None,
    use: Annotated[
        list[str] | None, typer.Option(help="`signature`, `provenance`; may be repeated.")
    ] = None,
    builder: Annotated[
        list[str] | None,
        typer.Option(help="A builder id whose provenance it may sign; `…*` for any rest."),
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            help="With --authority or --trusted-root: an e-mail, URI or DNS name of certificates;"
            " with the latter `…*` for any rest."
        ),
    ] = None,
    issuer: Annotated[
        str,
        typer.Option(help="With --trusted-root: whose ID tokens, https://accounts.google.com."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Believe a signer from now on; the act is in the log."""
    screen = Screen(ctx, as_json=as_json)
    kind, file = _only({"key": key, "certificate": authority, "sigstore": trusted_root})
    uses = use or (["provenance"] if builder else ["signature"])
    with screen.client() as client:
        done = client.signers.add(
            name,
            _pem(file),
            uses=uses,
            kind=kind,
            builders=builder or [],
            identities=identity or [],
            issuer=issuer,
        )
    said = f"`{done.name}` is believed for {' and '.join(done.uses)}"
    screen.result(
        done.as_json(), f"{said}. Files that were added before are judged again when added again."
    )


def _only(given: dict[str, Path | None]) -> tuple[str, Path]:
    files = [(kind, file) for kind, file in given.items() if file is not None]
    if len(files) != 1:
        raise typer.BadParameter(
            "give one of `--key PUBLIC.pem`, `--authority CA.pem` and `--trusted-root JSON`"
        )
    return files[0]


def _pem(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise BadPath(f"cannot read text from `{file}`: {error}") from error


@app.command("list")
def list_(
    ctx: typer.Context,
    removed: Annotated[
        bool, typer.Option("--removed", help="Those too that are not believed any more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List whose signatures are believed, and for what."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.signers.list_(removed=removed)
    data = [each.as_json() for each in found]
    if not found:
        hint = "Nobody's signature is believed yet. Add a signer: `muniment signer add NAME --key PUBLIC.pem`"
        screen.result(data, hint)
        return
    rows = [
        (each.name, each.kind, each.uses, [*each.builders, *each.identities], each.added_at, each.removed_at)
        for each in found
    ]  # fmt: skip
    screen.result(data, table(("Name", "Kind", "For", "Of", "Since", "Until"), rows))


@app.command()
def remove(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Believe a signer no more; what it vouched for stays recorded as it was."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.signers.remove(name)
    screen.result(done.as_json(), f"`{name}` is not believed any more")
