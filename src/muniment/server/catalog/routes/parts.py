"""What the catalog's routes share: references from paths, times, preconditions, pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from muniment.core.names import AssetName, AssetRef, Namespace, SemVer, parse_version
from muniment.server import ledger
from muniment.server.catalog.reads.history import Span, position_of, span_from
from muniment.server.catalog.reads.search import Query
from muniment.server.catalog.records import Visible
from muniment.server.catalog.rules.versions import parse_as_of
from muniment.server.http.operation import Call
from muniment.server.http.paging import (
    LIMIT_DEFAULT,
    Cursor,
    Limit,
    Page,
    decode_cursor,
    encode_cursor,
)
from muniment.server.identity import By, visible_scopes

T = TypeVar("T")
Body = TypeVar("Body")


AsOf = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="Answer as of this time (RFC 3339), or the end of this day (2026-04-20).",
    ),
]
FilterText = Annotated[
    str, msgspec.Meta(description="For example `tags.team = 'risk' AND metrics.auc > 0.9`.")
]
OrderBy = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=2000)]],
    msgspec.Meta(max_length=4, description="For example `registered_at desc`; may be repeated."),
]


class AsOfQuery(msgspec.Struct, frozen=True, kw_only=True):
    """When the answer is to hold."""

    as_of: AsOf | None = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, in which order, which page, as of when."""

    filter: FilterText = ""
    order_by: OrderBy = []
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT
    as_of: AsOf | None = None


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a history, as of when."""

    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT
    as_of: AsOf | None = None


def asset_ref(call: Call) -> AssetRef:
    """Return the asset the path names."""
    return AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))


def version_at(call: Call) -> SemVer | int:
    """Return the SemVer or number the path names."""
    return parse_version(call.path["version"])


def as_of(text: str | None) -> dt.datetime | None:
    """Return the time an answer is to hold; None is now.

    Raises:
        BadRequest: it is no time.
    """
    return None if text is None else parse_as_of(text)


def by(call: Call) -> By:
    """Return who acts, when, and where new ids come from."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def visible(call: Call) -> Visible:
    """Return what the caller may read."""
    scopes = visible_scopes(call.caller.grants)
    if scopes is None:
        return Visible(everything=True)
    return Visible(
        namespaces=tuple(s.namespace for s in scopes if s.namespace and s.asset is None),
        assets=tuple((s.namespace, s.asset) for s in scopes if s.namespace and s.asset),
    )


def query_of(call: Call, within: AssetRef | None = None) -> Query:
    """Return what the request looks for; `within` one asset it has been let into already."""
    asked: SearchQuery = call.query
    return Query(
        visible=Visible(everything=True) if within else visible(call),
        filter=asked.filter,
        order=asked.order_by,
        cursor=None if asked.cursor is None else decode_cursor(asked.cursor),
        limit=asked.limit,
        as_of=as_of(asked.as_of),
        within=within,
    )


def span_of(call: Call) -> Span:
    """Return which part of a history the request asks for."""
    asked: HistoryQuery = call.query
    cursor = None if asked.cursor is None else decode_cursor(asked.cursor)
    return span_from(cursor, asked.limit, as_of(asked.as_of))


def page_of(
    items: Sequence[T], position: dict[str, Any] | None, body: Callable[[T], Body]
) -> Page[Body]:
    """Return a page of `items`, as bodies."""
    return Page([body(item) for item in items], next_cursor(position))


def next_cursor(position: dict[str, Any] | None) -> str | None:
    """Return the cursor of the page that starts after `position`; None where there is none."""
    return None if position is None else encode_cursor(position)


def history_page(
    events: Sequence[T], span: Span, body: Callable[[T], Body], event_of: Callable[[T], Any]
) -> Page[Body]:
    """Return a page of a history of which one more than the limit was read."""
    shown = events[: span.limit]
    more = len(events) > span.limit
    return page_of(shown, position_of(event_of(shown[-1])) if more else None, body)


def etag(revision: int) -> dict[str, str]:
    """Return the ETag header of a revision."""
    return {"ETag": f'"{revision}"'}
