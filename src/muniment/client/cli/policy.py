"""`muniment policy`: what asks the registry. Bundles on this machine are the server's commands."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.people import add_names, who
from muniment.client.cli.screen import Json, Quiet, Screen, fields, safe, table
from muniment.core.errors import BadRequest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.client import Client
    from muniment.client.policies import (
        PolicyActivation,
        PolicySimulation,
        PolicyVerdict,
        SimulationResult,
    )

app = typer.Typer(no_args_is_help=True, add_completion=False)

Why = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
Which = Annotated[str, typer.Argument(metavar="ID", help="Of a proposal: see `policy proposals`.")]
VerdictId = Annotated[
    str, typer.Argument(metavar="ID", help="Of a verdict: see `policy verdicts`.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many to list.")]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN_CHARS = 12


@app.command()
def push(
    ctx: typer.Context,
    place: Annotated[Path, typer.Argument(metavar="DIR", help="Folder or .tar.gz.")],
    as_json: Json = False,
) -> None:
    """Send a bundle to the registry, which checks it. It is not in force before it is activated."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.push(place)
    said = "Sent" if found.created else "There already"
    screen.result(found.as_json(), f"{said}: {found.rule_count} rules, {found.digest}")


@app.command()
def bundles(ctx: typer.Context, as_json: Json = False) -> None:
    """List the bundles the registry holds, the latest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.bundles()
        add_names(client, (one.added_by for one in found))
    rows = [
        (
            one.digest,
            "in force" if one.active else "",
            one.rule_count,
            one.added_at,
            who(one.added_by),
        )
        for one in found
    ]
    screen.result(
        [one.as_json() for one in found], table(("Digest", "", "Rules", "Sent", "By"), rows)
    )


@app.command()
def download(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tar.gz to write.")],
    digest: Annotated[str, typer.Argument(help="A digest, or `active`.")] = "active",
    as_json: Json = False,
) -> None:
    """Write a bundle of the registry to a file, as an Open Policy Agent takes it."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        data = client.policies.download(digest)
    try:
        output.write_bytes(data)
    except OSError as error:
        raise BadRequest(f"{output} cannot be written: {error.strerror}") from None
    screen.result({"file": str(output), "size_bytes": len(data)}, f"{output}: {len(data):,} bytes")


@app.command()
def simulate(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="DIR|DIGEST", help="A bundle here, or there.")],
    limit: Limit = 50,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait.")] = 3600.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what a bundle would change: it is asked about everything that was ever asked.

    A folder is sent to the registry first; nothing is in force by that.
    """
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    with screen.client() as client:
        digest = what if _DIGEST.fullmatch(what) else client.policies.push(Path(what)).digest
        done = _simulated(client, screen, digest, wait)
        found = list(islice(client.policies.simulated(done.id), limit))
    assert done.result is not None
    rest = done.result.differing_count - len(found)
    shown = [_summary(done.result)]
    if found:
        shown.append(table(_COLUMNS, (_difference(one) for one in found)))
    if rest > 0:
        shown.append(f"and {rest} more: `--limit`")
    shown.append(f"Propose it: muniment policy activate {digest} --reason …")
    screen.result({**done.as_json(), "differences": found}, *shown)


@app.command()
def activate(
    ctx: typer.Context,
    digest: Annotated[str, typer.Argument(help="The digest of a bundle the registry holds.")],
    reason: Why,
    effective: Annotated[
        dt.datetime | None,
        typer.Option(
            "--effective",
            help="From when on, in UTC; else as soon as somebody approves it.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait.")] = 3600.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Propose that a bundle be in force: it is simulated, and then somebody else approves it."""
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    at = None if effective is None else effective.replace(tzinfo=dt.UTC)
    with screen.client() as client:
        done = _simulated(client, screen, digest, wait)
        made = client.policies.propose(
            digest, reason=reason, effective_from=at, simulation_id=done.id
        )
        _name(client, [made])
    next_ = f"Somebody else approves it: {_approve_command(made)}"
    screen.result(made.as_json(), _activation(made), *_simulation_of(made), next_)


