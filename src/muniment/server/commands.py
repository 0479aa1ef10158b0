"""What the server adds to the command line: `serve`, `worker`, `migrate`, `fsck`, `state`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import structlog
import typer

from muniment.core.errors import BadRequest
from muniment.server.setting_values import duration
from muniment.server.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Directory of the embedded database, blobs and keys."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


_AGE_MIN = dt.timedelta(hours=1)


class SaveCredentials(Protocol):
    """Keeps a token where the command line on this machine finds it."""

    def __call__(self, url: str, token: str, *, default: bool = True) -> Path:
        """Keep `token` for the registry at `url`; return the file it is in."""
        ...


class Session(Protocol):
    """What the root of the command line offers its commands."""

    save_credentials: SaveCredentials


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    data: Data = None,
) -> None:
    """Run a registry on this machine: the API, the sequencer and the jobs.

    Without `MUNIMENT_DATABASE_URL` it runs its own PostgreSQL in the data directory.
    """
    _log_to_stderr()
    settings = Settings.from_env(os.environ, data_dir=data, host=host, port=port)
    _private(settings.data_dir)
    session: Session = ctx.find_root().obj
    # Signals end the serving loop; what comes after it must still run.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    from muniment.server import wiring  # noqa: PLC0415 -- slow; not for `--help`
    from muniment.server.listening import listen  # noqa: PLC0415 -- the same

    async def main(place: wiring.Place) -> None:
        async with wiring.open_registry(settings, place) as registry:
            await listen(
                registry.app,
                settings.host,
                settings.port,
                announce=lambda at: _announce(registry, at, session),
            )

    with wiring.database(settings) as place:
        _run(lambda: main(place))


@app.command()
def worker(
    data: Data = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", help="How many jobs to run at the same time.")
    ] = None,
) -> None:
    """Run jobs for a registry, without the API; any number of workers may share a database.

    What `serve` does by itself (MUNIMENT_JOBS=true) can so be given to other machines. A worker
    that is killed loses nothing: its jobs are run again by another.
    """
    _log_to_stderr()
    settings = Settings.from_env(os.environ, data_dir=data, jobs_at_once=at_once)
    from muniment.server import wiring  # noqa: PLC0415 -- slow; not for `--help`

    async def main(place: wiring.Place) -> None:
        over = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        async with wiring.open_worker(settings, place):
            typer.echo("The worker is ready")
            sys.stdout.flush()
            await over.wait()

    with wiring.database(settings, attach=True) as place:
        _run(lambda: main(place))


@app.command()
def migrate(
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL; run nothing.")] = False,
    only_pre: Annotated[
        bool, typer.Option("--pre", help="Only what the release before this one tolerates.")
    ] = False,
) -> None:
    """Bring the database to this release's schema. Repeating it does nothing."""
    from muniment.server import migrations, wiring  # noqa: PLC0415 -- slow; not for `--help`

    settings = Settings.from_env(os.environ, data_dir=data)
    phase: migrations.Phase = "pre" if only_pre else "all"
    with wiring.database(settings, attach=True) as place:
        if dry_run:
            planned = _run(lambda: migrations.plan(place.owner_url, phase=phase))
            typer.echo(planned or "-- nothing is pending")
            return
        ran = _run(lambda: place.migrate(phase))
    for migration in ran:
        typer.echo(f"ran {migration.path.name}")
    if not ran:
        typer.echo("the schema is current")


@app.command()
def fsck(
    data: Data = None,
    sample: Annotated[
        str, typer.Option(help="How many blobs to read and hash again: a number, or `all`.")
    ] = "100",
    as_json: AsJson = False,
) -> None:
    """Compare every table with the log, and stored bytes with their digests.

    Exits with 1 when anything differs, and names the first difference of each table. Works beside a
    running server and without one.
    """
    from muniment.server import upkeep, wiring  # noqa: PLC0415 -- slow; not for `--help`

    settings = Settings.from_env(os.environ, data_dir=data)
    count = _sample(sample)
    with wiring.database(settings, attach=True) as place:
        report = _run(lambda: upkeep.check(settings, place.url, sample=count, progress=_progress()))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        _tell(report)
    raise typer.Exit(0 if report.clean else 1)


