"""`muniment deprecate`, `reinstate`, `retire`, `quarantine`, `release`, `promote`, `rollback`, `withdraw`, `deployments`.

Exit codes: 0 allowed, 3 denied, 4 evidence missing, 5 approval pending, 1 error.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.consumers import Ending
    from muniment.client.deployment_records import Deployment, Promoted
    from muniment.client.records import Version

app = typer.Typer(add_completion=False)

Ref = Annotated[str, typer.Argument(help="NAME@1.2.0, NAME@alias or NAME@7.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be; no more.")]
Whole = Annotated[
    str, typer.Argument(help="NAME@1.2.0, NAME@alias, NAME@7, or a composite: cvi1-….")
]
Env = Annotated[str, typer.Option("--env", help="development, staging or production.")]


@app.command()
def deprecate(
    ctx: typer.Context,
    ref: Ref,
    reason: Why = "",
    replacement: Annotated[
        str | None, typer.Option("--replacement", help="NAME@VERSION to use instead.")
    ] = None,
    sunset: Annotated[
        dt.datetime | None,
        typer.Option("--sunset", formats=["%Y-%m-%d"], help="The day its use ends; in 90 days."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Announce the end of a version's use, with a reason or what replaces it; say who uses it."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        version = client.lifecycle.deprecate(
            ref,
            reason=reason,
            replacement=replacement,
            sunset=None if sunset is None else sunset.date(),
            dry_run=dry_run,
        )
    until = (version.standing or {}).get("sunset")
    verb = "would be" if dry_run else "is"
    said = f"{version.ref} {verb} deprecated; its use ends on {until}"
    screen.result(version.as_json(), said, *_used(version))


@app.command()
def reinstate(ctx: typer.Context, ref: Ref, reason: Why, as_json: Json = False) -> None:
    """Take a deprecation back."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        version = client.lifecycle.reinstate(ref, reason=reason)
    _say(screen, version, "is not deprecated any more")