@app.command()
def proposals(
    ctx: typer.Context,
    only_open: Annotated[
        bool, typer.Option("--open", help="Only what waits for somebody's approval.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what was proposed, and what was in force from when on; the latest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.activations(only_open=only_open)
        _name(client, found)
    rows = [
        (
            one.id,
            "in force" if one.active else one.state,
            one.digest[:_SHOWN_CHARS],
            one.effective_at or one.effective_from,
            who(one.proposed.get("by")),
            who((one.approved or {}).get("by")),
            one.proposed.get("reason"),
        )
        for one in found
    ]
    columns = ("Id", "State", "Bundle", "From", "Proposed by", "Approved by", "Why")
    shown = table(columns, rows) if rows else "Nothing waits for approval."
    screen.result([one.as_json() for one in found], shown)


@app.command()
def proposal(ctx: typer.Context, activation_id: Which, as_json: Json = False) -> None:
    """Show one proposal, with what it would change."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.activation(activation_id)
        _name(client, [found])
    screen.result(found.as_json(), _activation(found), *_simulation_of(found))


@app.command("approve-activation")
def approve_activation(
    ctx: typer.Context,
    activation_id: Which,
    reason: Why,
    weakens: Annotated[
        list[str] | None,
        typer.Option(
            "--weakens",
            metavar="RULE",
            help="A rule of class critical_safety, or a table, that it weakens, and that is meant.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve a policy that somebody else proposed."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.approve(activation_id, reason=reason, weakens=weakens or ())
        _name(client, [found])
    screen.result(found.as_json(), _activation(found))


@app.command("withdraw-activation")
def withdraw_activation(
    ctx: typer.Context, activation_id: Which, reason: Why, as_json: Json = False
) -> None:
    """Withdraw a policy that is not in force yet."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.withdraw(activation_id, reason=reason)
        _name(client, [found])
    screen.result(found.as_json(), _activation(found))


@app.command()
def verdicts(
    ctx: typer.Context,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Only of NAME, NAME@VERSION or cvi1-….")
    ] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only at this step.")] = None,
    decision: Annotated[
        str | None, typer.Option("--decision", help="Only allow, needs_approval or deny.")
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List what policies said of acts, the latest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        each = client.policies.verdicts(ref, step=step, decision=decision)
        found = list(islice(each, limit))
    rows = [
        (one.id, one.at, one.subject, one.step, one.environment, one.decision, one.failed)
        for one in found
    ]
    columns = ("Id", "When", "What", "Step", "To", "Said", "In the way")
    shown = table(columns, rows) if rows else "Nothing was judged yet."
    screen.result([one.as_json() for one in found], shown)


@app.command()
def verdict(ctx: typer.Context, verdict_id: VerdictId, as_json: Json = False) -> None:
    """Show what each rule said of an act."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.verdict(verdict_id)
    rows = [
        (one["outcome"], one["id"], one["message"], one["remedy"])
        for one in found.results
        if one["outcome"] != "not_applicable"
    ]
    aside = [one["id"] for one in found.results if one["outcome"] == "not_applicable"]
    screen.result(
        found.as_json(),
        _verdict(found),
        table(("Outcome", "Rule", "Why", "What to do"), rows),
        f"Not applicable: {', '.join(aside)}" if aside else "Every rule applied.",
    )


@app.command()
def replay(ctx: typer.Context, verdict_id: VerdictId, as_json: Json = False) -> None:
    """Ask a verdict's question again, of the same bundle. Exits with 1 if the answer differs."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.policies.replay(verdict_id)
    asked = f"{found.engine} {found.engine_version}".strip()
    if found.same:
        screen.result(found.as_json(), f"The same bytes: {found.decision} ({asked})")
        return
    rows = [(one["id"], one["stored"], one["replayed"]) for one in found.differences]
    shown = f"It differs: {len(rows)} rules say something else ({asked})"
    screen.result(found.as_json(), shown, table(("Rule", "Then", "Now"), rows))
    raise typer.Exit(1)


_COLUMNS = ("What", "Step", "To", "Now", "Would", "Newly fails", "Fails no longer", "Live")


def _difference(one: dict[str, Any]) -> tuple[object, ...]:
    newly = [each["id"] for each in one["newly_failed"]]
    return (
        one["subject"],
        one["step"],
        one["environment"],
        one["now"],
        one["would"],
        newly,
        [f"{name}!" if name in one["safety"] else name for name in one["no_longer_failed"]],
        one["live"],
    )


def _simulated(client: Client, screen: Screen, digest: str, wait: float) -> PolicySimulation:
    def told(state: PolicySimulation) -> None:
        if state.state == "due" and state.total_count:
            screen.note(f"Asked again about {state.done_count} of {state.total_count} verdicts")

    return client.policies.simulate(digest, timeout=wait, told=told)


def _summary(found: SimulationResult) -> RenderableType:
    rules = {
        name: f"+{count['newly_failed']} -{count['no_longer_failed']}"
        for name, count in found.rules.items()
    }
    return fields(
        [
            ("Asked again", f"{found.verdict_count} verdicts, {found.differing_count} differ"),
            ("Would be blocked", str(found.blocked_count)),
            ("Would be let through", str(found.let_through_count)),
            ("Otherwise changed", str(found.changed_count)),
            ("Blocked and live now", str(found.live_count)),
            ("Would lose approval", str(found.approval_count)),
            ("Rules", rules),
            ("No document left", str(found.unreadable_count) if found.unreadable_count else ""),
            ("SAFETY: lets through what stops now", found.safety),
            (
                "SAFETY: rules gone, of another class, or weaker; tables that ask less",
                found.weakened,
            ),
            ("SAFETY: fixtures that fail no more", found.fixtures),
            ("Digest of this", found.digest),
        ]
    )


def _simulation_of(one: PolicyActivation) -> list[RenderableType]:
    return [] if one.simulation is None else [_summary(one.simulation)]


def _activation(one: PolicyActivation) -> RenderableType:
    return fields(
        [
            ("Proposal", one.id),
            ("Bundle", one.digest),
            ("State", "in force" if one.active else one.state),
            ("From", one.effective_at or one.effective_from or "when it is approved"),
            ("Proposed", _decided(one.proposed)),
            ("Approved", _decided(one.approved)),
            ("Withdrawn", _decided(one.withdrawn)),
        ]
    )


def _approve_command(one: PolicyActivation) -> str:
    named = [] if one.simulation is None else one.simulation.to_acknowledge
    more = "".join(f" --weakens {name}" for name in named)
    return f"muniment policy approve-activation {one.id} --reason …{more}"


def _verdict(one: PolicyVerdict) -> RenderableType:
    return fields(
        [
            ("Verdict", one.id),
            (
                "Of",
                f"{one.subject}, {one.step}"
                + (f" to {one.environment}" if one.environment else ""),
            ),
            ("Said", one.decision),
            ("The act", "carried out" if one.carried_out else "not carried out"),
            ("When", one.at),
            ("Policy", one.policy_digest),
            ("Input", one.input_digest),
            ("Asked", f"{one.engine} {one.engine_version}, {one.duration_us:,} us"),
            ("Entry", one.entry_id),
        ]
    )


def _decided(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    return f"{found.get('at')} by {who(found.get('by'))}: {safe(found.get('reason', ''))}"


def _name(client: Client, found: Iterable[PolicyActivation]) -> None:
    decided = [
        each
        for one in found
        for each in (one.proposed, one.approved, one.withdrawn)
        if each and each.get("by")
    ]
    add_names(client, (each["by"] for each in decided))
