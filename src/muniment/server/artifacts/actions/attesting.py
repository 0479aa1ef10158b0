"""A version that is there already is registered again by a pipeline that its CI system vouched for."""

from __future__ import annotations

from muniment.server import catalog, ledger
from muniment.server.artifacts.actions.registering import PREDICATE_TYPE
from muniment.server.catalog.records import Version
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer


async def attest(tx: Tx, version: Version, by: By, signer: Signer) -> None:
    """Record that `by`, a pipeline that was vouched for, has the same files for `version`.

    Its act is signed as a registration is. Where one did so before, there is no act.

    Source: requirements §1.2 (9): nothing leaves draft without it.
    """
    await catalog.lock_asset(tx, version.asset)
    if await ledger.attested(tx, [str(version.id)]):
        return
    entry = Entry(
        id=by.new_id(),
        at=by.at,
        act="version.attest",
        actor=by.actor,
        subject=Subject("version", str(version.id), version.name, version.asset_id),
        payload={"manifest": str(version.manifest_digest)},
        digests=(version.manifest_digest, version.metadata_digest),
        predicate_type=PREDICATE_TYPE,
    )
    await ledger.append(tx, entry, signer)
