"""`muniment login` and `muniment whoami`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from muniment.client import ambient, check, credentials
from muniment.client.cli.screen import Json, Screen, cell, console_on, fields, show
from muniment.core.errors import BadRequest, MunimentError

app = typer.Typer(add_completion=False)


@app.command()
def login(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Argument(help="Such as https://registry.example.")] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from standard input.")
    ] = False,
    ci: Annotated[
        bool, typer.Option("--ci", help="Exchange the ID token of this CI job for one.")
    ] = False,
    oidc: Annotated[
        bool, typer.Option("--oidc", help="Log in with your organisation's account.")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option("--issuer", help="By which, where there are several.")
    ] = None,
    default: Annotated[
        bool, typer.Option("--default/--no-default", help="Use this registry from now on.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Keep a token for a registry, and trust its log key from now on.

    The token comes from a prompt, standard input or `MUNIMENT_TOKEN`; never from an argument,
    where others could read it. With `--ci`, this job's ID token is exchanged for one of 15 minutes.
    With `--oidc`, you are shown an address and a code: say yes there, in any browser.
    """
    if sum((ci, oidc or issuer is not None, token_stdin)) > 1:
        msg = "expected one of `--oidc`, `--ci`, `--token-stdin`"
        raise BadRequest(msg)
    screen = Screen(ctx, as_json=as_json)
    address = credentials.clean_url(url or screen.session.url or _missing_url())
    if ci:
        token = _exchanged(screen, address)
    elif oidc or issuer is not None:
        token = _logged_in(screen, address, issuer)
    else:
        token = _token(token_stdin)
    with screen.session.connect(address, token) as client:
        who = client.whoami()
        path = credentials.save(address, token, default=default)
        try:
            keys, _ = check.trusted_keys(client)
        except BadRequest:
            raise
        except MunimentError as error:
            screen.note(f"The log key is not trusted yet: {error.message}")
        else:
            screen.note(f"Trusting log key `{keys.vkey}`")
    data = {"url": address, "principal": who.as_json(), "credentials": str(path)}
    until = f" until {who.token_expires_at}" if who.token_expires_at else ""
    screen.result(
        data, f"Logged in to {address} as {cell(who.name)}{until}; token kept in `{path}`"
    )


@app.command()
def whoami(ctx: typer.Context, as_json: Json = False) -> None:
    """Show whose token is used, where, and what it may do."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        who = client.whoami()
        rows = [("Registry", client.url), ("Name", who.name), ("Kind", who.kind), ("Id", who.id)]
        until = [("Until", who.token_expires_at)] if who.token_expires_at else []
        data = {"url": client.url, **who.as_json()}
    roles = [grant_text(grant) for grant in who.grants]
    shown = [*rows, *until, ("Roles", roles or "none; ask an administrator")]
    screen.result(data, fields(shown))


def grant_text(grant: dict[str, object]) -> str:
    """Return `role`, `role in NAMESPACE` or `role on NAMESPACE/NAME`."""
    scope = grant.get("scope")
    at = scope if isinstance(scope, dict) else grant
    namespace, asset = at.get("namespace"), at.get("asset")
    if not namespace:
        return str(grant.get("role"))
    return (
        f"{grant.get('role')} on {namespace}/{asset}"
        if asset
        else f"{grant.get('role')} in {namespace}"
    )


def _missing_url() -> str:
    msg = "give the registry's address: `muniment login https://registry.example`"
    raise BadRequest(msg)


def _exchanged(screen: Screen, address: str) -> str:
    made = ambient.exchange(address)
    screen.note(f"Until {made.expires_at} this job may: {', '.join(made.permits)}")
    return made.token


def _logged_in(screen: Screen, address: str, issuer: str | None) -> str:
    from muniment.client import device  # noqa: PLC0415 -- for this alone

    def say(text: str) -> None:
        show(console_on(sys.stderr), text)  # even if asked to be quiet: nothing goes on without

    made = device.log_in(address, issuer, say=say)
    screen.note(f"Until {made.expires_at} you are {cell(made.principal.name)}")
    return made.token


def _token(from_stdin: bool) -> str:
    if from_stdin:
        token = sys.stdin.readline().strip()
    else:
        token = os.environ.get("MUNIMENT_TOKEN") or typer.prompt("Token", hide_input=True, err=True)
    if not token:
        msg = "expected a token, found nothing; an administrator makes one with `muniment token create`"
        raise BadRequest(msg)
    return token
