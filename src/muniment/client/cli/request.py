"""`muniment request`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from muniment.client.cli.people import add_names, came_in, makers
from muniment.client.cli.screen import Json, Screen, cell, fields, safe, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from muniment.client.approval_records import ShownRequest
    from muniment.client.client import Client


class _OrOpen(TyperGroup):
    """`muniment request NAME@1.2.0 --to production` asks; everything else is a command of its own."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named, or `open` where a version or composite is."""
        named = bool(args) and args[0] not in self.commands
        if named and ("@" in args[0] or args[0].startswith("cvi1-")):
            args = ["open", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_OrOpen,
    no_args_is_help=True,
    add_completion=False,
    help="Ask for a version or composite to be approved: `muniment request NAME@1.2.0 --to production`.",
)

RequestId = Annotated[
    str, typer.Argument(help="Id of the request, or NAME@1.2.0 or cvi1-… (the open one).")
]
Env = Annotated[str, typer.Option("--env", help="Where to, with NAME@1.2.0 or cvi1-….")]


@app.command("open")
def open_(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="NAME@1.2.0, NAME@alias, NAME@7 or cvi1-….")],
    environment: Annotated[str, typer.Option("--to", help="Where it is to go.")],
    change: Annotated[
        str, typer.Option("--change", help="routine, significant or substantial.")
    ] = "substantial",
    reason: Annotated[str, typer.Option("--reason", help="Why; shown to who reviews it.")] = "",
    reference: Annotated[
        str, typer.Option("--reference", help="Where else it is talked of (AI-1187).")
    ] = "",
    re_conformity: Annotated[
        str, typer.Option("--re-conformity", help="The conformity assessment of the change.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Ask for a version or composite to be approved for an environment. The same again is the same request."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.request(
            ref,
            environment,
            change=change,
            reason=reason,
            reference=reference,
            re_conformity=re_conformity,
        )
    screen.result(
        found.as_json(),
        f"{found.name} is to be approved for {found.environment}: request {found.id}",
        f"Reviewers sign {found.frozen_sha256}; look with `muniment request show {found.id}`",
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    version: Annotated[
        str | None, typer.Option("--version", help="Only of NAME@1.2.0 alone.")
    ] = None,
    composite: Annotated[
        str | None, typer.Option("--composite", help="Only of this composite (cvi1-…).")
    ] = None,
    environment: Annotated[str | None, typer.Option("--env", help="Only for there.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="open, approved, rejected, withdrawn, void.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List requests, newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.list_(
            version=version, composite=composite, environment=environment, state=state
        )
        data = [each.as_json() for each in found]
        add_names(client, [each["requester"] for each in data])
    if not found:
        screen.result(data, "There are none. Ask: `muniment request NAME@1.2.0 --to production`")
        return
    rows = [
        (
            each["id"],
            each.get("composite") or each["version"],
            each["environment"],
            each["change_class"],
            each["requester"].get("name", each["requester"]["id"]),
            each["opened_at"],
            each["state"],
        )
        for each in data
    ]
    columns = ("Id", "What", "For", "Change", "Asked by", "Since", "State")
    screen.result(data, table(columns, rows))


@app.command()
def show(
    ctx: typer.Context, request: RequestId, environment: Env = "production", as_json: Json = False
) -> None:
    """Show a request: what is signed, who did, what is in the way."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.get(request, environment=environment)
        data, lines = found.as_json(), _lines(client, found)
    screen.result(data, *lines)


def _lines(client: Client, found: ShownRequest) -> list[RenderableType]:
    names = client.principals.names(
        {found.requester["id"], *(one.person_id for one in found.approvals)}
        | makers(one.came_in for one in found.approvals)
    )
    asked = found.requester["id"]
    head = fields(
        [
            ("Composite", found.composite),
            ("Version", found.version if found.composite is None else ""),
            ("Members", [_member(one) for one in found.frozen.get("members", [])]),
            ("For", found.environment),
            ("Change", found.change_class),
            ("State", found.state),
            ("Asked by", names.get(asked, asked)),
            ("Since", found.opened_at),
            ("Reason", found.reason),
            ("Reference", found.reference),
            ("Re-conformity", found.re_conformity_reference),
            ("Signed is", found.frozen_sha256),
            ("Own key needed", "yes" if found.own_key else ""),
            ("Own login needed", "yes" if found.own_login else ""),
            (
                "Evidence",
                [_evidence(one) for one in found.frozen["evidence"]],
            ),
        ]
    )
    lines: list[RenderableType] = [head]
    lines += [
        f"Void: `{safe(one['what'])}` changed (was {cell(one['was'])}, is {cell(one['now'])})"
        for one in found.changed
    ]
    if found.approvals:
        lines.append(_words(found, names))
    if found.review_steps:
        lines.append(_steps(found, names))
    for approval in found.approvals:
        lines += [
            f"Condition {one['id']} ({approval.role}), due {one['due']},"
            f" {'met' if one['met_at'] else 'not met'}: {safe(one['text'])}"
            for one in approval.conditions
        ]
    lines += [
        f"Comment {one['id']}, {'resolved' if one['resolved_at'] else 'open'}: {safe(one['text'])}"
        for one in found.comments
    ]
    lines += wanting(found.missing, found.verdict)
    if found.decision is not None:
        lines.append(f"Decision {found.decision.id}: {found.decision.outcome}")
    return lines


def _words(found: ShownRequest, names: Mapping[str, str]) -> RenderableType:
    rows = [
        (
            one.role,
            names.get(one.person_id, one.person_id),
            one.decision,
            one.review_step,
            one.sign_off,
            "own key" if one.key_id else "session",
            came_in(one.came_in, names),
            one.at,
            "yes" if one.counts else f"no: {one.why_not}",
        )
        for one in found.approvals
    ]
    columns = (
        "Role",
        "Who",
        "Said",
        "Step",
        "Sign-off",
        "Signed with",
        "Came in by",
        "At",
        "Counts",
    )
    return table(columns, rows)


_STATES = {
    "done": "done",
    "not_applicable": "does not apply",
    "next": "next",
    "waiting": "waits",
    "early": "to be done again",
}


def _steps(found: ShownRequest, names: Mapping[str, str]) -> RenderableType:
    """Say of each step of the review who did it; else whose turn it is, or what it waits for."""
    who = {one.id: names.get(one.person_id, one.person_id) for one in found.approvals}
    rows = [
        (
            f"{one['name']} (optional)" if one["optional"] else one["name"],
            ", ".join(one["roles"]),
            f"{_STATES[one['state']]}: {', '.join(one['wanting'])}"
            if one["wanting"]
            else _STATES[one["state"]],
            ", ".join(who.get(each, each) for each in one["approvals"]),
            ", ".join(one["people"]),
        )
        for one in found.review_steps
    ]
    return table(("Step", "For", "State", "By", "Who can"), rows)


def _member(one: dict[str, Any]) -> str:
    tier = one["risk_tier"] or "no risk tier"
    return f"{one['ref']} ({tier}), files {one['manifest_sha256'][:12]}"


def _evidence(one: dict[str, Any]) -> str:
    of = f" of {one['of']}" if one.get("of") else ""
    return f"{one['kind']} {one['sha256'][:12]}{of}"


def wanting(missing: list[dict[str, Any]], verdict: dict[str, Any] | None) -> list[str]:
    """Say of which roles people are wanting, and what else is in the way."""
    lines = [
        f"Wanting: {one['need'] - one['have']} more with the role {one['role']}"
        f" ({one['have']} of {one['need']})"
        for one in missing
    ]
    for result in (verdict or {}).get("results", []):
        bars = result["class"] in {"critical_safety", "waivable"} or result["fault"]
        if result["outcome"] != "failed" or not bars:
            continue
        # What is said above of roles is not said again.
        others = [one for one in result["violations"] if one["case"] != "role"]
        if result["violations"] and not others:
            continue
        said = "; ".join(one["message"] for one in others) or result["message"]
        lines.append(f"{result['id']} ({result['class']}): {safe(said)}")
        if result["remedy"] and len(others) == len(result["violations"]):
            lines.append(f"  {safe(result['remedy'])}")
    return lines


@app.command()
def withdraw(
    ctx: typer.Context,
    request_id: Annotated[str, typer.Argument(help="Id of the request.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "",
    as_json: Json = False,
) -> None:
    """Take a request back."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.approvals.withdraw(request_id, reason=reason)
    screen.result(done.as_json(), f"Request {done.id} for {done.name} is withdrawn")
