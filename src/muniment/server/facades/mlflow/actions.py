"""Registering what a run saved: from a source MLflow names to a version, in our own terms."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from muniment.core.errors import BadRequest, Contended, NotFound, VersionConflict
from muniment.core.names import AssetRef, SemVer
from muniment.server import artifacts, catalog, tracking
from muniment.server.artifacts.records import File
from muniment.server.catalog.records import Asset, Kind, Lifecycle, Version, VersionState
from muniment.server.facades.mlflow.rules import mlmodel, prompts, sources
from muniment.server.http.operation import Call, Deps
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import LoggedModel, Run

_TRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model version as MLflow asks for it."""

    asset: AssetRef
    source: str
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    tracking_uri: str = ""
    state: VersionState = field(default_factory=VersionState)


@dataclass(frozen=True, slots=True)
class Origin:
    """What there is at a source: files by path, and the run and logged model they are of.

    `params` are those of the run where others keep it; `reach` is where else its blobs may be
    taken from than from what lies here. `beside` are files that are named and not read.
    """

    files: Sequence[File]
    run: Run | None = None
    model: LoggedModel | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    reach: artifacts.Reach | None = None
    beside: Sequence[File] = ()


async def origin_of(tx: Tx, wanted: Wanted, call: Call) -> Origin:
    """Return what there is at the source of `wanted`.

    Raises:
        BadRequest: the source is not with us, not of the run or model it names, or empty.
        NotFound: there is no such run, logged model or version.
        NotAllowed: the caller may not read there.
    """
    source = sources.parse_source(wanted.source, base_url=call.base_url)
    if isinstance(source, sources.OfVersion):
        return await _of_version(tx, source, call)
    call.require(Verb.READ, Scope(str(wanted.asset.namespace)))
    run = await _run(tx, wanted.run_id)
    model = await _model(tx, wanted.model_id)
    if isinstance(source, sources.OfRun):
        if wanted.run_id and source.run_id != wanted.run_id:
            raise sources.not_of(wanted.source, "run_id")
        run = run or await _run(tx, source.run_id)
        assert run is not None
        directory = _below(tracking.run_root(run.experiment_id, run.id), source.path)
        model = model or await _saved_as(tx, run, source.path)
    elif isinstance(source, sources.OfLoggedModel):
        if wanted.model_id and source.model_id != wanted.model_id:
            raise sources.not_of(wanted.source, "model_id")
        model = model or await _model(tx, source.model_id)
        assert model is not None
        directory = _below(tracking.model_root(model.experiment_id, model.id), source.path)
    else:
        directory = tracking.check_artifact_path(source.path)
        if not any(_is_within(directory, root) for root in _roots(run, model)):
            raise sources.not_of(wanted.source, "run_id")
    files = await _files(tx, directory)
    if not files and model is not None:  # the client names the run, the files lie with the model
        files = await _files(tx, tracking.model_root(model.experiment_id, model.id))
    if not files:
        raise BadRequest(
            f"Invalid model version source: there are no files at {wanted.source[:200]!a}"
        )
    if run is None and model is not None and model.source_run_id:
        run = await tracking.find_run(tx, model.source_run_id)
    return Origin(files, run, model)


async def _of_version(tx: Tx, source: sources.OfVersion, call: Call) -> Origin:
    asset = source.ref.asset
    call.require(Verb.READ, Scope(str(asset.namespace), str(asset.name)))
    version = await catalog.get_version(tx, source.ref)
    catalog.check_served(version)
    if version.kind is Kind.PROMPT:
        raise BadRequest(
            f"Invalid model version source: {version.name[:200]!a} is a prompt, which has no files"
        )
    manifest = await artifacts.get_manifest(tx, version.manifest_digest)
    return Origin(manifest.files)


async def _run(tx: Tx, run_id: str) -> Run | None:
    if not run_id:
        return None
    run = await tracking.find_run(tx, run_id)
    if run is None:
        raise NotFound(f"Run with id={run_id[:80]} not found")
    return run


async def _model(tx: Tx, model_id: str) -> LoggedModel | None:
    if not model_id:
        return None
    model = await tracking.find_model(tx, model_id)
    if model is None:
        raise NotFound(f"Logged model with ID '{model_id[:80]}' not found.")
    return model


async def _saved_as(tx: Tx, run: Run, name: str) -> LoggedModel | None:
    found = await tracking.list_models(tx, [run.experiment_id], name=name, run_id=run.id, limit=1)
    return found[0] if found else None


def _below(root: str, path: str) -> str:
    return tracking.check_artifact_path(f"{root}/{path}" if path else root)


def _roots(run: Run | None, model: LoggedModel | None) -> list[str]:
    roots = []
    if run is not None:
        roots.append(tracking.run_root(run.experiment_id, run.id))
    if model is not None:
        roots.append(tracking.model_root(model.experiment_id, model.id))
    return roots


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


async def _files(tx: Tx, directory: str) -> list[File]:
    found = await tracking.artifacts_under(tx, directory)
    return [
        File(one.path.removeprefix(f"{directory}/"), one.size_bytes, one.digest) for one in found
    ]


