"""`muniment scan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, amount, fields, safe, table

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(add_completion=False)

_PASSES = {"clean", "executable_allow_listed"}
_SHOWN = 50
_SAYS = {
    "clean": "nothing in it runs when it is loaded",
    "executable_allow_listed": "it runs code when it is loaded; all that it names is allow-listed",
    "unscannable": "something in it could not be read to its end: that is not clean",
    "findings": "something is wrong",
}


@app.command()
def scan(
    ctx: typer.Context,
    ref: Annotated[str | None, typer.Argument(help="NAME@1.2.0, NAME@alias or NAME@7.")] = None,
    local: Annotated[
        Path | None,
        typer.Option("--local", help="Scan this file or folder here; nothing is sent."),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the scan.")
    ] = 600.0,
    notes: Annotated[bool, typer.Option("--notes", help="Show notes (`info`) too.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what loading a version's files, or files here, would run. Nothing is loaded.

    Exits with 0 if it is clean or all it names is allow-listed, with 3 if there are findings or
    something could not be read.
    """
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    if (ref is None) == (local is None):
        raise typer.BadParameter("say what to scan: NAME@VERSION, or `--local PATH`; not both")
    report = _here(screen, local) if local is not None else _there(screen, str(ref), wait)
    screen.result(report, *_shown(report, notes=notes))
    raise typer.Exit(0 if report["verdict"] in _PASSES else 3)


def _here(screen: Screen, path: Path) -> dict[str, Any]:
    from muniment.client.scans import scan_local  # noqa: PLC0415 -- slow; not for `--help`

    if not path.exists():
        raise typer.BadParameter(f"there is no file or folder `{path}`")
    with bars(quiet=screen.quiet) as on_progress:
        return scan_local(path, on_progress=on_progress)


def _there(screen: Screen, ref: str, wait: float) -> dict[str, Any]:
    with screen.client() as client:
        version = client.get(ref)
        screen.note(f"Scanning {version.ref}")
        found = client.scans.run(version, timeout=wait)
        return {"scan": found.as_json(), **client.scans.report(version, found)}


def _shown(report: dict[str, Any], *, notes: bool) -> list[RenderableType]:
    verdict = report["verdict"]
    files = report["files"]
    head = fields(
        [
            ("Scanned", report["subject"]),
            ("Verdict", f"{verdict}: {_SAYS.get(verdict, '')}"),
            ("Files", f"{len(files)}, {amount(sum(one['size_bytes'] for one in files))}"),
            ("Ruleset", f"{report['ruleset']['id']} {report['ruleset']['digest'][:16]}"),
        ]
    )
    rows = _rows(files, notes=notes)
    if not rows:
        return [head]
    shown: list[RenderableType] = [
        head,
        table(("Severity", "File", "Rule", "Found", "What to do"), rows[:_SHOWN]),
    ]
    if rows[_SHOWN:]:
        shown.append(f"and {len(rows) - _SHOWN} more: see `--json`")
    return shown


def _rows(files: list[dict[str, Any]], *, notes: bool) -> list[tuple[str, ...]]:
    from muniment.client.scans import worst_first  # noqa: PLC0415 -- slow; not for `--help`

    found = [{**one, "path": file["path"]} for file in files for one in file["findings"]]
    return [
        (
            one["severity"],
            safe(_place(one)),
            one["rule"],
            safe(one["what"]),
            safe(one["remedy"]),
        )
        for one in worst_first(found)
        if notes or one["severity"] != "info"
    ]


def _place(one: dict[str, Any]) -> str:
    member = f"!/{one['member']}" if one["member"] else ""
    offset = "" if one["offset"] is None else f" at {one['offset']}"
    return f"{one['path']}{member}{offset}"
