"""`muniment approve`, `reject`, `defer`, `comment`, `resolve`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.client.cli.key import KeyFile, own_key
from muniment.client.cli.request import Env, RequestId, wanting
from muniment.client.cli.screen import Json, Screen

if TYPE_CHECKING:
    from muniment.client.approval_records import Approval, Given

app = typer.Typer(add_completion=False)

Role = Annotated[
    str,
    typer.Option(
        "--as",
        help="technical, platform, product, security, governance or legal; author, in a review step of"
        " who asked or made it.",
    ),
]
Session = Annotated[
    bool,
    typer.Option("--session", help="Have the registry sign for this session, not your own key."),
]
Step = Annotated[
    str | None,
    typer.Option("--step", help="The step of the review you do; else the only one of your role."),
]
NotApplicable = Annotated[
    str | None,
    typer.Option(
        "--not-applicable",
        metavar="REASON",
        help="Say that the step, which is optional, does not apply, and why; approves nothing.",
    ),
]
Comment = Annotated[str, typer.Option("--comment", help="What you have to say; it is signed too.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is signed too.")]


@app.command()
def approve(
    ctx: typer.Context,
    request: RequestId,
    role: Role,
    sign_off: Annotated[
        str | None,
        typer.Option("--sign-off", help="entry-verified, metrics-reviewed or production-approved."),
    ] = None,
    step: Step = None,
    not_applicable: NotApplicable = None,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", help="What must be done; with a --due each; repeatable."),
    ] = None,
    due: Annotated[
        list[dt.datetime] | None,
        typer.Option("--due", formats=["%Y-%m-%d"], help="By the end of this day (UTC)."),
    ] = None,
    comment: Comment = "",
    key: KeyFile = None,
    session: Session = False,
    environment: Env = "production",
    as_json: Json = False,
) -> None:
    """Approve a request, in one role, with your own key if you have made one.

    A condition that is not met when its day is over ends the approval.
    """
    if not_applicable is not None and (comment or sign_off or condition):
        raise typer.BadParameter(
            "`--not-applicable` says why, and approves nothing: leave out the rest"
        )
    texts, days = condition or [], due or []
    if len(texts) != len(days):
        raise typer.BadParameter("give each `--condition` a `--due`, in the same order")
    screen = Screen(ctx, as_json=as_json)
    own = None if session else own_key(key)
    with screen.client() as client:
        found = client.approvals.get(request, environment=environment)
        done = client.approvals.give(
            found.id,
            "approve" if not_applicable is None else "not_applicable",
            role,
            sign_off=sign_off,
            review_step=step,
            comment=comment if not_applicable is None else not_applicable,
            conditions=[(text, day.date()) for text, day in zip(texts, days, strict=True)],
            key=own,
        )
    _say(screen, done, found.name, found.environment)


@app.command()
def reject(
    ctx: typer.Context,
    request: RequestId,
    role: Role,
    reason: Why,
    key: KeyFile = None,
    session: Session = False,
    environment: Env = "production",
    as_json: Json = False,
) -> None:
    """Reject a request: that is decided at once."""
    _give(ctx, request, "reject", role, reason, None if session else own_key(key), environment, as_json=as_json)  # fmt: skip


@app.command()
def defer(
    ctx: typer.Context,
    request: RequestId,
    role: Role,
    reason: Why,
    key: KeyFile = None,
    session: Session = False,
    environment: Env = "production",
    as_json: Json = False,
) -> None:
    """Put a request off: you do not approve it now, and may later."""
    _give(ctx, request, "defer", role, reason, None if session else own_key(key), environment, as_json=as_json)  # fmt: skip


def _give(
    ctx: typer.Context,
    request: str,
    decision: str,
    role: str,
    reason: str,
    own: object,
    environment: str,
    *,
    as_json: bool,
) -> None:
    from muniment.client.signing import OwnKey  # noqa: PLC0415 -- slow to import

    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.get(request, environment=environment)
        done = client.approvals.give(
            found.id,
            decision,
            role,
            comment=reason,
            key=own if isinstance(own, OwnKey) else None,
        )
    _say(screen, done, found.name, found.environment)


def _say(screen: Screen, done: Given, name: str, environment: str) -> None:
    how = "with your own key" if done.approval.key_id else "by the registry, for this session"
    lines = [f"{_said(done.approval, name, environment)} as {done.approval.role}, signed {how}"]
    if done.decision is None:
        lines += wanting(done.missing, done.verdict)
    else:
        ends = done.decision.expires_at
        until = "" if ends is None else f" until {ends:%Y-%m-%d %H:%M}Z"
        lines.append(f"Decision {done.decision.id}: {done.decision.outcome}{until}")
    screen.result(done.as_json(), *lines)


def _said(one: Approval, version: str, environment: str) -> str:
    if one.decision == "not_applicable":
        return f"You said that the step {one.review_step} does not apply to {version} for {environment}"
    verb = {"approve": "approved", "reject": "rejected", "defer": "deferred"}[one.decision]
    step = f" (step {one.review_step})" if one.review_step else ""
    return f"You {verb} {version} for {environment}{step}"


@app.command()
def comment(
    ctx: typer.Context,
    request: RequestId,
    text: Annotated[str, typer.Argument(help="What you ask or remark.")],
    environment: Env = "production",
    as_json: Json = False,
) -> None:
    """Remark on a request; while a remark is open, nothing is decided."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.get(request, environment=environment)
        made = client.approvals.comment(found.id, text)
    hint = f"Comment {made['id']} is open; resolve it with `muniment resolve {found.id} {made['id']} --how …`"
    screen.result(made, hint)


@app.command()
def resolve(
    ctx: typer.Context,
    request: RequestId,
    comment_id: Annotated[str, typer.Argument(help="Id of the comment.")],
    how: Annotated[str, typer.Option("--how", help="How it was resolved.")],
    environment: Env = "production",
    as_json: Json = False,
) -> None:
    """Say how a remark was resolved: who made it, or somebody who could approve the request."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.approvals.get(request, environment=environment)
        done, decision = client.approvals.resolve(found.id, comment_id, how)
    lines = [f"Comment {comment_id} is resolved"]
    if decision is not None:
        lines.append(f"Decision {decision.id}: {decision.outcome}")
    data = {"comment": done, "decision": None if decision is None else decision.as_json()}
    screen.result(data, *lines)
