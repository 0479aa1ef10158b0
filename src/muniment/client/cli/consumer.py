"""`muniment consumer`.

Exit codes of `bind`: 0 allowed, 3 denied, 4 evidence missing, 5 approval pending, 1 error.
"""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.core.errors import BadReference, Refused

if TYPE_CHECKING:
    from muniment.client.consumers import Binding

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Say which systems use an asset, and for what; see how that stands.",
)

BindingId = Annotated[str, typer.Argument(metavar="ID", help="Id of the binding.")]
AsOf = Annotated[
    dt.datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="At that time."),
]


@app.command()
def bind(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME of the asset, or NAME@1.2.0.")],
    system: Annotated[str, typer.Option("--system", help="What uses it.")],
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Where: text, which is never called.")
    ],
    use_case: Annotated[
        str, typer.Option("--use-case", help="For what, as the asset's metadata has it.")
    ],
    environment: Annotated[
        str | None, typer.Option("--env", help="Where it uses what is found there.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help="Only that one; else what the environment finds."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be; no more.")] = False,
    as_json: Json = False,
) -> None:
    """Say that a system uses an asset at an endpoint for a use case, if the rules allow.

    Exits with 0 if allowed, 3 if denied, 4 if evidence is missing, 5 if approval is pending.
    """
    screen = Screen(ctx, as_json=as_json)
    asset, at, named = name.partition("@")
    if at and version not in {None, named}:
        raise BadReference(f"expected one version, found `{name}` and `--version {version}`")
    with screen.client() as client:
        try:
            done = client.consumers.bind(
                asset,
                system=system,
                endpoint=endpoint,
                use_case=use_case,
                environment=environment,
                version=version or named or None,
                reason=reason,
                dry_run=dry_run,
            )
        except Refused as error:
            for line in _ways(error):
                screen.note(line)
            raise
    one = done.binding
    lines = [f"{one.system} {_VERB[done.dry_run, done.created]} {one.ref} for {one.use_case}"]
    if not done.dry_run:
        lines[0] += f": binding {one.id}"
    if done.replaced:
        lines.append(f"It replaces {done.replaced}, which ended")
    if done.would_have_been_refused and not done.warnings:
        lines.append(
            f"Recorded: the rules did not allow it, and this namespace is in {done.enforcement}."
        )
    screen.result(done.as_json(), *lines)
    for warning in done.warnings:
        screen.note(f"Warning: {warning}")


#: By dry run, and whether it was made.
_VERB = {
    (True, False): "would be bound to",
    (False, True): "is bound to",
    (False, False): "was bound already to",
}


def _ways(error: Refused) -> list[str]:
    """Who can help, a line for each way, before the error itself."""
    lines = []
    for way in error.extra.get("ways", ()):
        who = ", ".join(way["people"]) or "nobody holds that role yet"
        run = f"`{way['command']}`" if way["command"] else "see below"
        lines.append(f"{way['rule']}: {run}; who may: {', '.join(way['roles'])} ({who})")
    return lines


@app.command("list")
def list_(
    ctx: typer.Context,
    ref: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only of NAME, or that use NAME@1.2.0.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="Only of that system.")] = None,
    use_case: Annotated[str | None, typer.Option("--use-case", help="Only for that use.")] = None,
    environment: Annotated[str | None, typer.Option("--env", help="Only there.")] = None,
    unacknowledged: Annotated[
        bool, typer.Option("--unacknowledged", help="Only whose version ends and nobody knows.")
    ] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Those too that have ended.")] = False,
    as_of: AsOf = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List who uses what and how each stands, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        bindings = client.consumers.list_(
            ref,
            system=system,
            use_case=use_case,
            environment=environment,
            unacknowledged=unacknowledged,
            ended=ended,
            as_of=_in_utc(as_of),
        )
        found = list(islice(bindings, limit + 1))
    shown = found[:limit]
    data = [one.as_json() for one in shown]
    if not shown:
        nothing = (
            "Every consumer knows of what ends"
            if unacknowledged
            else "No consumers: `muniment consumer bind NAME --system … --endpoint … --use-case …`"
        )
        screen.result(data, nothing)
        return
    rows = [
        (
            one.id,
            one.system,
            one.endpoint,
            one.use_case,
            one.ref,
            one.environment,
            _state(one),
            (one.notice or {}).get("sunset"),
        )
        for one in shown
    ]
    columns = ("Id", "System", "Endpoint", "For", "Uses", "In", "Stands", "Until")
    screen.result(data, table(columns, rows))
    if len(found) > limit:
        screen.note(f"There are more than {limit}: `--limit`")


def _state(one: Binding) -> str:
    if one.ended_at is not None:
        return str(one.ended_as)
    state = str((one.standing or {}).get("state", ""))
    quarantined = ", quarantined" if (one.standing or {}).get("quarantined") else ""
    due = ", to be acknowledged" if (one.notice or {}).get("due") else ""
    return state + quarantined + due


def _in_utc(when: dt.datetime | None) -> dt.datetime | None:
    return when.replace(tzinfo=dt.UTC) if when and when.tzinfo is None else when


@app.command()
def show(
    ctx: typer.Context, binding_id: BindingId, as_of: AsOf = None, as_json: Json = False
) -> None:
    """Show a binding, how it stands and why."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        one = client.consumers.get(binding_id, as_of=_in_utc(as_of))
        add_names(client, _actors(one))
    screen.result(one.as_json(), fields(_pairs(one)))


def _actors(one: Binding) -> list[dict[str, Any]]:
    known = (one.notice or {}).get("acknowledged_by")
    return [each for each in (one.by, one.ended_by, known) if each]


def _pairs(one: Binding) -> list[tuple[str, object]]:
    notice = one.notice or {}
    return [
        ("Binding", one.id),
        ("System", one.system),
        ("Endpoint", one.endpoint),
        ("Use case", one.use_case),
        ("Uses", one.ref if one.version else f"{one.ref} (what is found there now)"),
        ("Environment", one.environment),
        ("Stands", _state(one)),
        ("Why", "; ".join((one.standing or {}).get("why", []))),
        ("Until", notice.get("sunset")),
        ("Told", _time(notice.get("since"))),
        ("Acknowledged", _time(notice.get("acknowledged_at"))),
        ("Acknowledged by", _called(notice.get("acknowledged_by"))),
        ("Note", notice.get("note")),
        ("Bound", one.bound_at),
        ("Bound by", _called(one.by)),
        ("Reason", one.reason),
        ("Log entry", one.entry_id),
        ("Ended", one.ended_at),
        ("Ended by", _called(one.ended_by)),
        ("Ended because", one.ended_reason),
    ]


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _called(actor: dict[str, Any] | None) -> object:
    return None if actor is None else actor.get("name") or actor.get("id")


@app.command()
def end(
    ctx: typer.Context,
    binding_id: BindingId,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    as_json: Json = False,
) -> None:
    """End a binding: who made it, who owns the asset, or who governs there."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        one = client.consumers.end(binding_id, reason=reason)
    screen.result(one.as_json(), f"{one.system} does not use {one.ref} any more ({one.id})")


@app.command()
def acknowledge(
    ctx: typer.Context,
    binding_id: BindingId,
    note: Annotated[str, typer.Option("--note", help="What will be done, and when.")] = "",
    as_json: Json = False,
) -> None:
    """Say for a consumer that you know that the version it uses ends."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        one = client.consumers.acknowledge(binding_id, note=note)
    mark = (one.notice or {}).get("mark")
    screen.result(one.as_json(), f"Acknowledged for {one.system}: {one.ref} is {mark} ({one.id})")
