"""`muniment key`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.people import came_in, makers
from muniment.client.cli.screen import Json, Screen, table

if TYPE_CHECKING:
    from muniment.client.signing import OwnKey

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Make the key you sign approvals with; list and revoke keys.",
)

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="Your private key (`MUNIMENT_KEY_PASSWORD` where it is encrypted); else the one that"
        " `muniment key create` made.",
    ),
]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is called.")] = "default",
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Where the private key is, or is to be; else in your settings."),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Encrypt it; `MUNIMENT_KEY_PASSWORD` or asked for.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key of your own and tell the registry its public half. Repeatable.

    The private key stays in a file only you can read. A key that is there already is used.
    """
    from muniment.client import keys  # noqa: PLC0415 -- slow to import

    screen = Screen(ctx, as_json=as_json)
    file = key or keys.key_file(name)
    made = not file.exists()
    password = _password(file, new=made) if passphrase or not made else None
    if made:
        keys.make_key(file, password)
    with screen.client() as client:
        own = read_own(file, password)
        done = client.keys.create(own, name=name)
    said = f"{'Made' if made else 'Using'} `{file}`; it stays on this machine. Keep a copy where only you can get at it."
    screen.result(
        {**done.as_json(), "file": str(file)},
        said,
        f"The registry knows it as your key `{done.name}` ({done.key_sha256[:16]}…).",
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's, not only yours.")] = False,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List keys, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.keys.list_(own=not everybody, revoked=revoked)
        whose = {each.principal_id for each in found} | makers(each.came_in for each in found)
        names = client.principals.names(whose) if found else {}
    data = [each.as_json() for each in found]
    if not found:
        screen.result(data, "There are none yet. Make one: `muniment key create`")
        return
    rows = [
        (
            each.name,
            names.get(each.principal_id, each.principal_id),
            each.id,
            each.key_sha256[:16],
            came_in(each.came_in, names),
            each.created_at,
            each.revoked_at,
        )
        for each in found
    ]
    screen.result(
        data, table(("Name", "Whose", "Id", "SHA-256", "Made known by", "Since", "Revoked"), rows)
    )


@app.command()
def revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The name of your key, or the id of any.")],
    as_json: Json = False,
) -> None:
    """Have a key count no more, for good; approvals it signed do not count either."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.keys.revoke(key)
    screen.result(done.as_json(), f"The key `{done.name}` ({done.id}) is revoked")


def own_key(file: Path | None) -> OwnKey | None:
    """Return the key to sign with: in `file`, or the default or only one; None if there is none.

    Raises:
        BadProof: it cannot be read.
    """
    from muniment.client import keys  # noqa: PLC0415 -- slow to import

    if file is None:
        file = keys.only_key()
        if file is None:
            return None
    return read_own(file, _password(file, new=False))


def read_own(file: Path, password: str | None) -> OwnKey:
    """Read a private key that others cannot.

    Raises:
        BadProof: it cannot be read.
        BadPath: others can read it.
    """
    from muniment.client.signing import read_key  # noqa: PLC0415 -- slow to import
    from muniment.core.errors import BadPath  # noqa: PLC0415 -- beside it

    if os.name == "posix" and file.exists() and file.stat().st_mode & 0o077:
        raise BadPath(f"`{file}` can be read by others; run `chmod 600 {file}`")
    return read_key(file, password)


def _password(file: Path, *, new: bool) -> str | None:
    from muniment.client.signing import needs_password  # noqa: PLC0415 -- slow to import

    password = os.environ.get("MUNIMENT_KEY_PASSWORD")
    if password is not None:
        return password
    if new:
        return str(
            typer.prompt(
                f"Password for {file}", hide_input=True, confirmation_prompt=True, err=True
            )
        )
    if needs_password(file) and sys.stdin.isatty():
        return str(typer.prompt(f"Password of {file}", hide_input=True, err=True))
    return None
