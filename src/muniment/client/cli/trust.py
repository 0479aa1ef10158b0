"""`muniment trust`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from muniment.client.cli.logins import app as people_app
from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.client.trusted import Publisher, Tried
from muniment.core.errors import BadRequest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Say which pipelines an asset trusts, and how people log in.",
)
issuer_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Say who is believed about pipelines."
)
app.add_typer(issuer_app, name="issuer")
app.add_typer(people_app, name="people")

Asset = Annotated[str, typer.Argument(metavar="[NAMESPACE/]NAME")]
Id = Annotated[str, typer.Argument(metavar="PUBLISHER_ID")]


@app.command()
def add(
    ctx: typer.Context,
    name: Asset,
    issuer: Annotated[str, typer.Option("--issuer", help="Its name here.")],
    permit: Annotated[
        list[str],
        typer.Option(
            "--permit", help="register, evidence, use or promote:ENVIRONMENT; repeatable."
        ),
    ],
    repository_id: Annotated[
        str, typer.Option("--repository-id", help="Its number at the issuer; else the subject.")
    ],
    owner_id: Annotated[str | None, typer.Option("--owner-id", help="Its owner's number.")] = None,
    repository: Annotated[
        str | None, typer.Option("--repository", help="OWNER/NAME, to be shown.")
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="PATH@REF", help="Pinned: a ref or commit.")
    ] = None,
    environment: Annotated[str | None, typer.Option("--environment", help="Of the CI.")] = None,
    ref: Annotated[str | None, typer.Option("--ref", help="The branch or tag it runs on.")] = None,
    unprotected: Annotated[
        bool, typer.Option("--unprotected", help="Accept refs that are not protected.")
    ] = False,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="What may start it; repeatable.")
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option("--claim", metavar="NAME=VALUE", help="What else must be; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Trust a pipeline for an asset, which need not exist yet."""
    screen = Screen(ctx, as_json=as_json)
    said = {
        "repository_id": repository_id,
        "owner_id": owner_id,
        "repository": repository,
        "workflow": workflow,
        "environment": environment,
        "ref": ref,
        "protected": not unprotected,
        "events": event or [],
        "claims": _claims(claim or []),
    }
    rule = {key: value for key, value in said.items() if value is not None}
    with screen.client() as client:
        made = client.publishers.add(name, issuer=issuer, permits=permit, rule=rule)
    for warning in made.warnings:
        screen.note(f"Note: {warning}")
    screen.result(made.as_json(), _shown(made))


