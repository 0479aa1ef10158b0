"""`muniment lineage-events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, table
from muniment.core.errors import BadBody, BadPath

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Tell of runs elsewhere with OpenLineage events; see what was told.",
)


@app.command()
def add(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="Events: JSON, a JSON list, or one a line (JSON Lines).")
    ],
    as_json: Json = False,
) -> None:
    """Record OpenLineage events from files. What was told before is not recorded again."""
    screen = Screen(ctx, as_json=as_json)
    events = [one for file in files for one in _events(file)]
    with screen.client() as client:
        done = client.lineage.tell(events)
    new = sum(1 for one in done if one.created)
    data = {"created": new, "items": [one.as_json() for one in done]}
    screen.result(data, f"{new} recorded, {len(done) - new} told before")


def _events(file: Path) -> list[Any]:
    """Return the events of a file, each as it is written there."""
    import msgspec  # noqa: PLC0415 -- slow; not for `--help`

    try:
        data = file.read_bytes().strip()
    except OSError as error:
        raise BadPath(f"cannot read `{file}`: {error.strerror}") from None
    try:
        if data.startswith(b"["):
            return msgspec.json.decode(data, type=list[msgspec.Raw])
        try:
            msgspec.json.decode(data)
        except msgspec.DecodeError:
            lines = [line for line in data.splitlines() if line.strip()]
            for line in lines:
                msgspec.json.decode(line)
            return [msgspec.Raw(line) for line in lines]
        return [msgspec.Raw(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(
            f"`{file}`: expected OpenLineage events as JSON, found a mistake: {error}"
        ) from None


@app.command("list")
def list_(
    ctx: typer.Context,
    about: Annotated[
        str | None, typer.Argument(help="run:UUID or job:NAMESPACE/NAME; else all.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List what was told, the newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.lineage.events(about, limit=limit)
        add_names(client, (one.recorded_by for one in found))
    rows = [
        (
            one.id,
            one.about,
            one.event_type,
            one.event_time,
            len(one.inputs),
            len(one.outputs),
            one.recorded_by.get("name") or one.recorded_by.get("id"),
        )
        for one in found
    ]
    columns = ("Id", "About", "Type", "Time", "Inputs", "Outputs", "Told by")
    hint = (
        "Nothing was told yet: `muniment lineage-events add FILE…`, or point OPENLINEAGE_URL here"
    )
    screen.result([one.as_json() for one in found], table(columns, rows) if rows else hint)


@app.command()
def show(
    ctx: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID")],
    as_json: Json = False,
) -> None:
    """Print an event as it was sent."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        told = client.lineage.event(event_id)
    screen.result(told, json.dumps(told, indent=2, ensure_ascii=True))
