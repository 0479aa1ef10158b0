"""Versions whose bytes are elsewhere: asked for, pending, failed."""

from __future__ import annotations

from muniment.core.errors import BadRequest, Conflict
from muniment.core.names import AssetName, AssetRef
from muniment.server import federation, tracking
from muniment.server.facades.mlflow import actions
from muniment.server.facades.mlflow.routes.dialect import DEFAULT, by
from muniment.server.facades.mlflow.rules import sources
from muniment.server.facades.mlflow.rules.render import fetch_json
from muniment.server.federation.records import About, Fetch
from muniment.server.http.operation import Call, Reply
from muniment.server.ports.db import Tx


async def is_elsewhere(tx: Tx, wanted: actions.Wanted, call: Call) -> bool:
    """Say whether the bytes at the source of `wanted` are to be fetched first.

    What is neither with us nor where we may fetch from is left to `actions.origin_of` to refuse.

    Raises:
        BadRequest: it is a place we do not fetch from, or not of the run or model it names.
        BadPath: its path goes up.
        DestinationRefused: its host is private, or not among those allowed.
    """
    settings = call.deps.settings
    try:
        source = sources.parse_source(wanted.source, base_url=call.base_url)
    except BadRequest:
        if wanted.source.startswith(("models:", "runs:")):
            raise
        federation.check_source(wanted.source, settings)
        return True
    if settings.mlflow_url is None or isinstance(source, sources.OfVersion):
        return False
    run_id, model_id, path = sources.named(wanted.source)
    if path:
        tracking.check_artifact_path(path)
    if run_id and wanted.run_id and run_id != wanted.run_id:
        raise sources.not_of(wanted.source, "run_id")
    if model_id and wanted.model_id and model_id != wanted.model_id:
        raise sources.not_of(wanted.source, "model_id")
    run_id, model_id = run_id or wanted.run_id, model_id or wanted.model_id
    if not run_id and not model_id:
        return False
    ours = (run_id and await tracking.find_run(tx, run_id)) or (
        model_id and await tracking.find_model(tx, model_id)
    )
    return not ours


async def ask(call: Call, wanted: actions.Wanted) -> Reply:
    """Promise a version of the next number, and have its bytes fetched."""
    about = About(
        run_id=wanted.run_id,
        model_id=wanted.model_id,
        run_link=wanted.run_link,
        description=wanted.state.description,
        tags=wanted.state.tags,
    )
    async with call.deps.db.transaction() as tx:
        fetch = await federation.ask_fetch(
            tx, wanted.asset, wanted.source, about, by(call), sources.FETCH_JOB
        )
    return Reply({"model_version": fetch_json(fetch)})


async def find(tx: Tx, name: str, number: int) -> Fetch | None:
    """Return the fetch that holds a number of a registered model."""
    return await federation.find_fetch_of(tx, AssetRef(DEFAULT, AssetName(name)), number)


def not_ready(fetch: Fetch) -> Conflict:
    """Return what says that a version is not there yet, or will never be."""
    status = fetch_json(fetch)["status"]
    why = fetch.reason or "its bytes are being fetched; read it again until it is READY"
    return Conflict(
        f"Model Version (name={fetch.asset.name}, version={fetch.number}) is {status}: {why}"
    )
