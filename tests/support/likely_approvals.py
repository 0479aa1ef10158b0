"""Approvals in a seeded registry: requests of somebody else's version, a word, a decision, an exception."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from muniment import Client

_NAME = "made-one"


def seed_approvals(
    admin: Client, url: str, folder: Path
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Make them; return likely values and bodies. The administrator may approve what a maker asks for."""
    mine = str(admin.whoami().id)
    for role in ("platform", "security"):
        admin.principals.grant(mine, f"approver_{role}")
    people = {}
    for name, roles in (("maker", ["contributor"]), ("reviewer", ["approver_technical"])):
        person = admin.principals.create(name)
        for role in roles:
            admin.principals.grant(str(person.id), role)
        people[name] = admin.tokens.create(name, principal_id=str(person.id)).token
    with Client(url, people["maker"]) as maker, Client(url, people["reviewer"]) as reviewer:
        for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0"):
            maker.register(
                _NAME, version=version, artifact=folder, kind="model", owner="ada",
                metadata={"risk_tier": "minimal"},
            )  # fmt: skip
        asked = [
            maker.approvals.request(f"{_NAME}@{version}", "production", change="routine").id
            for version in ("1.0.0", "2.0.0")
        ]
        undone = admin.approvals.request(f"{_NAME}@3.0.0", "production", change="routine").id
        soon = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30)
        word = reviewer.approvals.give(
            asked[0], "approve", "technical", conditions=[("watch", soon)]
        )
        rejected = reviewer.approvals.give(asked[1], "reject", "technical", comment="no")
    comment = admin.approvals.comment(asked[0], "why?")["id"]
    exception, _ = admin.exceptions.grant(
        "SEC-004", f"{_NAME}@2.0.0", "production", until=soon, reason="why", control="none"
    )
    decision = "" if rejected.decision is None else rejected.decision.id
    values: dict[str, list[Any]] = {
        "request_id": [asked[0]],
        "withdraw_approval_request.request_id": [undone],
        "comment_id": [comment],
        "condition_id": [word.approval.conditions[0]["id"]],
        "decision_id": [decision],
        "exception_id": [exception.id],
        "environment": ["production", "staging"],
        "list_approval_requests.version": [f"{_NAME}@1.0.0"],
        "list_decisions.version": [f"{_NAME}@2.0.0"],
        "list_exceptions.version": [f"{_NAME}@2.0.0"],
    }
    for operation, version in (("open_approval_request", "4.0.0"), ("grant_exception", "1.0.0")):
        values[f"{operation}.name"], values[f"{operation}.version"] = [_NAME], [version]
    waived = {
        "environment": "production", "rule": "SEC-004", "role": "security", "until": str(soon),
        "reason": "why", "control": "none",
    }  # fmt: skip
    bodies: dict[str, list[Any]] = {
        "open_approval_request": [{"environment": "staging", "change_class": "routine"}],
        "open_composite_approval_request": [{"environment": "staging", "change_class": "routine"}],
        "give_approval": [{"decision": "defer", "role": "platform", "comment": "later"}],
        "withdraw_approval_request": [{"reason": "over"}],
        "comment_approval_request": [{"text": "why not?"}],
        "resolve_approval_comment": [{"resolution": "so"}],
        "meet_approval_condition": [{"note": "done"}],
        "grant_exception": [waived],
        "revoke_exception": [{"reason": "fixed"}],
    }
    return values, bodies