@app.command()
def gc(
    data: Data = None,
    older_than: Annotated[
        str, typer.Option(help="Leave alone what was sent less long ago: `7d`, `12h`.")
    ] = "7d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove stored bytes that no version, upload, evidence or run names.

    What is removed is said in the log (`blob.collect`). Works beside a running server.
    """
    from muniment.server import upkeep, wiring  # noqa: PLC0415 -- slow; not for `--help`

    settings = Settings.from_env(os.environ, data_dir=data)
    age = _age(older_than)
    found: list[dict[str, Any]] = []

    def tell(batch: Any) -> None:
        for blob in batch.blobs:
            found.append({"sha256": blob.digest.hex, "size_bytes": blob.size_bytes})
            if not as_json:
                typer.echo(f"{blob.digest}  {blob.size_bytes:,} bytes")

    with wiring.database(settings, attach=True) as place:
        _run(
            lambda: upkeep.collect(settings, place.url, older_than=age, dry_run=dry_run, told=tell)
        )
    size_bytes = sum(one["size_bytes"] for one in found)
    if as_json:
        shown = {"dry_run": dry_run, "size_bytes": size_bytes, "blobs": found}
        typer.echo(json.dumps(shown, indent=2))
        return
    done = "would be removed" if dry_run else "removed"
    typer.echo(f"{len(found):,} blobs, {size_bytes:,} bytes {done}")


@app.command()
def state(
    as_of: Annotated[
        str | None, typer.Option(help="A date or time (UTC); nothing later is counted.")
    ] = None,
    data: Data = None,
    table: Annotated[str | None, typer.Option(help="Print the rows of this table only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the tables from the log alone, as they were at a time, and print them."""
    from muniment.server import upkeep, wiring  # noqa: PLC0415 -- slow; not for `--help`

    settings = Settings.from_env(os.environ, data_dir=data)
    at = _moment(as_of)
    with wiring.database(settings, attach=True) as place:
        tables = _run(lambda: upkeep.rebuild(settings, place.url, at))
    if table is not None and table not in tables:
        raise BadRequest(f"expected one of {', '.join(sorted(tables))}, found {table!r}")
    shown = {table: tables[table]} if table else tables
    if as_json or table:
        typer.echo(json.dumps(shown, indent=2, sort_keys=True))
        return
    for name, rows in sorted(tables.items()):
        typer.echo(f"{name:<16} {len(rows):>9,} rows")
    typer.echo("rebuilt from the log alone; add --table NAME to see rows")


def _run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine to its end; of several errors show the one that came first."""
    import uvloop  # noqa: PLC0415 -- not for `--help`

    try:
        return uvloop.run(main())
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first: BaseException = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _private(directory: Path) -> None:
    """Make the data directory, closed to everybody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        directory.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _announce(registry: Any, url: str, session: Session) -> None:
    """Say where the registry is; at the first start, how to become its administrator."""
    typer.echo(f"Muniment is ready at {url}")
    first = registry.first_admin
    if first is not None and first.code is not None:
        typer.echo(f"First administrator, once, within 24 hours: {url}/welcome?code={first.code}")
    if registry.local_token is not None:
        file = session.save_credentials(url, registry.local_token, default=True)
        typer.echo(f"The command line on this machine is logged in ({file})")
    sys.stdout.flush()


def _sample(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise BadRequest(f"expected a number or `all` for --sample, found {text!r}")
    return int(text)


def _age(text: str) -> dt.timedelta:
    try:
        age = duration(text)
    except ValueError as error:
        raise BadRequest(f"--older-than: {error}") from None
    if age < _AGE_MIN:
        raise BadRequest(
            f"expected at least 1h for --older-than, found {text!r}: who sends bytes needs a while "
            "to register them"
        )
    return age


def _moment(text: str | None) -> dt.datetime | None:
    """Read a date (its end) or a time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"expected a date or time such as 2026-04-20 or 2026-04-20T12:00Z, found {text!r}"
        ) from None
    if len(text) == len("2026-04-20"):
        at += dt.timedelta(days=1, microseconds=-1)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _progress() -> Callable[[str, int], None]:
    """Show on a terminal what is being looked at; elsewhere nothing."""

    def show(what: str, count: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{what}: {count:,}")

    return show


def _tell(report: Any) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    for finding in report.findings:
        typer.echo(f"{finding.kind}: {finding.where}")
        typer.echo(f"  expected: {finding.expected}")
        typer.echo(f"  found:    {finding.found}")
        typer.echo(f"  remedy:   {finding.remedy}")
    for note in report.notes:
        typer.echo(f"note: {note}")
    counted = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
    verdict = "everything agrees" if report.clean else f"{len(report.findings)} differences"
    typer.echo(f"{verdict}: checked {counted}")


def _log_to_stderr() -> None:
    """Log JSON lines to stderr, or readable ones on a terminal."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
