"""Where versions are deployed, what a promotion came to, and the stage that follows, as the client reads them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from muniment.client.records import Record


class Deployment(Record, frozen=True, kw_only=True):
    """A version of an asset in an environment, from `since` until `ended_at` (None: it is live).

    `composite` is what it was deployed as a part of; None: a version alone.
    """

    id: str
    asset: str = ""
    version: str
    number: int
    environment: str
    alias: str | None = None
    mode: str = "full"
    since: dt.datetime
    by: dict[str, Any] = msgspec.field(default_factory=dict)
    reason: str = ""
    entry_id: str | None = None
    decision_id: str | None = None
    composite: str | None = None
    ended_at: dt.datetime | None = None
    ended_as: str | None = None

    @classmethod
    def from_json(cls, value: Any) -> Deployment:
        """Read plain JSON values."""
        return msgspec.convert(value, cls)


class Member(Record, frozen=True, kw_only=True):
    """A version that was deployed with a composite, `NAME@1.2.0`, and what ended with that."""

    ref: str
    version: str
    number: int
    deployment: Deployment
    superseded: list[Deployment] = msgspec.field(default_factory=list)
    entry_id: str | None = None


class Promoted(Record, frozen=True, kw_only=True):
    """A promotion that was carried out; `entry_id` is None when it stood so, or for a dry run.

    `would_have_been_refused`: the rules did not allow it, and the namespace does not enforce them. Of a
    `composite` the first fields are those of its lead, or of the asset that went back with it; `members`
    are all of its versions, lead first, and `left` is what ended of the composite before it that it has
    no version for.
    """

    version: str
    number: int
    deployment: Deployment
    verdict: dict[str, Any] = msgspec.field(default_factory=dict)
    enforcement: str = ""
    would_have_been_refused: bool = False
    warnings: list[str] = msgspec.field(default_factory=list)
    superseded: list[Deployment] = msgspec.field(default_factory=list)
    entry_id: str | None = None
    dry_run: bool = False
    composite: str | None = None
    members: list[Member] = msgspec.field(default_factory=list)
    left: list[Deployment] = msgspec.field(default_factory=list)


class StageOf(Record, frozen=True, kw_only=True):
    """A version's derived stage, and what it follows from."""

    version: str
    number: int
    stage: str
    lifecycle: str
    deprecated: bool = False
    quarantined: bool = False
    deployments: list[Deployment] = msgspec.field(default_factory=list)
