"""`muniment log`."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client import trust
from muniment.client.check import trusted_keys
from muniment.client.cli.screen import Json, Screen, fields, safe, table
from muniment.client.monitor import Monitor
from muniment.client.proofs import check_consistency, check_entry
from muniment.client.receipts import entry_receipt, version_receipt
from muniment.core.checkpoint import open_checkpoint
from muniment.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from muniment.client.client import Client
    from muniment.client.records import Entry

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Read, prove, follow the log.")


@app.command()
def checkpoint(ctx: typer.Context, as_json: Json = False) -> None:
    """Show the latest signed tree head, its signature checked."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        keys, _ = trusted_keys(client)
        note = client.log.tile("checkpoint").decode()
    found = open_checkpoint(note, keys.vkey)
    root = base64.b64encode(found.root).decode()
    data = {"origin": found.origin, "size": found.size, "root": root, "note": note}
    screen.result(data, safe(note.rstrip("\n")), f"Signature checked with `{keys.vkey}`")


@app.command()
def proof(
    ctx: typer.Context,
    entry: Annotated[str, typer.Argument(help="Entry id.")],
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the log, and check the proof here."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        receipt, verified = check_entry(client, entry)
    steps = [f"  {number}. {text}" for number, text in enumerate(receipt["hashes"], 1)]
    head = f"Entry {verified.index} of {verified.tree_size}, hashes from leaf to root:"
    done = f"Checked: they lead to the root signed by {safe(verified.checkpoint.origin)}"
    screen.result(receipt, head, *steps, done)


@app.command()
def consistency(
    ctx: typer.Context,
    old: Annotated[int, typer.Argument(min=0)],
    new: Annotated[int, typer.Argument(min=0)],
    as_json: Json = False,
) -> None:
    """Prove that the log of NEW entries extends that of OLD, and check it from the tiles."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        hashes, old_root, new_root = check_consistency(client.log, old, new)
    texts = [base64.b64encode(each).decode() for each in hashes]
    roots = [base64.b64encode(each).decode() for each in (old_root, new_root)]
    data = {"old": old, "new": new, "old_root": roots[0], "new_root": roots[1], "hashes": texts}
    lines = [f"  {number}. {text}" for number, text in enumerate(texts, 1)]
    ends = f"Checked: root {roots[1]} of {new} entries extends root {roots[0]} of {old}"
    screen.result(data, *lines, ends)


@app.command()
def tail(
    ctx: typer.Context,
    count: Annotated[int, typer.Option("-n", min=1, max=500, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    as_json: Json = False,
) -> None:
    """Show the newest entries, oldest of them first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        size = client.log.checkpoint().size
        after = size - count - 1
        entries = list(client.log.entries(after if after >= 0 else None))
        screen.result([entry.as_json() for entry in entries], _entries_table(client, entries))
        while follow:
            time.sleep(1)
            last = entries[-1].index if entries else None
            newer = list(client.log.entries(last))
            if newer:
                screen.result([entry.as_json() for entry in newer], _entries_table(client, newer))
                entries = newer


@app.command()
def keys(
    ctx: typer.Context,
    save: Annotated[
        bool, typer.Option("--save", help="Trust them on this machine from now on.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write them to this file, for `verify`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the public keys the registry signs with."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.log.keys()
        if save:
            new = trust.pin(client.url, found)
            screen.note("Trusted from now on" if new else "Trusted already, unchanged")
    if out is not None:
        out.write_text(json.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
        screen.note(f"Keys written to `{out}`")
    rows = [("Log key", found.vkey)]
    screen.result(found.as_json(), fields(rows), (found.record_key_pem or "").strip())


@app.command()
def receipt(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="NAME@VERSION or an entry id.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch the receipt of a version or entry, to be checked anywhere with `muniment verify`."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        if "@" in target:
            found = version_receipt(client, client.versions.get(target))
        else:
            found = entry_receipt(client, target)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if out is None:
        screen.result(found, text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    data = {"target": target, "path": str(out)}
    screen.result(data, f"Receipt written; check it with `muniment verify {out} --offline`")


@app.command()
def monitor(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Argument(help="The registry; else the usual one.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=1, help="Seconds between.")] = 60,
    key: Annotated[
        str | None, typer.Option("--key", help="The log's verifier key, from elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a log as an outsider does; stops with an error if it shrinks, forks or lies.

    What was seen is kept on this machine and compared with at the next look.
    """
    screen = Screen(ctx, as_json=as_json)
    screen.session.url = url or screen.session.url
    with screen.client() as client:
        follower = Monitor(client.log, key or trusted_keys(client)[0].vkey)
        while True:
            try:
                look = follower.look()
            except Unavailable as error:
                if once:
                    raise
                screen.note(f"Not reachable: {error.message}")
            else:
                data = {"size": look.checkpoint.size, "new_entries": look.new_entries, "ok": True}
                size = f"{look.checkpoint.size} entries, {look.new_entries} of them new"
                screen.result(data, f"{safe(look.checkpoint.origin)}: {size}, all consistent")
            if once:
                return
            time.sleep(interval)


def _entries_table(client: Client, entries: Sequence[Entry]) -> RenderableType:
    who = client.principals.names(str(each.actor.get("id")) for each in entries)
    rows = [
        (
            each.index,
            each.at,
            each.act,
            each.subject.get("name"),
            who.get(str(each.actor.get("id")), each.actor.get("id")),
            each.id,
        )
        for each in entries
    ]
    return table(("Index", "At", "Act", "Subject", "By", "Entry"), rows)
