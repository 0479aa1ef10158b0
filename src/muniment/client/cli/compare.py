"""`muniment compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, table

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
    differences = found.get("differences") or []
    if differences:
        screen.result(found, *_tables(left, right, differences))
    else:
        screen.result(found, f"{left} and {right} do not differ.")


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
