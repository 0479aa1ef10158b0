"""Why a version may not be deployed somewhere: each rule, who can mend it, and with which command."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec

from muniment.core.errors import BadBody, BadName, BadVersion, NotFound
from muniment.core.names import VersionRef, parse_version
from muniment.server import policy
from muniment.server.catalog.records import Mode
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.lifecycle.actions import asking
from muniment.server.lifecycle.routes import parts
from muniment.server.lifecycle.rules import advice
from muniment.server.policy.records import Decision, Outcome, RuleClass, RuleResult
from muniment.server.ports.db import Tx

_LACKS: Final = {0: None, 5: "approval", 4: "evidence", 3: "nothing"}


class WhyNotQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which environment it is to go to."""

    environment: Annotated[str, msgspec.Meta(max_length=63)] = "production"


class WayBody(msgspec.Struct, frozen=True, kw_only=True):
    """What helps: a command (empty: none does it alone), and who may run it, by role and by name."""

    command: str
    roles: list[str]
    people: list[str]


class ResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says, with its title and where it comes from.

    `lacks`: what would make a failed one pass. `fault`: it gave no answer that counts.
    """

    id: str
    title: str
    source: str
    rule_class: RuleClass = msgspec.field(name="class")
    outcome: Outcome
    message: str
    remedy: str
    lacks: str | None
    fault: str | None


class UnmetBody(ResultBody, frozen=True, kw_only=True):
    """A rule that is in the way, and the ways to mend that."""

    ways: list[WayBody]


class WhyNotBody(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between a version, or a composite, and an environment, now.

    Of a `composite` `version` is its lead, and `members` are all of its versions, lead first.
    `lacks` is what would help in all: `approval`, `evidence`, `nothing` (it is refused); null: it is
    allowed. `policy_digest` is of the policy that was asked, null where none is. `enforcement`: a
    namespace that does not enforce carries out what is not allowed.
    """

    version: str
    composite: str | None
    members: list[str]
    environment: str
    at: dt.datetime
    enforcement: Mode
    decision: Decision
    lacks: Literal["approval", "evidence", "nothing"] | None
    policy_digest: str | None
    counts: dict[str, int]
    unmet: list[UnmetBody]
    results: list[ResultBody]


async def why_not(call: Call, tx: Tx) -> Reply:
    """Say what stands between a version and an environment, and who can mend it."""
    asked: WhyNotQuery = call.query
    ref = VersionRef(parts.asset_ref(call), parse_version(call.path["version"]))
    told = await asking.why_not(
        tx,
        ref,
        asked.environment,
        parts.executor(call, ref.asset),
        parts.by(call),
        parts.ports(call),
    )
    return Reply(body(told, call.now))


def body(told: asking.Told, at: dt.datetime) -> WhyNotBody:
    """Return what stands in the way as the API shows it."""
    question, verdict = told.question, told.question.verdict
    return WhyNotBody(
        version=question.lead.version.name,
        composite=question.cvi,
        members=[] if question.cvi is None else [part.version.name for part in question.parts],
        environment=question.environment.name,
        at=at,
        enforcement=question.mode,
        decision=verdict.decision,
        lacks=_LACKS[policy.exit_code(verdict)],
        policy_digest=verdict.policy_digest or None,
        counts=dict(advice.by_outcome(verdict)),
        unmet=[_unmet(one, told) for one in told.unmet],
        results=[_result(one, told) for one in verdict.results],
    )


def _result(one: RuleResult, told: asking.Told) -> ResultBody:
    title, source = told.titles.get(one.id, ("", ""))
    return ResultBody(
        id=one.id,
        title=title,
        source=source,
        rule_class=one.rule_class,
        outcome=one.outcome,
        message=one.message,
        remedy=one.remedy,
        lacks=None if one.lacks is None else one.lacks.value,
        fault=one.fault,
    )


def _unmet(one: advice.Unmet, told: asking.Told) -> UnmetBody:
    shown = _result(one.result, told)
    ways = [
        WayBody(
            command=way.command,
            roles=[role.value for role in way.roles],
            people=list(
                dict.fromkeys(name for role in way.roles for name in told.people.get(role, ()))
            ),
        )
        for way in one.ways
    ]
    return UnmetBody(**{name: getattr(shown, name) for name in shown.__struct_fields__}, ways=ways)


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/assets/{namespace}/{name}/versions/{version}/why-not",
        id="why_not",
        summary="What stands between a version and an environment, and who can mend it",
        handler=why_not,
        needs=Verb.READ,
        query=WhyNotQuery,
        returns=WhyNotBody,
        errors=(NotFound, BadName, BadVersion, BadBody),
        tag="lifecycle",
    ),
]
