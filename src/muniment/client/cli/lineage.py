"""`muniment lineage`."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, safe

if TYPE_CHECKING:
    from muniment.client.lineage import Lineage, Link, Node

app = typer.Typer(add_completion=False)


class Format(enum.StrEnum):
    """In whose words a lineage is printed."""

    TREE = "tree"
    PROV = "prov"
    OPENLINEAGE = "openlineage"
    MERMAID = "mermaid"


@app.command()
def lineage(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            help="NAME@1.2.0, NAME@alias, or dataset:NAME, base_model:, feature:, commit:, run:, pipeline:."
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="What it was made from (the default).")] = False,
    down: Annotated[
        bool, typer.Option("--down", help="What was made from it, and where that is deployed.")
    ] = False,
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=1, max=20, help="How many links far; 5 if not said."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="A tree, or what other tools read.")
    ] = Format.TREE,
    as_json: Json = False,
) -> None:
    """Show what a version was made from, or what was made from something; name links that dangle."""
    if up and down:
        raise typer.BadParameter("say `--up` or `--down`, not both")
    way = "down" if down else "up"
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        if form in {Format.PROV, Format.OPENLINEAGE}:
            calls = client.lineage
            call: Any = calls.prov if form is Format.PROV else calls.openlineage
            told = call(ref, way=way, depth=depth)
            screen.result(told, json.dumps(told, indent=2, ensure_ascii=True))
            return
        found = client.lineage.get(ref, way=way, depth=depth)
    if form is Format.MERMAID:
        screen.result(found.as_json(), mermaid(found))
        return
    screen.result(found.as_json(), _tree(found), *_notes(found))


def _steps(found: Lineage) -> dict[str, list[tuple[Link, str]]]:
    """Which nodes follow each node, in the way asked for."""
    steps: dict[str, list[tuple[Link, str]]] = {}
    for link in found.links:
        here, there = (link.lower, link.upper) if found.way == "up" else (link.upper, link.lower)
        steps.setdefault(here, []).append((link, there))
    return steps


def _tree(found: Lineage) -> Any:
    from rich.tree import Tree  # noqa: PLC0415 -- slow; not for `--help`

    nodes, steps = {node.id: node for node in found.nodes}, _steps(found)
    loose = {one["node"] for one in found.findings}
    tree = Tree(_text(nodes[found.root], None, loose))
    shown = {found.root}
    waiting = [(tree, found.root)]
    while waiting:
        branch, at = waiting.pop(0)
        for link, there in steps.get(at, ()):
            again = there in shown and bool(steps.get(there))
            child = branch.add(_text(nodes[there], link, loose, again=again))
            if there not in shown:
                shown.add(there)
                waiting.append((child, there))
    return tree


def _text(node: Node, link: Link | None, loose: set[str], *, again: bool = False) -> Any:
    from rich.text import Text  # noqa: PLC0415 -- slow; not for `--help`

    text = Text()
    if link is not None:
        text.append(f"{link.kind} ", style="dim")
    kind = "" if node.kind == "version" else f"{node.kind} "
    text.append(f"{kind}{safe(node.label)}".replace("\n", " "), style="bold")
    if node.digest is not None and node.kind != "commit":
        text.append(f"  {safe(node.digest)[:19]}…", style="dim")
    if link is not None:
        by = f" by {safe(link.signer)}" if link.signer else ""
        text.append(f"  {link.assurance}{by}", style="green" if by else "yellow")
    if node.id in loose:
        text.append("  dangling", style="red")
    if again:
        text.append("  (shown above)", style="dim")
    return text


def _notes(found: Lineage) -> list[str]:
    notes = []
    if not found.links:
        notes.append(
            "Nothing upwards is known of it."
            if found.way == "up"
            else "Nothing came of it, as far as you may see."
        )
    notes += [
        f"{one['rule']}: {safe(one['message'])}; {safe(one['fix'])}" for one in found.findings
    ]
    if found.deeper:
        notes.append(f"There may be more beyond {found.depth} links: `--depth`")
    if found.wider:
        notes.append(f"Only the first {found.nodes_max} are shown")
    return notes


def mermaid(found: Lineage) -> str:
    """Return a lineage as a Mermaid flowchart; names are quoted, so that none becomes markup."""
    numbers = {node.id: f"n{number}" for number, node in enumerate(found.nodes)}
    lines = [
        "flowchart LR",
        *(
            f'  {numbers[node.id]}["{_quoted(node.kind)}: {_quoted(node.label)}"]'
            for node in found.nodes
        ),
    ]
    for link in found.links:
        arrow = "-->" if link.assurance == "verified" else "-.->"
        lines.append(f"  {numbers[link.upper]} {arrow}|{link.kind}| {numbers[link.lower]}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Text for a Mermaid label: everything but letters, digits and plain punctuation as entities."""
    plain = " ".join(safe(text).split())
    return "".join(c if c.isalnum() or c in " ._-/:@+," else f"#{ord(c)};" for c in plain)