def _claims(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    wrong = [name for name, equals, value in pairs if not (name and equals and value)]
    if wrong:
        msg = f"expected `--claim NAME=VALUE`, found `{wrong[0]}`"
        raise typer.BadParameter(msg)
    return {name: value for name, _, value in pairs}


@app.command("list")
def list_(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAMESPACE/]NAME")] = None,
    everything: Annotated[
        bool, typer.Option("--removed", help="Those that are trusted no more, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the pipelines an asset trusts, or all assets."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.publishers.list_(name)
    shown = [each for each in found if everything or each.removed_at is None]
    rows = [
        (
            each.id,
            f"{each.namespace}/{each.asset}",
            each.issuer.name,
            each.rule.get("repository") or each.rule.get("repository_id"),
            each.permits,
            each.last_used_at or "never",
            *((each.removed_at,) if everything else ()),
        )
        for each in shown
    ]
    columns = ("Id", "Asset", "Issuer", "Repository", "Permits", "Last used")
    titles = (*columns, "Removed") if everything else columns
    data = [each.as_json() for each in shown]
    screen.result(data, table(titles, rows) if rows else "no pipeline is trusted")


@app.command()
def show(ctx: typer.Context, name: Asset, publisher_id: Id, as_json: Json = False) -> None:
    """Show a trusted pipeline."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.publishers.get(name, publisher_id)
    for warning in found.warnings:
        screen.note(f"Note: {warning}")
    screen.result(found.as_json(), _shown(found))


@app.command()
def remove(ctx: typer.Context, name: Asset, publisher_id: Id, as_json: Json = False) -> None:
    """Trust a pipeline no more; its tokens stop working at once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.publishers.remove(name, publisher_id)
    screen.result(found.as_json(), f"`{publisher_id}` is trusted no more")


@app.command("test")
def try_(
    ctx: typer.Context,
    name: Asset,
    id_token: Annotated[
        str | None, typer.Option("--id-token", metavar="FILE", help="Holds one; - is stdin.")
    ] = None,
    claims: Annotated[
        str | None, typer.Option("--claims", metavar="FILE", help="Claims as JSON; - is stdin.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say line by line what of an ID token or of claims matches; nothing is used up.

    Exits with 3 if it would be let in by nothing.
    """
    screen = Screen(ctx, as_json=as_json)
    if (id_token is None) == (claims is None):
        msg = "give either `--id-token FILE` or `--claims FILE`"
        raise BadRequest(msg)
    with screen.client() as client:
        if id_token is not None:
            found = client.publishers.test(name, id_token=_read(id_token).strip())
        else:
            found = client.publishers.test(name, claims=_object(_read(claims or "-")))
    if found.refused:
        screen.note(f"Not accepted: {found.refused}")
    shown = [part for each in found.publishers for part in _tried(each)]
    permits = ", ".join(found.permits) or "nothing"
    screen.result(found.as_json(), *(shown or ["no pipeline is trusted"]), f"It may: {permits}")
    if not found.permits:
        raise typer.Exit(3)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read `{file}` ({error})"
        raise BadRequest(msg) from error


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        msg = f"expected claims as JSON ({error})"
        raise BadRequest(msg) from error
    if not isinstance(found, dict):
        msg = "expected claims as a JSON object"
        raise BadRequest(msg)
    return found


def _tried(one: Tried) -> list[Any]:
    rows = [
        ("ok" if line.matches else "NO", line.what, line.claim, line.expected, line.found or "-")
        for line in one.lines
    ]
    verdict = "matches" if one.matches else "does not match"
    title = f"Publisher {one.publisher_id} ({', '.join(one.permits)}) {verdict}:"
    return [title, table(("", "What", "Claim", "Expected", "Found"), rows)]


def _shown(one: Publisher) -> Any:
    rule = one.rule
    rows: list[tuple[str, Any]] = [
        ("Id", one.id),
        ("Asset", f"{one.namespace}/{one.asset}"),
        ("Issuer", f"{one.issuer.name} ({one.issuer.url})"),
        ("Repository", rule.get("repository")),
        ("Repository id", rule.get("repository_id")),
        ("Owner id", rule.get("owner_id")),
        ("Workflow", rule.get("workflow")),
        ("Environment", rule.get("environment")),
        ("Ref", rule.get("ref")),
        ("Protected refs only", "yes" if rule.get("protected") else "no"),
        ("Events", rule.get("events")),
        ("Claims", [f"{key}={value}" for key, value in (rule.get("claims") or {}).items()]),
        ("Permits", one.permits),
        ("Principal", one.principal_id),
        ("Last used", one.last_used_at or "never"),
        ("Removed", one.removed_at),
    ]
    return fields([(title, value) for title, value in rows if value])


@issuer_app.command("add")
def add_issuer(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it here.")],
    url: Annotated[str, typer.Argument(help="Exactly the `iss` of its tokens.")],
    provider: Annotated[
        str, typer.Option("--provider", help="github, gitlab, buildkite, google or generic.")
    ] = "generic",
    as_json: Json = False,
) -> None:
    """Believe what an issuer says of pipelines."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        made = client.publishers.add_issuer(name, url, provider=provider)
    hint = f"trust its pipelines with `muniment trust add NAME --issuer {made.name} …`"
    screen.result(made.as_json(), f"`{made.url}` is believed, as `{made.name}`; {hint}")


@issuer_app.command("list")
def list_issuers(ctx: typer.Context, as_json: Json = False) -> None:
    """List issuers, removed ones too."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.publishers.issuers()
    rows = [(each.name, each.url, each.provider, each.removed_at) for each in found]
    titles = ("Name", "URL", "Provider", "Removed")
    data = [each.as_json() for each in found]
    screen.result(data, table(titles, rows) if rows else "no issuer is believed")


@issuer_app.command("remove")
def remove_issuer(
    ctx: typer.Context, name: Annotated[str, typer.Argument()], as_json: Json = False
) -> None:
    """Believe an issuer no more; its publishers are removed with it."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        gone = client.publishers.remove_issuer(name)
    screen.result(
        gone.as_json(), f"`{gone.url}` is believed no more, nor are its publishers trusted"
    )
