"""`muniment policy show` and `diff`: of bundles on this machine, or of those a registry holds.

Nothing of the server is loaded unless there is a bundle on this machine to be read.
"""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from muniment.core.errors import Unavailable

if TYPE_CHECKING:
    from muniment.server.policy.records import Bundle

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_THERE: Final = re.compile(r"active|[0-9a-f]{64}")
_WHAT: Final = "Folder, .tar.gz, digest, `active` (in force) or `starter`."


class Session(Protocol):
    """What the root of the command line knows of this run, and how it reaches the registry."""

    as_json: bool
    url: str | None

    def connect(self, url: str | None, token: str | None) -> AbstractContextManager[Any]:
        """Return a client of the registry."""
        ...


@app.command()
def show(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="[WHAT]", help=_WHAT)] = "starter",
    as_json: AsJson = False,
) -> None:
    """Print the criteria of a bundle for people, in Markdown."""
    session = _session(ctx, as_json)
    if not _THERE.fullmatch(what):
        policy, bundle = _local(what)
        known = policy.criteria_json(bundle) if as_json else policy.criteria(bundle)
    else:
        with session.connect(session.url, None) as client:
            found = client.policies.bundle(what)
        shown = {"digest": found.digest, "rules": found.rules, "data": found.data}
        known = shown if as_json else found.criteria
    _print(known) if as_json else typer.echo(known, nl=False)


@app.command()
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help=_WHAT)],
    after: Annotated[str, typer.Argument(help=_WHAT)],
    as_json: AsJson = False,
) -> None:
    """Say how two bundles differ: rules, tables, other files. Exits with 0 either way."""
    session = _session(ctx, as_json)
    if _THERE.fullmatch(before) and _THERE.fullmatch(after):
        with session.connect(session.url, None) as client:
            told = client.policies.differences(after, before)
        one, other, found = told.before, told.after, told.differences
    else:
        policy, was = _bundle(session, before)
        _, now = _bundle(session, after)
        one, other, found = was.digest, now.digest, policy.differences(was, now)
    if as_json:
        _print({"before": one, "after": other, "differences": found})
        return
    for each in found:
        detail = f": {each['detail']}" if each["detail"] else ""
        typer.echo(f"{each['what']} {each['change']}{detail}")
    typer.echo(f"{len(found)} differences" if found else "the same")


def _session(ctx: typer.Context, as_json: bool) -> Session:
    session: Session = ctx.find_root().obj
    session.as_json = as_json
    return session


def _bundle(session: Session, what: str) -> tuple[Any, Bundle]:
    """Return the bundle that is meant, wherever it is, and what reads it."""
    if not _THERE.fullmatch(what):
        return _local(what)
    policy = _policy()
    with session.connect(session.url, None) as client:
        data = client.policies.download(what)
    return policy, policy.read_held(policy.unpack(data))


def _local(what: str) -> tuple[Any, Bundle]:
    policy = _policy()
    place = policy.STARTER if what == "starter" else Path(what)
    return policy, policy.read_bundle(policy.read_files(place))


def _policy() -> Any:
    try:
        from muniment.server import policy  # noqa: PLC0415 -- slow, and not always installed
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"reading a bundle needs the server, which is not installed (no module `{error.name}`):"
            " run `pip install 'muniment[server]'`"
        ) from error
    return policy


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
