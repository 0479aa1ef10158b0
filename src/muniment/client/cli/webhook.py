"""`muniment webhook`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.core.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from muniment.client.client import Client
    from muniment.client.webhooks import Webhook

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Have others told, by HTTP, of what is done."
)

Which = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, or its name.")]
Event = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="NAME", help="Such as version.promote, version.*, *. Repeat."),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="Only what is done there; '' is everywhere.")
]
Text = Annotated[str | None, typer.Option("--description")]
_NOT_DELIVERED = 1


def _id(client: Client, which: str) -> str:
    """Return the id of a webhook that may be told by its name."""
    try:
        return str(uuid.UUID(which))
    except ValueError:
        pass
    found = [each.id for each in client.webhooks.list_() if each.name == which]
    if not found:
        msg = f"there is no webhook called {which}: see `muniment webhook list`"
        raise NotFound(msg)
    if len(found) > 1:
        msg = f"{len(found)} webhooks are called {which}: give the id ({', '.join(found)})"
        raise BadRequest(msg)
    return found[0]


def _shown(webhook: Webhook) -> Any:
    return fields(
        [
            ("Webhook", webhook.id),
            ("Name", webhook.name),
            ("URL", webhook.url),
            ("Events", ", ".join(webhook.events)),
            ("Status", webhook.status),
            ("Only in", webhook.namespace),
            ("Format", webhook.dialect),
            ("Signed", "yes" if webhook.signed else "no"),
            ("Description", webhook.description),
            ("Created", webhook.created_at),
            ("Changed", webhook.updated_at),
            ("Revision", webhook.revision),
            ("Log entry", webhook.entry_id),
        ]
    )


def _tell_secret(screen: Screen, webhook: Webhook) -> None:
    if webhook.secret:
        screen.note("The secret that verifies its deliveries. It is not shown again:")


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="Where to POST, such as https://example.com/hook.")],
    event: Event = None,
    description: Text = None,
    namespace: Namespace = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", envvar="MUNIMENT_WEBHOOK_SECRET", help="whsec_…; else made."),
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Tell it nothing yet.")] = False,
    as_json: Json = False,
) -> None:
    """Create a webhook; its secret is shown this once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        made = client.webhooks.create(
            name,
            url,
            event or ["*"],
            description=description or "",
            namespace=namespace or None,
            secret=secret,
            enabled=not disabled,
        )
    _tell_secret(screen, made)
    screen.result(made.as_json(), *([made.secret] if made.secret else []), _shown(made))


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option("--status", metavar="active|disabled", help="Only these.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List webhooks, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.webhooks.list_(status=status)
    rows = [
        (each.id, each.name, each.status, ", ".join(each.events), each.namespace, each.url)
        for each in found
    ]
    columns = ("Id", "Name", "Status", "Events", "Only in", "URL")
    shown = table(columns, rows) if rows else "There is no webhook"
    screen.result([each.as_json() for each in found], shown)


@app.command()
def show(ctx: typer.Context, which: Which, as_json: Json = False) -> None:
    """Show a webhook."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.webhooks.get(_id(client, which))
    screen.result(found.as_json(), _shown(found))


@app.command()
def update(
    ctx: typer.Context,
    which: Which,
    name: Annotated[str | None, typer.Option("--name")] = None,
    url: Annotated[str | None, typer.Option("--url", help="Where to POST.")] = None,
    event: Event = None,
    description: Text = None,
    namespace: Namespace = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it is told anything.")
    ] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Replace its secret; the new one is shown once.")
    ] = False,
    overlap_hours: Annotated[
        int, typer.Option("--overlap-hours", help="How long the old secret signs as well.")
    ] = 24,
    as_json: Json = False,
) -> None:
    """Change a webhook; what is not given stays."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        webhook_id = _id(client, which)
        changed = client.webhooks.update(
            webhook_id,
            name=name,
            url=url,
            events=event or None,
            description=description,
            namespace=namespace,
            enabled=enabled,
        )
        if new_secret:
            changed = client.webhooks.new_secret(webhook_id, overlap_hours=overlap_hours)
    _tell_secret(screen, changed)
    screen.result(changed.as_json(), *([changed.secret] if changed.secret else []), _shown(changed))


@app.command()
def delete(ctx: typer.Context, which: Which, as_json: Json = False) -> None:
    """Delete a webhook and its delivery log."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        webhook_id = _id(client, which)
        client.webhooks.delete(webhook_id)
    screen.result({"id": webhook_id, "deleted": True}, f"Webhook `{webhook_id}` is deleted")


@app.command("test")
def try_(ctx: typer.Context, which: Which, as_json: Json = False) -> None:
    """Send an event that says it is a test; exits with 1 if it is not taken."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        told = client.webhooks.test(_id(client, which))
    how = f"in {told.duration_ms} ms" if told.delivered else f"not delivered: {told.error}"
    answered = "" if told.status is None else f"answered {told.status}"
    screen.result(told.as_json(), ", ".join(part for part in (answered, how) if part))
    if not told.delivered:
        raise typer.Exit(_NOT_DELIVERED)


@app.command()
def deliveries(
    ctx: typer.Context,
    which: Which,
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="Show the attempts of this one.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="due|delivered|failed", help="Only these.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what a webhook was sent, newest first, or the attempts of one delivery."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        webhook_id = _id(client, which)
        if delivery is not None:
            one = client.webhooks.delivery(webhook_id, delivery)
            tries = [
                (each["number"], each["at"], each["duration_ms"], each["status"], each["error"])
                for each in one.log
            ]
            heads = ("Attempt", "At", "ms", "Status", "Error")
            screen.result(one.as_json(), f"`{one.event}` is {one.state}", table(heads, tries))
            return
        found = client.webhooks.deliveries(webhook_id, state=state, limit=limit)
    rows = [
        (each.id, each.event, each.state, each.attempts, each.created_at, each.due_at, each.error)
        for each in found
    ]
    columns = ("Id", "Event", "State", "Attempts", "Created", "Next", "Error")
    shown = table(columns, rows) if rows else "Nothing was sent yet"
    screen.result([each.as_json() for each in found], shown)


@app.command()
def redeliver(
    ctx: typer.Context,
    which: Which,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY")],
    as_json: Json = False,
) -> None:
    """Send a delivery again, under its own id."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        sent = client.webhooks.redeliver(_id(client, which), delivery)
    screen.result(sent.as_json(), f"Delivery `{sent.id}` (`{sent.event}`) is {sent.state}")
