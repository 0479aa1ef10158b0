"""A version's files, byte for byte: whole, a range, or from where the store keeps them.

They are somebody's bytes: always sent as a download of no particular type, never as a page.
"""

from __future__ import annotations

import msgspec

from muniment.core.errors import (
    BadName,
    BadRange,
    BadVersion,
    BlobStoreDown,
    NotAllowed,
    NotFound,
    NotServed,
)
from muniment.server import catalog
from muniment.server.artifacts import reads
from muniment.server.artifacts.records import File
from muniment.server.artifacts.routes.versions import ONE, version_of
from muniment.server.http.held import held_file
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Scope, Verb


class FileQuery(msgspec.Struct, frozen=True):
    """`direct`: be sent to where the store keeps the bytes, if it can be reached directly.

    `audit`: read what is retired or quarantined, which is otherwise not handed out.
    """

    direct: bool = False
    audit: bool = False


async def get(call: Call) -> Reply:
    """Send one file, or a range of it."""
    file = await _file(call)
    filename = file.path.rsplit("/", 1)[-1]
    return await held_file(call, file.digest, file.size_bytes, filename, direct=call.query.direct)


async def _file(call: Call) -> File:
    """Return the file the path names.

    Raises:
        NotFound: the version has no such file.
        NotServed: it is retired or quarantined, and this is no audit.
        NotAllowed: this is to be an audit, and the caller's roles are not for that.
    """
    if call.query.audit:
        call.require(Verb.AUDIT, Scope(call.path["namespace"], call.path["name"]))
    async with call.deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
        if not call.query.audit:
            catalog.check_served(version)
        file = await reads.find_file(tx, version.manifest_digest, call.path["path"])
    if file is None:
        raise NotFound(f"{version.name} has no file `{call.path['path'][:200]}`")
    return file


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=f"{ONE}/files/{{path:path}}",
        id="get_file",
        summary="One file of a version",
        handler=get,
        needs=Verb.READ,
        tx=TxMode.NONE,
        query=FileQuery,
        returns=bytes,
        also=(206, 304, 307),
        errors=(NotFound, BadName, BadVersion, BadRange, BlobStoreDown, NotServed, NotAllowed),
        tag="versions",
        media_type="application/octet-stream",
    ),
]
