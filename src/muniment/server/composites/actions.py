"""Register what runs together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.errors import AlreadyExists
from muniment.core.names import AssetRef, VersionRef
from muniment.server import catalog, ledger
from muniment.server.composites import store
from muniment.server.composites.records import Composite, Pinned
from muniment.server.composites.rules import folding, pinning
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Asked:
    """A composite as it is asked for: `components` are records, or versions that are pinned.

    `sees` says whether who asks may read an asset.
    """

    namespace: str
    system: str
    components: Sequence[Mapping[str, Any]]
    pinned: Mapping[int, VersionRef]
    sees: Callable[[AssetRef], bool]


async def prepare(tx: Tx, asked: Asked, by: By) -> Composite:
    """Return the composite that `register` would keep; nothing is written.

    Raises:
        BadComposite: a pinned version is not there, or the manifest breaks a rule; all is named.
    """
    pinned, problems = {}, []
    for place, ref in asked.pinned.items():
        version = await catalog.find_version(tx, ref.asset, ref.at)
        if version is None or not asked.sees(version.asset):
            message = f"there is no version {ref}, or you may not see it"
            fix = "register it, or name one that is here"
            problems.append(pinning.problem(place, message, fix))
        else:
            pinned[place] = Pinned(
                version.asset,
                version.kind.value,
                str(version.version),
                version.manifest_digest.hex,
            )
    if problems:
        raise pinning.refused(problems)
    cvi, manifest = pinning.manifest_of(asked.system, asked.components, pinned)
    return Composite(
        cvi=cvi,
        id=by.new_id(),
        namespace=asked.namespace,
        system=asked.system,
        manifest=manifest,
        registered_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
    )


async def register(tx: Tx, new: Composite) -> tuple[Composite, bool]:
    """Keep a composite and its entry; return it as it is there, and whether it is new.

    What has the same manifest is the same composite, whoever registers it, whenever.

    Raises:
        AlreadyExists: it is there in another namespace. Nothing is written.
        TooLarge: its manifest is over what the log takes. Nothing is written.
    """
    if not await store.insert(tx, new):
        found = await store.find(tx, new.cvi)
        assert found is not None, "who inserted it first has committed, or we would have waited"
        if found.namespace != new.namespace:
            raise AlreadyExists("a composite of this manifest is registered in another namespace")
        return found, False
    entry = Entry(
        id=new.entry_id,
        at=new.registered_at,
        act=folding.ACT,
        actor=new.actor,
        subject=Subject("composite", new.cvi, new.system[:200]),
        payload=folding.payload(new),
        digests=(digest_of(canonical(dict(new.manifest))),),
    )
    await ledger.append(tx, entry)
    return new, True
