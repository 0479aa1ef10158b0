"""`muniment jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.client.cli.screen import Json, Screen, table

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Look at the job queue; run jobs again."
)


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[
        str | None, typer.Option("--state", metavar="due|running|dead", help="Only these.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only jobs of this name.")] = None,
    as_json: Json = False,
) -> None:
    """List jobs that are not done, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        jobs = client.jobs.list_(state=state, name=name)
    rows = [
        (each.id, each.name, each.state, each.attempts, each.due_at, each.error) for each in jobs
    ]
    columns = ("Id", "Name", "State", "Failed", "Due", "Last error")
    shown = table(columns, rows) if rows else "Nothing is due, running or dead"
    screen.result([each.as_json() for each in jobs], shown)


@app.command()
def retry(
    ctx: typer.Context, job_id: Annotated[int, typer.Argument()], as_json: Json = False
) -> None:
    """Have a dead or waiting job run now, with all its attempts again."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        job = client.jobs.retry(job_id)
    screen.result(job.as_json(), f"Job {job.id} (`{job.name}`) is {job.state}")
