"""`muniment compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, amount, table

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    ctx: typer.Context,
    left: Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")],
    right: Annotated[str, typer.Argument(help="NAME@VERSION or NAME@alias.")],
    as_json: Json = False,
) -> None:
    """Show what differs between two versions: metadata, metrics, files, signature."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.versions.compare(left, right)
    if found.get("same"):
        screen.result(found, f"{left} and {right} do not differ.")
        return
    shown = [
        *_tables(left, right, found.get("differences") or []),
        *_files(found.get("files") or {}),
    ]
    screen.result(found, *shown)


def _files(files: dict[str, Any]) -> list[RenderableType]:
    rows: list[tuple[str, str]] = []
    for kind in ("added", "removed"):
        rows += [(kind, f"{each['path']} ({amount(each['size_bytes'])})") for each in files[kind]]
    for each in files["changed"]:
        sizes = " → ".join(amount(each[side]["size_bytes"]) for side in ("left", "right"))
        rows.append(("changed", f"{each['path']} ({sizes})"))
    for each in files["moved"]:
        rows.append(("moved", f"{', '.join(each['left'])} → {', '.join(each['right'])}"))
    same = f"{files['same_count']} files unchanged"
    return ["Files", table(("Change", "File"), rows), same] if rows else [same]


def _tables(left: str, right: str, differences: list[dict[str, Any]]) -> list[RenderableType]:
    sections: dict[str, list[tuple[object, ...]]] = {}
    for each in differences:
        section = str(each.get("section", ""))
        sections.setdefault(section, []).append(_row(each))
    shown: list[RenderableType] = []
    for section, rows in sections.items():
        shown.append(section.replace("_", " ").capitalize())
        shown.append(table(("What", left, right, "Change"), rows))
    return shown


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    change = ""
    if each.get("delta") is not None:
        judged = {True: " better", False: " worse"}.get(each.get("better") or False, "")
        judged = judged if each.get("better") is not None else ""
        change = f"{each['delta']:+g}{judged}"
    left = each.get("left") if each.get("left_present", True) else "-"
    right = each.get("right") if each.get("right_present", True) else "-"
    return (each.get("path", ""), left, right, change)
