"""What commands do to a registry from beside its server: check it, rebuild its state, collect blobs."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable

from muniment.server import artifacts, ledger
from muniment.server.artifacts import jobs as artifact_jobs
from muniment.server.artifacts.records import Collected
from muniment.server.ledger.fsck import Options, fsck, state
from muniment.server.ledger.records import Fields, Key, Report
from muniment.server.settings import Settings
from muniment.server.wiring import FOLDS, KEEPERS, misdescribed, open_deps, required_blobs


async def collect(
    settings: Settings,
    url: str,
    *,
    older_than: dt.timedelta,
    dry_run: bool,
    told: Callable[[Collected], None],
) -> None:
    """Remove blobs that nothing names and that are older than `older_than`; tell of each batch."""
    async with open_deps(settings, url) as deps:
        async with deps.db.transaction(read_only=True) as tx:
            await ledger.check_entry_key(tx)
        batches = artifact_jobs.collect(deps, KEEPERS, older_than=older_than, dry_run=dry_run)
        async for batch in batches:
            told(batch)


async def check(
    settings: Settings, url: str, *, sample: int | None, progress: Callable[[str, int], None]
) -> Report:
    """Run `fsck` over the whole registry; `sample` None reads every blob again."""
    async with open_deps(settings, url) as deps:
        options = Options(
            keys=deps.keys,
            origin=settings.origin,
            folds=FOLDS,
            needed=required_blobs,
            suspects=artifacts.suspects,
            misdescribed=lambda digest: misdescribed(deps.db, deps.blobs, digest),
            sample=sample,
            seed=secrets.randbits(32),
            progress=progress,
        )
        return await fsck(deps.db, deps.blobs, options)


async def rebuild(
    settings: Settings, url: str, as_of: dt.datetime | None
) -> dict[str, dict[Key, Fields]]:
    """Fold the log up to `as_of` into the tables it implies, by name and key."""
    async with (
        open_deps(settings, url) as deps,
        deps.db.transaction(read_only=True, repeatable=True) as tx,
    ):
        return await state(tx, FOLDS, as_of)
