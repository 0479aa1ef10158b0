"""What the commands say: results to stdout, everything else to stderr.

With `--json`, stdout carries one JSON value and nothing else, errors included.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.core.errors import MunimentError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from muniment.client.client import Client

_PIPE_COLUMNS = 240

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]


def _connect(url: str | None, token: str | None) -> Client:
    from muniment.client.client import Client  # noqa: PLC0415 -- slow; not for `--help`

    return Client(url, token)


def _save_credentials(url: str, token: str, *, default: bool = True) -> Path:
    from muniment.client import credentials  # noqa: PLC0415 -- slow; not for `--help`

    return credentials.save(url, token, default=default)


@dataclass(slots=True)
class Session:
    """What one run of the command line knows; the `obj` of every command's context.

    `connect` makes the client. `save_credentials` is offered to commands that are not the
    client's own, such as `muniment serve`, which must not know the client.
    """

    url: str | None = None
    debug: bool = False
    as_json: bool = False
    connect: Callable[[str | None, str | None], Client] = field(default=_connect)
    save_credentials: Callable[..., Path] = field(default=_save_credentials)

    @classmethod
    def of(cls, ctx: Any) -> Session:
        """Return the session of a context, made if there is none."""
        session: Session = ctx.find_root().ensure_object(cls)
        return session


class Screen:
    """Where one command writes."""

    def __init__(self, ctx: typer.Context, *, as_json: bool = False, quiet: bool = False) -> None:
        self.session = Session.of(ctx)
        self.session.as_json = as_json
        self.as_json = as_json
        self.quiet = quiet or as_json

    def client(self) -> Client:
        """Return a client for the registry asked for, or the default one."""
        return self.session.connect(self.session.url, None)

    def result(self, data: Any, *human: RenderableType) -> None:
        """Print `data` as JSON, or what a person wants to read."""
        if self.as_json:
            print_json(data)
            return
        console = console_on(sys.stdout)
        for each in human:
            show(console, each)

    def note(self, text: str) -> None:
        """Say something beside the result, unless asked to be quiet."""
        if not self.quiet:
            show(console_on(sys.stderr), text)


def show(console: Console, each: RenderableType) -> None:
    """Print text as it is, without markup; anything else as Rich draws it."""
    if isinstance(each, str):
        console.print(each, markup=False, highlight=False, soft_wrap=True)
        return
    with console.capture() as drawn:
        console.print(each)
    lines = (line.rstrip() for line in drawn.get().strip("\n").splitlines())
    console.file.write("\n".join(lines).rstrip() + "\n")


def print_json(data: Any) -> None:
    """Print one JSON value to stdout."""
    import msgspec  # noqa: PLC0415 -- not for `--help`

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def console_on(stream: Any) -> Console:
    """Return a console that does not cut what goes into a pipe or file."""
    from rich.console import Console  # noqa: PLC0415 -- slow; not for `--help`

    return Console(file=stream, width=None if stream.isatty() else _PIPE_COLUMNS)


def show_error(error: MunimentError, session: Session) -> None:
    """Print an error with all its problems and how to fix each; with `--json`, to stdout."""
    if session.as_json:
        found = {"code": error.code, "message": error.message, "problems": error.problems}
        print_json({"error": {**error.extra, **found}})
        return
    lines = [f"Error: {safe(error.message)}"]
    for problem in error.problems:
        lines.append(f"  - `{safe(problem.get('field', ''))}`: {safe(problem.get('message', ''))}")
        if problem.get("fix"):
            lines.append(f"    Fix: {safe(problem['fix'])}")
    if error.context.get("request_id") and error.status >= 500:  # noqa: PLR2004 -- HTTP
        lines.append(f"  Request id for the server's log: `{error.context['request_id']}`")
    sys.stderr.write("\n".join(lines) + "\n")


def safe(value: object) -> str:
    """Return text without characters that would steer the terminal."""
    return "".join(
        char
        if char == "\n" or unicodedata.category(char)[0] != "C"
        else "\N{REPLACEMENT CHARACTER}"
        for char in str(value)
    )


def cell(value: object) -> str:
    """Return a value as one line of a table."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{safe(key)}={cell(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(each) for each in value)
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M:%SZ"))
    return " ".join(safe(value).split())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """Return rows under column heads."""
    from rich import box  # noqa: PLC0415 -- slow; not for `--help`
    from rich.table import Table  # noqa: PLC0415 -- the same
    from rich.text import Text  # noqa: PLC0415 -- the same

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(value)) for value in row))
    return drawn


def fields(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Return names and values side by side, leaving out what is not there."""
    from rich.table import Table  # noqa: PLC0415 -- slow; not for `--help`
    from rich.text import Text  # noqa: PLC0415 -- the same

    drawn = Table.grid(padding=(0, 2))
    for name, value in pairs:
        if value not in (None, "", [], {}):
            drawn.add_row(Text(name, style="bold"), Text(cell(value)))
    return drawn


def amount(size_bytes: int) -> str:
    """Return a size as people read it: `1.5 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 -- binary units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def files_and_size(file_count: int, size_bytes: int) -> str:
    """Return how much a version is: `3 files, 1.5 MiB`."""
    return f"{file_count} file{'' if file_count == 1 else 's'}, {amount(size_bytes)}"


def tags_of(pairs: Iterable[str]) -> dict[str, str]:
    """Read `key=value` arguments."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            msg = f"expected `key=value`, found `{pair}`"
            raise typer.BadParameter(msg)
        found[key] = value
    return found
