"""What the registry answers of issuers, trusted publishers and exchanged ID tokens."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from muniment.client.records import Record


class Issuer(Record, frozen=True, kw_only=True):
    """Who is believed about pipelines: `url` is exactly the `iss` of its tokens."""

    name: str
    url: str
    provider: str = "generic"
    id: str | None = None
    created_at: dt.datetime | None = None
    removed_at: dt.datetime | None = None


class Publisher(Record, frozen=True, kw_only=True):
    """A pipeline that is trusted for an asset; `rule` is all that its ID tokens must say."""

    id: str
    namespace: str
    asset: str
    issuer: Issuer
    permits: list[str]
    rule: dict[str, Any] = msgspec.field(default_factory=dict)
    principal_id: str | None = None
    created_at: dt.datetime | None = None
    removed_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None
    warnings: list[str] = msgspec.field(default_factory=list)


class Line(Record, frozen=True, kw_only=True):
    """What a publisher asks of one claim beside what was said."""

    what: str
    claim: str
    expected: str
    found: str | None = None
    matches: bool = False


class Tried(Record, frozen=True, kw_only=True):
    """One publisher, line by line."""

    publisher_id: str
    permits: list[str] = msgspec.field(default_factory=list)
    matches: bool = False
    lines: list[Line] = msgspec.field(default_factory=list)


class Tested(Record, frozen=True, kw_only=True):
    """What would come of an ID token; `verified` is None where only claims were given."""

    verified: bool | None = None
    refused: str | None = None
    permits: list[str] = msgspec.field(default_factory=list)
    publishers: list[Tried] = msgspec.field(default_factory=list)


class Exchanged(Record, frozen=True, kw_only=True):
    """A token of the registry for a pipeline, until `expires_at`, and what it permits."""

    token: str
    expires_at: dt.datetime
    token_id: str | None = None
    principal_id: str | None = None
    permits: list[str] = msgspec.field(default_factory=list)
    claims: dict[str, str] = msgspec.field(default_factory=dict)
