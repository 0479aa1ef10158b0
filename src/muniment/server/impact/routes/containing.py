"""Ask what contains something or was made of it, where that is, and who uses it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from muniment.core.errors import BadCursor, BadRequest
from muniment.server import serving, vulnerabilities
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.identity import visible_scopes
from muniment.server.impact.reads import containing as reads
from muniment.server.impact.reads.composites import containing
from muniment.server.impact.records import About, Step, Where
from muniment.server.impact.rules.asking import read_question
from muniment.server.ports.db import Tx


class ImpactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about: a vulnerability, a package URL, a SHA-256, a dataset's or base model's name."""

    what: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class StepBody(msgspec.Struct, frozen=True):
    """One step from the version to what was asked about."""

    kind: str
    name: str
    id: str = ""


class PlaceBody(msgspec.Struct, frozen=True):
    """A live deployment."""

    environment: str
    alias: str | None
    mode: str
    since: dt.datetime


class UserBody(msgspec.Struct, frozen=True):
    """A consumer bound to a version now, or to what it follows. `id` is of its binding."""

    id: uuid.UUID
    system: str
    endpoint: str
    use_case: str
    environment: str | None


class ReachedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version, every path that leads from it to what was asked about, where it is, and who uses it.

    `consumers` are the first of `consumer_count`. Of a vulnerability `open` says whether it still
    matters there, VEX considered; else it is null.
    """

    version: str
    version_id: uuid.UUID
    aliases: list[str]
    deployments: list[PlaceBody]
    consumer_count: int
    consumers: list[UserBody]
    paths: list[list[StepBody]]
    open: bool | None


class CompositeReachedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A composite that leads to what was asked about, by its own evidence or by what it contains."""

    cvi: str
    system: str
    namespace: str
    paths: list[list[StepBody]]


class ImpactBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a question leads to. `known` false: nothing the caller may see ever named that.

    `names` are what a vulnerability is also called. Counts are of all pages, and of what the caller
    may see. `composites` are the same on each page; there are more than those if `more_composites`.
    """

    what: str
    about: Literal["vulnerability", "package", "digest", "material"]
    known: bool
    names: list[str]
    version_count: int
    deployment_count: int
    consumer_count: int
    items: list[ReachedBody]
    composites: list[CompositeReachedBody]
    more_composites: bool
    next_cursor: str | None


class _Offset(msgspec.Struct):
    after: Annotated[int, msgspec.Meta(ge=0)]


async def impact(call: Call, tx: Tx) -> Reply:
    """Say which versions contain something or were made of it, by what path, and where they are."""
    query: ImpactQuery = call.query
    asked = read_question(query.what)
    found = await reads.answer(tx, asked)
    scopes = visible_scopes(call.caller.grants)
    everywhere = await reads.where(tx, list(found.reached), scopes)
    paths = {
        one.version_id: [each.path for each in found.reached[one.version_id]] for one in everywhere
    }
    composites, more = await containing(tx, paths, found.composites, scopes)
    after = read_cursor(query.cursor, _Offset).after if query.cursor else 0
    page = everywhere[after : after + query.limit + 1]
    position = {"after": after + query.limit} if len(page) > query.limit else None
    shown, cursor = cut(page, query.limit, position)
    still_open = await _open(call, tx, found, shown)
    used = await serving.using_count(tx, [one.version_id for one in everywhere])
    users = await _users(tx, [one.version_id for one in shown if one.version_id in used])
    body = ImpactBody(
        what=query.what,
        about=asked.about.value,
        # What only others may see is not given away; what a database knows is no secret.
        known=found.known if asked.about is About.VULNERABILITY else bool(everywhere or composites),
        names=list(found.names),
        version_count=len(everywhere),
        deployment_count=sum(len(one.places) for one in everywhere),
        consumer_count=sum(used.values()),
        items=[
            _reached(
                one,
                found,
                still_open.get(one.version_id),
                (used.get(one.version_id, 0), users.get(one.version_id, [])),
            )
            for one in shown
        ],
        composites=[
            CompositeReachedBody(
                cvi=one.cvi,
                system=one.system,
                namespace=one.namespace,
                paths=[_steps(path) for path in one.paths],
            )
            for one in composites
        ],
        more_composites=more,
        next_cursor=cursor,
    )
    return Reply(body)


async def _users(tx: Tx, ids: list[uuid.UUID]) -> dict[uuid.UUID, list[UserBody]]:
    """Return the first consumers of each version."""
    found = await serving.using(tx, ids, each=serving.FIRST)
    return {
        version_id: [
            UserBody(one.id, one.system, one.endpoint, one.use_case, one.environment)
            for one in map(serving.of_binding, bindings)
        ]
        for version_id, bindings in found.items()
    }


async def _open(
    call: Call, tx: Tx, found: reads.Answer, shown: list[Where]
) -> dict[uuid.UUID, bool]:
    """Return of each version whether some finding still matters, where findings were asked about."""
    ids = [one.version_id for one in shown if one.version_id in found.findings]
    given = await vulnerabilities.given(tx, "version", [str(one) for one in ids])
    named = await vulnerabilities.named(tx, ids)
    return {
        one: any(
            each.open
            for each in vulnerabilities.judge(
                found.findings[one], given[str(one)], named[one].called, call.now
            )
        )
        for one in ids
    }


def _reached(
    one: Where,
    found: reads.Answer,
    still_open: bool | None,  # noqa: FBT001 -- a fact
    used: tuple[int, list[UserBody]],
) -> ReachedBody:
    return ReachedBody(
        version=one.name,
        version_id=one.version_id,
        aliases=list(one.aliases),
        deployments=[
            PlaceBody(each.environment, each.alias, each.mode, each.since) for each in one.places
        ],
        consumer_count=used[0],
        consumers=used[1],
        paths=[_steps(each.path) for each in found.reached[one.version_id]],
        open=still_open,
    )


def _steps(path: Sequence[Step]) -> list[StepBody]:
    return [StepBody(step.kind, step.name, step.id) for step in path]


_TAG: Final = "impact"

OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/impact",
        id="get_impact",
        summary="Which versions contain something or were made of it",
        handler=impact,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ImpactQuery,
        returns=ImpactBody,
        errors=(BadCursor, BadRequest),
        tag=_TAG,
    ),
]
