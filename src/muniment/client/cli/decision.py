"""`muniment decision`."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from muniment.client.cli.screen import Json, Screen, fields, safe, table
from muniment.core.errors import BadPath

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show decisions, export one, check one without the registry.",
)

_MARKS = {True: "ok", False: "FAILED", None: "not looked at"}
_TITLES = {
    1: "The record key signed it",
    2: "It is in the log",
    3: "Its summary says what it decides",
    4: "What was frozen is what was decided on",
    5: "People signed just that",
    6: "It has not run out",
}


@app.command("list")
def list_(
    ctx: typer.Context,
    version: Annotated[
        str | None, typer.Option("--version", help="Only on NAME@1.2.0 alone.")
    ] = None,
    composite: Annotated[
        str | None, typer.Option("--composite", help="Only on this composite (cvi1-…).")
    ] = None,
    environment: Annotated[str | None, typer.Option("--env", help="Only for there.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="approved or rejected.")] = None,
    as_json: Json = False,
) -> None:
    """List decisions, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.decisions.list_(
            version=version, composite=composite, environment=environment, outcome=outcome
        )
    data = [each.as_json() for each in found]
    if not found:
        screen.result(data, "Nothing was decided yet")
        return
    rows = [
        (each.id, each.name, each.environment, each.outcome, each.decided_at, each.expires_at)
        for each in found
    ]
    columns = ("Id", "What", "For", "Decided", "At", "Until")
    screen.result(data, table(columns, rows))


@app.command()
def show(
    ctx: typer.Context,
    decision_id: Annotated[str, typer.Argument(help="Id of the decision.")],
    as_json: Json = False,
) -> None:
    """Show a decision: whether it holds now, who signed, what the rules said."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.decisions.get(decision_id)
        signed = found.record.get("approvals", [])
        names = client.principals.names({one["person_id"] for one in signed}) if signed else {}
    head = fields(
        [
            ("Composite", found.composite),
            ("Version", found.version if found.composite is None else ""),
            ("Members", [one["ref"] for one in _members(found.record)]),
            ("For", found.environment),
            ("Decided", found.outcome),
            ("At", found.decided_at),
            ("Until", found.expires_at),
            ("Holds now", "yes" if found.holds else "no"),
            ("Because", [f"{one['code']}: {one['message']}" for one in found.reasons]),
            ("Signed is", found.frozen_sha256),
        ]
    )
    people = [
        (
            one["role"],
            names.get(one["person_id"], one["person_id"]),
            one["decision"],
            one.get("review_step"),
            one.get("sign_off"),
            "own key" if one["signed_by"] == "key" else "session",
        )
        for one in signed
    ]
    verdict: dict[str, Any] = (found.record.get("judged") or {}).get("verdict", {})
    said = [
        (one["id"], one["class"], one["outcome"], one["message"])
        for one in verdict.get("results", [])
        if one["outcome"] != "not_applicable"
    ]
    screen.result(
        found.as_json(),
        head,
        table(("Role", "Who", "Said", "Step", "Sign-off", "Signed with"), people),
        table(("Rule", "Class", "Says", "Why"), said),
    )


def _members(record: dict[str, Any]) -> list[dict[str, Any]]:
    members: list[dict[str, Any]] = (record.get("frozen") or {}).get("members", [])
    return members


@app.command()
def export(
    ctx: typer.Context,
    decision_id: Annotated[str, typer.Argument(help="Id of the decision.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Write a decision as a Sigstore bundle with its place in the log, checked first."""
    from muniment.client.check import trusted_keys  # noqa: PLC0415 -- slow to import

    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        keys, _ = trusted_keys(client)
        bundle = client.decisions.export(decision_id, keys)
    try:
        output.write_text(json.dumps(bundle, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadPath(f"cannot write `{output}`: {error}") from error
    screen.result(
        {"id": decision_id, "output": str(output)},
        f"Wrote `{output}`; check it anywhere: `muniment decision verify {output}`",
    )


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `muniment decision export` wrote.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="The record key (PEM), or what `muniment log keys --json` says."
        ),
    ] = None,
    trusted_root: Annotated[
        Path | None, typer.Option("--trusted-root", help="The log's trusted root (Sigstore).")
    ] = None,
    at: Annotated[
        dt.datetime | None,
        typer.Option("--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="As of then."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a decision without the registry or a network. Exits with 1 if anything does not hold.

    Without `--key` the keys kept on this machine are used.
    """
    from muniment.client.decisions import verify_file  # noqa: PLC0415 -- slow to import

    screen = Screen(ctx, as_json=as_json)
    moment = dt.datetime.now(dt.UTC) if at is None else at
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    found = verify_file(file, key, trusted_root, moment)
    lines = [
        f"{one.number}. {_TITLES[one.number]}: {_MARKS[one.holds]}\n   {safe(one.detail)}"
        for one in found.steps
    ]
    act = str(found.entry.get("act", ""))
    said = "approved" if act == "decision.approve" else "rejected"
    lines.append(f"Verified: {said}" if found.ok else "Not verified")
    data = {
        "ok": found.ok,
        "approves": found.approves,
        "decision": dict(found.payload.get("decision", {})),
        "steps": [
            {"step": one.number, "what": one.what, "holds": one.holds, "detail": one.detail}
            for one in found.steps
        ],
    }
    screen.result(data, *lines)
    if not found.ok:
        raise typer.Exit(1)