@app.command()
def retire(
    ctx: typer.Context,
    ref: Ref,
    reason: Why = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """End a version's use for good; say who uses it. Its record, number, name and bytes are kept."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        version = client.lifecycle.retire(ref, reason=reason, dry_run=dry_run)
    said = f"{version.ref} {'would be' if dry_run else 'is'} retired"
    screen.result(version.as_json(), said, *_used(version))


def _used(version: Ending) -> list[RenderableType]:
    """Who uses what ends."""
    if not version.consumer_count:
        return ["No consumer is bound to it"]
    rows = [
        (one["id"], one["system"], one["endpoint"], one["use_case"], one["environment"])
        for one in version.consumers
    ]
    many = (
        "1 consumer uses"
        if version.consumer_count == 1
        else f"{version.consumer_count} consumers use"
    )
    return [
        f"{many} it: `muniment consumer list {version.ref} --unacknowledged`",
        table(("Id", "System", "Endpoint", "For", "In"), rows),
    ]


@app.command()
def quarantine(ctx: typer.Context, ref: Ref, reason: Why, as_json: Json = False) -> None:
    """Stop a version from being handed out, at once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        version = client.lifecycle.quarantine(ref, reason=reason)
    _say(screen, version, "is quarantined")


@app.command()
def release(ctx: typer.Context, ref: Ref, reason: Why, as_json: Json = False) -> None:
    """End a version's quarantine."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        version = client.lifecycle.release(ref, reason=reason)
    _say(screen, version, "is released")


def _say(screen: Screen, version: Version, what: str) -> None:
    screen.result(version.as_json(), f"{version.ref} {what}")


@app.command()
def promote(
    ctx: typer.Context,
    ref: Whole,
    environment: Env,
    alias: Annotated[
        str | None, typer.Option("--alias", help="How production finds it; that of the mode.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="full, canary, blue-green, shadow, challenger, bandit.")
    ] = "full",
    reason: Why = "",
    decision: Annotated[
        str | None,
        typer.Option("--decision", help="The decision it rests on; the one that stands."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Deploy a version, or a composite whole, to an environment, if the rules allow.

    Exits with 0 if allowed, 3 if denied, 4 if evidence is missing, 5 if approval is pending.
    """
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.lifecycle.promote(
            ref,
            environment,
            alias=alias,
            mode=mode,
            reason=reason,
            decision=decision,
            dry_run=dry_run,
        )
    _done(screen, ref.rpartition("@")[0], environment, done)


@app.command()
def rollback(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME of the asset.")],
    environment: Env,
    reason: Why,
    to: Annotated[
        str | None,
        typer.Option("--to", help="The version, or cvi1-…; the last that may be gone back to."),
    ] = None,
    alias: Annotated[
        str | None, typer.Option("--alias", help="Which, where several versions are found.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Have an environment go back to a version it had before, at once; whole, where it has a composite.

    One person may. Production goes back only to what is approved now; in staging it is a drill.
    """
    screen = Screen(ctx, as_json=as_json)
    version = to.rpartition("@")[2] if to else None
    with screen.client() as client:
        done = client.lifecycle.rollback(
            name, environment, reason=reason, to=version, alias=alias, dry_run=dry_run
        )
    _done(screen, name, environment, done)


def _done(screen: Screen, asset: str, environment: str, done: Promoted) -> None:
    verb = "would be" if done.dry_run else "is"
    lines: list[RenderableType] = []
    if done.composite:
        lines.append(f"{done.composite} {verb} in {environment}:")
    for ref, deployed in _deployed(asset, done):
        where = f" as {deployed.alias}" if deployed.alias else ""
        lines.append(f"{ref} {verb} in {environment}{where}")
    gone = "would be out" if done.dry_run else "is out"
    lines += [
        f"{one.asset}@{one.version} {gone} of {environment}: it is no part of this composite"
        for one in done.left
    ]
    if done.would_have_been_refused and not done.warnings:
        lines.append(
            f"Recorded: the rules did not allow it, and this namespace is in {done.enforcement}."
        )
    screen.result(done.as_json(), *lines, *_rules(done.verdict))
    for warning in done.warnings:
        screen.note(f"Warning: {warning}")


def _deployed(asset: str, done: Promoted) -> list[tuple[str, Deployment]]:
    if done.composite is None:
        return [(f"{asset}@{done.version}", done.deployment)]
    return [(f"  {one.ref}", one.deployment) for one in done.members]


def _rules(verdict: dict[str, Any]) -> list[RenderableType]:
    found = verdict.get("results", [])
    rows = [(one["id"], one["class"], one["outcome"], one["message"]) for one in found]
    return [table(("Rule", "Class", "Says", "Why"), rows)] if rows else []


@app.command()
def withdraw(
    ctx: typer.Context, ref: Whole, environment: Env, reason: Why, as_json: Json = False
) -> None:
    """Take a version, or a composite whole, out of an environment, at once."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        ended = client.lifecycle.withdraw(ref, environment, reason=reason)
    said = f"{ref} is out of {environment}" if ended else f"{ref} was not in {environment}"
    parts = [f"  {one.asset}@{one.version}" for one in ended if one.composite == ref]
    screen.result([one.as_json() for one in ended], said, *parts)


@app.command()
def deployments(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME of the asset, or a composite: cvi1-….")],
    environment: Annotated[str | None, typer.Option("--env", help="Only there.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only what has not ended.")] = False,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="At that time."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List where an asset's versions, or those of a composite, are and were deployed, latest first."""
    screen = Screen(ctx, as_json=as_json)
    when = as_of.replace(tzinfo=dt.UTC) if as_of and as_of.tzinfo is None else as_of
    with screen.client() as client:
        found = list(
            client.lifecycle.deployments(name, environment=environment, live=live, as_of=when)
        )
        add_names(client, (one.by for one in found))
    screen.result([one.as_json() for one in found], *_table(found, name))


def _table(found: list[Deployment], name: str) -> list[RenderableType]:
    if not found:
        ref = name if name.startswith("cvi1-") else f"{name}@VERSION"
        return [f"{name} is deployed nowhere: `muniment promote {ref} --env staging`"]
    rows = [
        (
            f"{one.asset}@{one.version}" if one.composite == name else one.version,
            one.environment,
            one.alias,
            one.mode,
            one.since,
            one.by.get("name") or one.by.get("id"),
            one.ended_at,
            one.ended_as,
            one.composite,
        )
        for one in found
    ]
    columns = (
        "Version", "Environment", "Alias", "Mode", "Since", "By", "Until", "Ended as", "Composite",
    )  # fmt: skip
    return [table(columns, rows)]
