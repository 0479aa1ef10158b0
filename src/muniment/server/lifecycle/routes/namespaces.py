"""What the rules of a namespace said no to."""

from __future__ import annotations

from typing import Final

from muniment.core.errors import BadCursor, BadName, NotFound
from muniment.core.names import Namespace
from muniment.server import catalog
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.lifecycle.routes import bodies, parts
from muniment.server.lifecycle.store import attempts as store
from muniment.server.ports.db import Tx

_TAG: Final = "namespaces"
_ONE: Final = "/api/v1/namespaces/{namespace}"


async def get_enforcement(call: Call, tx: Tx) -> Reply:
    """Return how often the rules of a namespace said no."""
    found = await catalog.get_namespace(tx, Namespace.parse(call.path["namespace"]))
    counts = await store.counts(tx, str(found.name))
    return Reply(bodies.enforcement_body(str(found.name), found.state.mode, counts))


async def list_attempts(call: Call, tx: Tx) -> Reply:
    """List what the rules of a namespace did not allow, the latest first."""
    asked: parts.PageQuery = call.query
    space = await catalog.get_namespace(tx, Namespace.parse(call.path["namespace"]))
    before = parts.position(asked.cursor)
    found = await store.attempts(tx, str(space.name), before, asked.limit + 1)
    shown = found[: asked.limit]
    more = len(found) > asked.limit
    cursor = parts.cursor_after(shown[-1].at, shown[-1].entry_id) if more else None
    return Reply(Page([bodies.attempt_body(one) for one in shown], cursor))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=f"{_ONE}/enforcement",
        id="get_enforcement",
        summary="How often the rules of a namespace said no",
        handler=get_enforcement,
        needs=Verb.READ,
        returns=bodies.EnforcementBody,
        errors=(NotFound, BadName),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/attempts",
        id="list_attempts",
        summary="What the rules of a namespace did not allow",
        handler=list_attempts,
        needs=Verb.READ,
        query=parts.PageQuery,
        returns=Page[bodies.AttemptBody],
        errors=(NotFound, BadName, BadCursor),
        tag=_TAG,
    ),
]
