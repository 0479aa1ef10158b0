"""What is known to be wrong with what versions contain, with and without what statements say of it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from muniment.core.errors import BadCursor, BadName, BadVersion, NotFound
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.identity import visible_scopes
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.reads import examining, versions
from muniment.server.vulnerabilities.records import (
    Database,
    Examined,
    Given,
    Judged,
    Outcome,
    Severity,
)
from muniment.server.vulnerabilities.routes.parts import ONE, TAG, version_of
from muniment.server.vulnerabilities.rules import vex as judging


class StatementBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a VEX statement says, who added it, and until when it holds."""

    status: str
    justification: str
    detail: str
    author: str
    added_by: Actor
    added_at: dt.datetime
    expires_at: dt.datetime
    evidence_id: uuid.UUID


class ExploitedBody(msgspec.Struct, frozen=True):
    """Since when a vulnerability is known to be exploited, as the catalogue writes it."""

    added_on: str
    due_on: str
    ransomware: bool


class FindingBody(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability of one component.

    `outcome` is `affected`, or `undecided` where it cannot be told. `severity` `unknown`: nobody
    said. `open` says whether it still matters, with `vex`, the statement that decides; without it, it
    would be open. `expired_vex` is the last one that is over.
    """

    name: str
    names: list[str]
    advisories: list[str]
    component: str
    package: str
    version: str | None
    purl: str | None
    outcome: Literal["affected", "undecided"]
    severity: Literal["critical", "high", "unknown", "medium", "low", "none"]
    score: float | None
    vector: str | None
    summary: str
    fixed_in: list[str]
    exploited: ExploitedBody | None
    open: bool
    vex: StatementBody | None
    expired_vex: StatementBody | None


class HeldAgainst(msgspec.Struct, frozen=True, kw_only=True):
    """A database that components were held against."""

    ecosystem: str
    id: uuid.UUID
    digest: str
    dated_at: dt.datetime


class CountsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Findings in numbers. `open` and `found` (without statements) are of those that are sure, by severity."""

    open: dict[str, int]
    found: dict[str, int]
    undecided: int
    exploited: int
    resolved: int


class ComponentsBody(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the components could be looked up.

    `unidentified` have no package URL; `uncovered` counts those of kinds that no database is about.
    """

    total: int
    unidentified: int
    uncovered: dict[str, int]


class VersionVulnerabilities(msgspec.Struct, frozen=True, kw_only=True):
    """How a version stands.

    `state` is `no_sbom` (nothing is known of what it contains), `no_database` (nothing to hold it
    against), `open` (something matters or cannot be told), or `none_open`: of what could be looked
    up, nothing matters.
    """

    version: str
    version_id: uuid.UUID
    state: Literal["no_sbom", "no_database", "open", "none_open"]
    counts: CountsBody
    components: ComponentsBody
    sboms: list[uuid.UUID]


class FindingsBody(VersionVulnerabilities, frozen=True, kw_only=True):
    """How a version stands, and a page of its findings: the exploited first, then the worst."""

    at: dt.datetime
    databases: list[HeldAgainst]
    items: list[FindingBody]
    next_cursor: str | None = None


class FindingsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings: all, or only those that are open."""

    open: bool = False
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Offset(msgspec.Struct):
    after: Annotated[int, msgspec.Meta(ge=0)]


async def of_version(call: Call, tx: Tx) -> Reply:
    """List what is known to be wrong with what a version contains, now."""
    query: FindingsQuery = call.query
    version = await version_of(call, tx)
    id_ = str(version.id)
    known = await examining.examine(tx, "version", [id_])
    given = (await examining.given(tx, "version", [id_]))[id_]
    called = await versions.called(tx, version)
    examined = known.subjects[id_]
    judged = judging.judge(examined.findings, given, called, call.now)
    shown = [one for one in judged if one.open or not query.open]
    after = read_cursor(query.cursor, _Offset).after if query.cursor else 0
    page = shown[after : after + query.limit + 1]
    position = {"after": after + query.limit} if len(page) > query.limit else None
    items, cursor = cut([finding_body(one) for one in page], query.limit, position)
    summed = summary(version.name, version.id, examined, judged, known.databases)
    body = FindingsBody(
        **{name: getattr(summed, name) for name in summed.__struct_fields__},
        at=call.now,
        databases=[_held_against(one) for one in known.databases],
        items=items,
        next_cursor=cursor,
    )
    return Reply(body)


class AllQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions: of a namespace, or of all the caller may read; only those with an SBOM."""

    namespace: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    with_sbom: bool = False
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Position(msgspec.Struct):
    id: uuid.UUID


async def of_all(call: Call, tx: Tx) -> Reply:
    """List versions, the newest first, with how each stands."""
    query: AllQuery = call.query
    found = await versions.page(
        tx,
        versions.Wanted(
            scopes=visible_scopes(call.caller.grants),
            namespace=query.namespace,
            with_sbom=query.with_sbom,
            before=read_cursor(query.cursor, _Position).id if query.cursor else None,
            limit=query.limit,
        ),
    )
    ids = [str(one.id) for one in found[: query.limit]]
    known = await examining.examine(tx, "version", ids)
    given = await examining.given(tx, "version", ids)
    items = []
    for one in found[: query.limit]:
        examined = known.subjects[str(one.id)]
        judged = judging.judge(examined.findings, given[str(one.id)], one.called, call.now)
        items.append(summary(one.name, one.id, examined, judged, known.databases))
    last = {"id": ids[-1]} if len(found) > query.limit else None
    return Reply(Page(*cut([*items, *found[query.limit :]], query.limit, last)))


def summary(
    name: str,
    version_id: uuid.UUID,
    examined: Examined,
    judged: Sequence[Judged],
    databases: Iterable[Database],
) -> VersionVulnerabilities:
    """Return how a version stands."""
    is_open = any(one.open for one in judged)
    state: Any = "open" if is_open else "none_open"
    if not any(one.ecosystem != "KEV" for one in databases):
        state = "no_database"
    if not examined.sboms:
        state = "no_sbom"
    return VersionVulnerabilities(
        version=name,
        version_id=version_id,
        state=state,
        counts=_counts(judged),
        components=ComponentsBody(
            total=examined.component_count,
            unidentified=examined.unidentified_count,
            uncovered=dict(examined.uncovered),
        ),
        sboms=list(examined.sboms),
    )


def _counts(judged: Sequence[Judged]) -> CountsBody:
    sure = [one for one in judged if one.finding.outcome is Outcome.AFFECTED]
    return CountsBody(
        open=_by_severity(one for one in sure if one.open),
        found=_by_severity(sure),
        undecided=sum(one.open for one in judged) - sum(one.open for one in sure),
        exploited=sum(one.open and one.finding.exploited is not None for one in judged),
        resolved=sum(not one.open for one in judged),
    )


def _by_severity(judged: Iterable[Judged]) -> dict[str, int]:
    found = Counter(one.finding.severity for one in judged)
    return {severity.value: found[severity] for severity in Severity if found[severity]}


def finding_body(one: Judged) -> FindingBody:
    """Return a finding as it is shown."""
    finding = one.finding
    exploited = finding.exploited
    outcome: Any = finding.outcome.value
    return FindingBody(
        name=finding.name,
        names=list(finding.names),
        advisories=list(finding.advisories),
        component=finding.component,
        package=finding.package,
        version=finding.version,
        purl=finding.purl,
        outcome=outcome,
        severity=finding.severity.value,
        score=finding.score,
        vector=finding.vector,
        summary=finding.summary,
        fixed_in=list(finding.fixed_in),
        exploited=None
        if exploited is None
        else ExploitedBody(exploited.added_on, exploited.due_on, exploited.ransomware),
        open=one.open,
        vex=statement_body(one.given),
        expired_vex=statement_body(one.expired),
    )


def statement_body(given: Given | None) -> StatementBody | None:
    """Return a statement as it is shown."""
    if given is None:
        return None
    said = given.statement
    return StatementBody(
        status=said.status.value,
        justification=said.justification,
        detail=said.detail,
        author=given.author,
        added_by=given.added_by,
        added_at=given.added_at,
        expires_at=given.expires_at,
        evidence_id=given.evidence_id,
    )


def _held_against(one: Database) -> HeldAgainst:
    return HeldAgainst(
        ecosystem=one.ecosystem, id=one.id, digest=str(one.digest), dated_at=one.dated_at
    )


_ALL: Final = "/api/v1/vulnerabilities"

OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=f"{ONE}/vulnerabilities",
        id="list_version_vulnerabilities",
        summary="What is known to be wrong with what a version contains",
        handler=of_version,
        needs=Verb.READ,
        query=FindingsQuery,
        returns=FindingsBody,
        errors=(NotFound, BadName, BadVersion, BadCursor),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_vulnerabilities",
        summary="How versions stand",
        handler=of_all,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=AllQuery,
        returns=Page[VersionVulnerabilities],
        errors=(BadCursor,),
        tag=TAG,
    ),
]
