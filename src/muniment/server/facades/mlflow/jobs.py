"""Registering versions whose bytes another server, or a bucket, has: what `PENDING_REGISTRATION` means.

1. The tracking server is asked where the run's or logged model's files lie. An artifact path must be
   below one of them: nobody registers one run's bytes as another's.
2. The files are brought here, each hashed on its way.
3. In one transaction the version is registered as any other, with the number that was promised, by
   whoever asked; and the fetch is over.

What cannot be taken ends the fetch with its reason. What may be mended by waiting is tried again.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Final

from muniment.core.errors import (
    BadRequest,
    Conflict,
    IntegrityError,
    MunimentError,
    NotAllowed,
    NotFound,
    TooLarge,
)
from muniment.server import catalog, federation
from muniment.server.catalog.records import VersionState
from muniment.server.facades.mlflow import actions
from muniment.server.facades.mlflow.rules import sources
from muniment.server.federation.records import Fetch, FetchState, RemoteRun
from muniment.server.http.operation import Deps
from muniment.server.identity import By
from muniment.server.ports.queue import Handler, Job, Periodic

#: What waiting does not mend.
_FINAL: Final = (BadRequest, NotFound, NotAllowed, Conflict, TooLarge, IntegrityError)


async def fetch(deps: Deps, job: Job) -> None:
    """Bring the bytes of one fetch here and register them; or end it with the reason why not."""
    fetch_id = uuid.UUID(job.payload["fetch_id"])
    async with deps.db.transaction(read_only=True) as tx:
        wanted = await federation.find_fetch(tx, fetch_id)
    if wanted is None or wanted.state is not FetchState.PENDING:
        return
    try:
        await _bring_and_register(deps, wanted)
    except _FINAL as error:
        await _fail(deps, fetch_id, error.message)
    except MunimentError as error:
        if not job.is_last:
            raise
        await _fail(deps, fetch_id, f"{error.message} (tried {job.attempts} times)")
    except Exception:
        if job.is_last:
            await _fail(deps, fetch_id, "something went wrong in the registry; see its log")
        raise


async def _fail(deps: Deps, fetch_id: uuid.UUID, reason: str) -> None:
    by = By(federation.FETCHER, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        await federation.fail_fetch(tx, fetch_id, reason, by)


async def _bring_and_register(deps: Deps, asked: Fetch) -> None:
    async with federation.Elsewhere(deps.settings) as elsewhere:
        place, run = await _whereabouts(deps, elsewhere, asked)
        files = await federation.bring(deps, asked, elsewhere.files_at(place))
    wanted = actions.Wanted(
        asset=asked.asset,
        source=asked.source,
        run_id=asked.about.run_id or (run.run_id if run else ""),
        model_id=asked.about.model_id,
        run_link=asked.about.run_link,
        tracking_uri=(deps.settings.mlflow_url or "") if run else "",
        state=VersionState(asked.about.description, asked.about.tags),
    )
    origin = actions.Origin(files, params=run.params if run else {})
    metadata = await actions.metadata_of(deps.blobs, wanted, origin)
    by = By(asked.asked_by, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        now = await federation.find_fetch(tx, asked.id, lock=True)
        if now is None or now.state is not FetchState.PENDING:
            return
        wanted = replace(wanted, asset=now.asset)
        asset = await catalog.lock_asset(tx, wanted.asset)
        version = await actions.register(
            tx, deps, by, asset, wanted, origin, metadata, number=asked.number
        )
        await federation.end_fetch(tx, asked.id, by.at, version_id=version.id)


async def _whereabouts(
    deps: Deps, elsewhere: federation.Elsewhere, asked: Fetch
) -> tuple[federation.Place, RemoteRun | None]:
    """Return where the files are, and the run or logged model they are of as far as that is known.

    Raises:
        BadRequest: the source is not below the run or logged model it is said to be of.
        NotFound: the tracking server has no such run or logged model.
    """
    run_id, model_id, path = sources.named(asked.source)
    run_id, model_id = run_id or asked.about.run_id, model_id or asked.about.model_id
    known = []
    if deps.settings.mlflow_url is not None:
        known = [await elsewhere.tracking.run(run_id)] if run_id else []
        known += [await elsewhere.tracking.model(model_id)] if model_id else []
    params = {key: text for run in known for key, text in run.params.items()}
    run = RemoteRun("", params, known[-1].run_id) if known else None
    roots = [federation.check_source(one.artifact_uri, deps.settings) for one in known]
    if path is not None:
        return await _first_with_files(elsewhere, roots, path), run
    place = federation.check_source(asked.source, deps.settings)
    if any(federation.is_within(place, root) for root in roots):
        return place, run
    if federation.is_tracked(place):
        raise sources.not_of(asked.source, "run_id")
    return place, None  # of a bucket or another host: whose run it is cannot be known


async def _first_with_files(
    elsewhere: federation.Elsewhere, roots: list[federation.Place], path: str
) -> federation.Place:
    """Return the directory `path` of the first root that has files there, or the last root itself.

    MLflow's newer clients name the run, while the files lie with the logged model it made.
    """
    for root in roots:
        place = federation.inside(root, path)
        if await elsewhere.files_at(place).list_files():
            return place
    return roots[-1]


HANDLERS: list[Handler] = [Handler(sources.FETCH_JOB, fetch, attempts=6, at_once=4)]
PERIODIC: list[Periodic] = []
