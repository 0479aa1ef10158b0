"""Who uses versions now: the consumers of what a question leads to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from muniment.server import serving
from muniment.server.impact.reads.asking import Asking, Found
from muniment.server.impact.records import Link, LinkKind, Node, NodeKind


async def consumers(asking: Asking, ids: Sequence[str], room: int) -> Found:
    """Return who uses versions now, by the versions' ids."""
    if not ids:
        return []
    using = await serving.using(asking.tx, [uuid.UUID(one) for one in ids], each=room)
    found: Found = []
    for version_id, bindings in using.items():
        for one in bindings:
            use = one.use
            about = {
                "endpoint": use.endpoint,
                "use_case": use.use_case,
                "since": one.bound_at.isoformat(),
                **({} if use.environment is None else {"environment": use.environment}),
            }
            label = f"{use.system} ({use.use_case})"
            node = Node(NodeKind.CONSUMER, str(one.id), label, None, about)
            found.append((Link(LinkKind.USES, node.id, f"version:{version_id}"), node))
    asking.cut |= len(found) >= room
    return found[:room]
