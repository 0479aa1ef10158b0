"""Names of principals, for whoever reads what they did."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.paging import Page
from muniment.server.http.records import PrincipalKind, Verb
from muniment.server.identity.store import access as store
from muniment.server.ports.db import Tx


class NamesQuery(msgspec.Struct, frozen=True):
    """Whose names."""

    id: Annotated[
        list[uuid.UUID],
        msgspec.Meta(min_length=1, max_length=200, description="May be repeated."),
    ]


class NameBody(msgspec.Struct, frozen=True):
    """What a principal is called; `display_name` is null if it has none."""

    id: uuid.UUID
    kind: PrincipalKind
    name: str
    display_name: str | None


async def name_principals(call: Call, tx: Tx) -> Reply:
    """Return what principals are called, by name; ids of nobody are left out.

    Everybody who may call may ask: ids stand in histories and in the log, and an act is a named
    one's.
    """
    query: NamesQuery = call.query
    found = await store.names_of(tx, query.id)
    return Reply(Page([NameBody(**row) for row in found]))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/principal-names",
        id="name_principals",
        summary="What principals are called, by id",
        handler=name_principals,
        needs=Verb.NOTHING,
        scope=ScopeFrom.EVERYTHING,
        query=NamesQuery,
        returns=Page[NameBody],
        tag="identity",
    ),
]
