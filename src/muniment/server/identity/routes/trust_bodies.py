"""What travels: issuers, trusted publishers, ID tokens as JSON."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import msgspec

from muniment.server.http.paging import Cursor, Limit
from muniment.server.identity.records import Issuer, Line, Publisher, TrustRule
from muniment.server.identity.routes.bodies import GrantBody
from muniment.server.identity.rules import id_tokens
from muniment.server.identity.rules.publishers import CLAIMS_MAX, TEXT_MAX_CHARS

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX_CHARS)]
ProviderName = Literal["github", "gitlab", "buildkite", "google", "generic"]
IdTokenText = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=id_tokens.MAX_CHARS, description="A JWT, as CI gives it."
    ),
]


class IssuerBody(msgspec.Struct, frozen=True):
    """Who may say who a pipeline is."""

    id: uuid.UUID
    name: str
    url: str
    provider: str
    created_at: dt.datetime
    removed_at: dt.datetime | None


class NewIssuerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer to be believed; `url` is exactly the `iss` of its tokens."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    url: Text
    provider: ProviderName = "generic"


class RuleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that an ID token's claims must be.

    `repository_id` and `owner_id` are numbers as the issuer writes them (for `google` and `generic`
    the subject). `workflow` is pinned: `PATH@REF`, or `PATH@COMMIT`.
    """

    repository_id: Text
    owner_id: Text | None = None
    repository: Text | None = None
    workflow: Text | None = None
    environment: Text | None = None
    ref: Text | None = None
    protected: bool = True
    events: Annotated[list[Text], msgspec.Meta(max_length=CLAIMS_MAX)] = []
    claims: Annotated[dict[str, Text], msgspec.Meta(max_length=CLAIMS_MAX)] = {}

    def rule(self) -> TrustRule:
        """Return the rule."""
        return TrustRule(
            identity=self.repository_id,
            owner=self.owner_id,
            repository=self.repository,
            workflow=self.workflow,
            environment=self.environment,
            ref=self.ref,
            protected=self.protected,
            events=tuple(self.events),
            claims=self.claims,
        )


class NewPublisherBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pipeline to be trusted, and for what: `register`, `evidence`, `use`, `promote:ENVIRONMENT`."""

    issuer: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    rule: RuleBody
    permits: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=50)]


class PublisherBody(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that is trusted for an asset."""

    id: uuid.UUID
    namespace: str
    asset: str
    issuer: IssuerBody
    principal_id: uuid.UUID
    rule: RuleBody
    permits: list[str]
    created_at: dt.datetime
    removed_at: dt.datetime | None
    last_used_at: dt.datetime | None
    warnings: list[str] = []


class PublishersQuery(msgspec.Struct, frozen=True):
    """Which page."""

    limit: Limit = 50
    cursor: Cursor | None = None


class TestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An ID token to be tried, or its claims alone; nothing is used up."""

    id_token: IdTokenText | None = None
    claims: Annotated[dict[str, Any], msgspec.Meta(max_length=200)] | None = None


class LineBody(msgspec.Struct, frozen=True):
    """What a publisher asks of one claim beside what was said."""

    what: str
    claim: str
    expected: str
    found: str | None
    matches: bool


class TriedBody(msgspec.Struct, frozen=True):
    """One publisher, line by line."""

    publisher_id: uuid.UUID
    permits: list[str]
    matches: bool
    lines: list[LineBody]


class TestedBody(msgspec.Struct, frozen=True):
    """What would come of an ID token: `verified` null where only claims were given.

    `refused` says why the token itself is not accepted.
    """

    verified: bool | None
    refused: str | None
    permits: list[str]
    publishers: list[TriedBody]


class ExchangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ID token of a pipeline, with this registry as its one audience."""

    id_token: IdTokenText


class ExchangedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A token of the registry for a pipeline: `token` is in this answer and never again."""

    token: str
    token_id: uuid.UUID
    expires_at: dt.datetime
    principal_id: uuid.UUID
    grants: list[GrantBody]
    permits: list[str]
    claims: dict[str, str]


class AudienceBody(msgspec.Struct, frozen=True):
    """The audience an ID token must be made for."""

    audience: str


def issuer_body(issuer: Issuer) -> IssuerBody:
    """Return an issuer as it is sent."""
    return IssuerBody(
        issuer.id, issuer.name, issuer.url, issuer.provider, issuer.created_at, issuer.removed_at
    )


def publisher_body(publisher: Publisher, warnings: list[str] | None = None) -> PublisherBody:
    """Return a publisher as it is sent."""
    rule = publisher.rule
    return PublisherBody(
        id=publisher.id,
        namespace=publisher.namespace,
        asset=publisher.asset,
        issuer=issuer_body(publisher.issuer),
        principal_id=publisher.principal_id,
        rule=RuleBody(
            repository_id=rule.identity,
            owner_id=rule.owner,
            repository=rule.repository,
            workflow=rule.workflow,
            environment=rule.environment,
            ref=rule.ref,
            protected=rule.protected,
            events=list(rule.events),
            claims=dict(rule.claims),
        ),
        permits=list(publisher.permits),
        created_at=publisher.created_at,
        removed_at=publisher.removed_at,
        last_used_at=publisher.last_used_at,
        warnings=warnings or [],
    )


def line_body(line: Line) -> LineBody:
    """Return a line as it is sent."""
    return LineBody(line.what, line.claim, line.expected, line.found, line.matches)


def permits_of(publishers: list[Publisher]) -> list[str]:
    """Return what publishers permit, `NAMESPACE/ASSET PERMIT` each, in order."""
    return sorted(
        {
            f"{each.namespace}/{each.asset} {permit}"
            for each in publishers
            for permit in each.permits
        }
    )