async def metadata_of(blobs: Blobs, wanted: Wanted, origin: Origin) -> dict[str, Any]:
    """Return the metadata of the version: what its MLmodel file, its run and the request say.

    Of what the file and the run say, fields that cannot be recorded are left out.
    """
    described = await _mlmodel(blobs, origin.files)
    about = mlmodel.about(described) | {"source": wanted.source}
    run_id = wanted.run_id or (origin.run.id if origin.run else mlmodel.run_of(described))
    model_id = wanted.model_id or (origin.model.id if origin.model else "")
    about |= {
        key: text
        for key, text in (
            ("run_link", wanted.run_link),
            ("model_id", model_id),
            ("tracking_uri", wanted.tracking_uri),
        )
        if text
    }
    least: dict[str, Any] = {"extra": {"mlflow": about}}
    if run_id:
        least["run"] = {"id": run_id}
    params = {
        **(origin.run.params if origin.run else {}),
        **(origin.model.params if origin.model else {}),
        **origin.params,
    }
    found = least | mlmodel.metadata(described)
    digests = {one.path: str(one.digest) for one in (*origin.files, *origin.beside)}
    if environment := mlmodel.environment(described, digests):
        found["environment"] = environment
    if params:
        found["hyperparameters"] = params
    problems = catalog.metadata_problems(Kind.MODEL, found)
    wrong = {one["field"].lstrip("/").partition("/")[0] for one in problems}
    if "" in wrong:  # all of it: too large, or not JSON that can be kept
        return least
    return {name: value for name, value in found.items() if name in least or name not in wrong}


async def _mlmodel(blobs: Blobs, files: Sequence[File]) -> Mapping[str, Any]:
    file = next((one for one in files if one.path == mlmodel.MLMODEL), None)
    if file is None or file.size_bytes > mlmodel.MLMODEL_MAX_BYTES:
        return {}
    return mlmodel.read(b"".join([chunk async for chunk in blobs.read(file.digest)]))


def prompt_of(wanted: Wanted) -> tuple[Wanted, dict[str, Any]]:
    """Return a prompt version as it is asked for, without the tags that say it, and its metadata.

    Raises:
        BadRequest: its source is a place, or its tags do not say a prompt.
    """
    if wanted.source not in prompts.PLACEHOLDERS:
        raise BadRequest(
            f"Invalid prompt source: {wanted.source[:200]!a}. A prompt has no files; its source is"
            f" one of {', '.join(sorted(prompts.PLACEHOLDERS))}"
        )
    said = prompts.read(str(wanted.asset.name), wanted.state.tags)
    variables = sorted(catalog.template_variables(said.prompt["template"]))
    about = {"source": wanted.source, **said.kept}
    metadata: dict[str, Any] = {
        "prompt": {**said.prompt, **({"variables": variables} if variables else {})},
        "extra": {"mlflow": about | ({"run_link": wanted.run_link} if wanted.run_link else {})},
    }
    if wanted.run_id:
        metadata["run"] = {"id": wanted.run_id}
    state = VersionState(wanted.state.description, said.tags)
    return replace(wanted, state=state), metadata


async def register(  # noqa: PLR0917 -- what is registered, from where, by whom
    tx: Tx,
    deps: Deps,
    by: By,
    asset: Asset,
    wanted: Wanted,
    origin: Origin,
    metadata: Mapping[str, Any],
    *,
    number: int | None = None,
) -> Version:
    """Register the files of `origin` as the asset's next version, in one transaction with its entry.

    With `number` as the version that number was reserved for. `asset` is locked in `tx`: numbers
    and SemVer go up together. The SemVer is `N.0.0`, where
    N is MLflow's number or the next one free.

    Raises:
        BadRequest: the files or what is said of the version cannot be registered.
    """
    catalog.check_version_state(wanted.state)
    reach = origin.reach or artifacts.Reach(
        uuid.UUID(by.actor.id),
        by.at,
        visible=[],
        lent=frozenset(one.digest for one in origin.files),
    )
    offer = artifacts.Offer(
        asset=wanted.asset,
        version=SemVer(number or asset.next_number, 0, 0),
        files=[(one.path, one.size_bytes, one.digest.hex) for one in origin.files],
        metadata=metadata,
        require=Lifecycle.DRAFT,
        state=wanted.state,
        number=number,
    )
    most = deps.settings.max_file_bytes
    checked = await _checked(tx, offer, reach, max_file_bytes=most)
    return await artifacts.register(tx, checked, by, deps.keys.record)


async def _checked(
    tx: Tx, offer: artifacts.Offer, reach: artifacts.Reach, *, max_file_bytes: int
) -> artifacts.Checked:
    """Return the offer, checked, under the first SemVer from its own on that is free."""
    for major in range(offer.version.major, offer.version.major + _TRIES):
        one = replace(offer, version=SemVer(major, 0, 0))
        try:
            checked = await artifacts.check(tx, one, reach=reach, max_file_bytes=max_file_bytes)
        except VersionConflict:
            continue  # registered by somebody with other bytes
        if checked.existing is None:
            return checked
    raise Contended
