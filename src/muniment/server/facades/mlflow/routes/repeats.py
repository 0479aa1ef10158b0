"""Giving the same version again to who asks for it again: `rules.repeats` says when."""

from __future__ import annotations

import uuid
from collections import OrderedDict

from muniment.core.names import AssetRef
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.records import FoundVersion
from muniment.server.facades.mlflow.rules import repeats
from muniment.server.facades.mlflow.rules.repeats import Asked
from muniment.server.http.operation import Call
from muniment.server.ports.db import Tx

#: Over which connection the answer with a version went, of the latest of this process. A connection
#: belongs to one process, so others need not know.
_ANSWERED: OrderedDict[uuid.UUID, object] = OrderedDict()
_REMEMBERED = 10_000


async def earlier(tx: Tx, call: Call, asset: AssetRef, asked: Asked) -> FoundVersion | None:
    """Return the version that `asked` made before, if this is a repeat. The asset is locked."""
    if not repeats.may_repeat(call.headers.get("user-agent") or ""):
        return None
    since = call.now - repeats.WINDOW
    version = await reads.newest_untouched(tx, str(asset.name), str(call.caller.id), since)
    if version is None:
        return None
    about = version.about
    was = Asked(
        source=str(about.get("source", "")),
        run_id=version.run_id or "",
        model_id=str(about.get("model_id", "")),
        run_link=str(about.get("run_link", "")),
        description=version.description,
        tags=version.tags,
    )
    connection = call.scope.get("client")
    read_it = connection is not None and _ANSWERED.get(version.id) == connection
    return version if repeats.same(asked, was) and not read_it else None


def answered(call: Call, version: FoundVersion) -> None:
    """Remember over which connection the answer with `version` goes."""
    _ANSWERED[version.id] = call.scope.get("client")
    while len(_ANSWERED) > _REMEMBERED:
        _ANSWERED.popitem(last=False)
