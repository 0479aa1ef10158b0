"""Bindings, refusals and counts as the API shows them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import msgspec

from muniment.server import lifecycle
from muniment.server.catalog.records import Mark, Mode
from muniment.server.http import problems
from muniment.server.http.operation import Call, Reply
from muniment.server.ledger.records import Actor
from muniment.server.serving.records import (
    Binding,
    Bound,
    Counts,
    EndedAs,
    Notice,
    Refusal,
    Shown,
    Standing,
    State,
)
from muniment.server.serving.rules import standings


class StandingBody(msgspec.Struct, frozen=True, kw_only=True):
    """How a binding stands, computed when it was asked, and why; `rules` are those in the way."""

    state: State
    why: tuple[str, ...]
    quarantined: bool
    rules: list[str]


class NoticeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer is told of the version it uses: it ends (`mark`), since when, why, until when.

    `due`: nobody acknowledged that yet. Else `acknowledged_at` and `_by` say who did, with a note.
    """

    mark: Mark
    since: dt.datetime
    reason: str
    replacement: str | None
    sunset: dt.date | None
    due: bool
    acknowledged_at: dt.datetime | None
    acknowledged_by: Actor | None
    note: str


class BindingBody(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer's use of an asset, from `bound_at` until `ended_at` (null: it is current).

    `version` is the one it is bound to; null: it follows what `environment` finds, else the newest.
    `uses` is the version that is now.
    """

    id: uuid.UUID
    namespace: str
    name: str
    version: str | None
    uses: str
    system: str
    endpoint: str
    use_case: str
    environment: str | None
    reason: str
    bound_at: dt.datetime
    by: Actor
    entry_id: uuid.UUID | None
    ended_at: dt.datetime | None = None
    ended_as: EndedAs | None = None
    ended_by: Actor | None = None
    ended_reason: str | None = None
    ended_entry_id: uuid.UUID | None = None


class ShownBody(BindingBody, frozen=True, kw_only=True):
    """A binding with how it stands, and what its consumer is told (null: nothing)."""

    standing: StandingBody
    notice: NoticeBody | None


class BoundBody(msgspec.Struct, frozen=True, kw_only=True):
    """A binding that was made; with `dry_run` it would be, and with `created` false it stood already.

    `would_have_been_refused`: the rules did not allow it, and the namespace does not enforce them.
    `verdict` is null where it stood already. `replaced` is the binding of the same use that ended.
    """

    binding: BindingBody
    verdict: lifecycle.VerdictBody | None
    enforcement: Mode
    would_have_been_refused: bool
    warnings: list[str]
    replaced: uuid.UUID | None
    created: bool
    dry_run: bool


class CountsBody(msgspec.Struct, frozen=True, kw_only=True):
    """How many consumers there are, for how many a notice is to be acknowledged, and by version."""

    consumers: int
    unacknowledged: int
    by_version: dict[str, int]


def _fields(one: Binding, uses: str) -> dict[str, Any]:
    ended = one.ended
    return {
        "id": one.id,
        "namespace": str(one.asset.namespace),
        "name": str(one.asset.name),
        "version": one.version,
        "uses": uses,
        "system": one.use.system,
        "endpoint": one.use.endpoint,
        "use_case": one.use.use_case,
        "environment": one.use.environment,
        "reason": one.reason,
        "bound_at": one.bound_at,
        "by": one.actor,
        "entry_id": one.entry_id,
        "ended_at": None if ended is None else ended.at,
        "ended_as": None if ended is None else ended.ended_as,
        "ended_by": None if ended is None else ended.actor,
        "ended_reason": None if ended is None else ended.reason,
        "ended_entry_id": None if ended is None else ended.entry_id,
    }


def shown_body(one: Shown) -> ShownBody:
    """Return a binding as the API shows it."""
    found = one.found
    return ShownBody(
        **_fields(found.binding, found.uses),
        standing=_standing(one.standing),
        notice=None if found.notice is None else _notice(found.notice),
    )


def _standing(one: Standing) -> StandingBody:
    return StandingBody(
        state=one.state,
        why=one.why,
        quarantined=one.quarantined,
        rules=[each.id for each in one.results],
    )


def _notice(one: Notice) -> NoticeBody:
    return NoticeBody(
        mark=one.mark,
        since=one.since,
        reason=one.reason,
        replacement=one.replacement,
        sunset=one.sunset,
        due=one.due,
        acknowledged_at=one.acknowledged_at,
        acknowledged_by=one.acknowledged_by,
        note=one.note,
    )


def bound_body(answer: Bound, *, dry_run: bool) -> BoundBody:
    """Return what came of binding as the API shows it."""
    fields = _fields(answer.binding, str(answer.version.version))
    if dry_run and answer.new:
        fields["entry_id"] = None
    return BoundBody(
        binding=BindingBody(**fields),
        verdict=None if answer.verdict is None else lifecycle.verdict_body(answer.verdict),
        enforcement=answer.mode,
        would_have_been_refused=answer.verdict is not None and bool(answer.verdict.failed),
        warnings=list(answer.warnings),
        replaced=None if answer.replaced is None else answer.replaced.id,
        created=answer.new and not dry_run,
        dry_run=dry_run,
    )


def counts_body(found: Counts) -> CountsBody:
    """Return how many consumers there are as the API shows it."""
    return CountsBody(
        consumers=found.consumers,
        unacknowledged=found.unacknowledged,
        by_version=dict(found.by_version),
    )


def refused(call: Call, answer: Refusal, helped: lifecycle.Help) -> Reply:
    """Return the answer to a refusal, with who can help; what was recorded stays recorded."""
    said = lifecycle.words(answer.verdict)
    error = lifecycle.refusal_class(answer.verdict)(
        standings.refusal_text(answer.version.name, answer.use, said),
        problems=[
            {"field": one.id, "message": one.message, "fix": one.remedy}
            for one in answer.verdict.failed
        ],
        extra={
            "version": answer.version.name,
            "environment": answer.use.environment,
            "enforcement": answer.mode.value,
            "verdict": lifecycle.verdict_json(answer.verdict),
            "ways": [
                {
                    "rule": one.result.id,
                    "command": way.command,
                    "roles": [role.value for role in way.roles],
                    "people": list(
                        dict.fromkeys(
                            name for role in way.roles for name in helped.people.get(role, ())
                        )
                    ),
                }
                for one in helped.unmet
                for way in one.ways
            ],
            "entry_id": None if answer.entry_id is None else str(answer.entry_id),
        },
    )
    return problems.reply_for(error, call.request_id)
