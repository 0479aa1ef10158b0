"""Sign a version's files with the registry's own record key: OpenSSF Model Signing, as evidence."""

from __future__ import annotations

import asyncio

from muniment.core.errors import BadManifest, BadName, BadVersion, BlobStoreDown, NotFound
from muniment.server import artifacts, ledger
from muniment.server.evidence import actions, reads
from muniment.server.evidence.routes.adding import AddedEvidence, added
from muniment.server.evidence.routes.bodies import ONE, TAG, version_of
from muniment.server.evidence.rules import binding
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import By


async def sign(call: Call) -> Reply:
    """Sign the files of a version; the signature is made once, and becomes evidence.

    Signed is the stored manifest: no byte of the files is read again.
    """
    deps = call.deps
    async with deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
        manifest = await artifacts.get_manifest(tx, version.manifest_digest)
        there = await reads.registry_signature(tx, version)
    if there is not None:
        return Reply(added(there, recorded=True), status=200)
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    files = {file.path: file.digest for file in manifest.files}
    about = binding.about_version(version, paths=files)
    new, data = await asyncio.to_thread(actions.sign, about, deps.keys.record, by.at)
    new = actions.as_kept(new, await actions.keep(deps.blobs, data, call.new_id()))
    async with deps.db.transaction() as tx:
        evidence, fresh = await actions.record_signature(tx, version, new, by, deps.keys.record)
    return Reply(added(evidence, recorded=True, created=fresh), status=201 if fresh else 200)


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{ONE}/signature",
        id="sign_version",
        summary="Sign a version's files with the registry's key",
        handler=sign,
        needs=Verb.ATTEST,
        tx=TxMode.NONE,
        returns=AddedEvidence,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadVersion, BadManifest, BlobStoreDown),
        tag=TAG,
    ),
]
