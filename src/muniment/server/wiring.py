"""The one place that picks real adapters and joins the slices into a server.

Started in this order, stopped in the reverse one: PostgreSQL, schema, pool, blob store, keys, first
administrator, sequencer and worker, HTTP. What fails to start stops the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp

from muniment.core.digest import Digest
from muniment.core.errors import NotAuthenticated
from muniment.server import (
    approvals,
    artifacts,
    catalog,
    composites,
    evidence,
    federation,
    http,
    identity,
    impact,
    ledger,
    lifecycle,
    migrations,
    policy,
    scanning,
    serving,
    tracking,
    vulnerabilities,
)
from muniment.server.approvals import jobs as approval_jobs
from muniment.server.approvals import routes as approval_routes
from muniment.server.artifacts import jobs as artifact_jobs
from muniment.server.artifacts import routes as artifact_routes
from muniment.server.artifacts.jobs import Keeper
from muniment.server.catalog import routes as catalog_routes
from muniment.server.composites import routes as composite_routes
from muniment.server.evidence import routes as evidence_routes
from muniment.server.facades.mlflow import jobs as mlflow_jobs
from muniment.server.facades.mlflow import routes as mlflow_routes
from muniment.server.federation import jobs as federation_jobs
from muniment.server.federation import routes as federation_routes
from muniment.server.http import jobs as http_jobs
from muniment.server.http.dialects import Dialect
from muniment.server.http.metrics import Gauges, Metrics
from muniment.server.http.operation import Deps, Operation
from muniment.server.identity import jobs as identity_jobs
from muniment.server.identity import routes as identity_routes
from muniment.server.impact import routes as impact_routes
from muniment.server.ledger import routes as ledger_routes
from muniment.server.ledger.records import Fold, NeededBlob
from muniment.server.ledger.sequencer import Sequencer
from muniment.server.lifecycle import routes as lifecycle_routes
from muniment.server.policy import jobs as policy_jobs
from muniment.server.policy import routes as policy_routes
from muniment.server.ports import embedded_postgres
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import Clock, SystemClock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.key_files import open_keys
from muniment.server.ports.opa import Opa
from muniment.server.ports.postgres import open_database, role_of
from muniment.server.ports.queue import Handler, Periodic
from muniment.server.scanning import jobs as scanning_jobs
from muniment.server.scanning import routes as scanning_routes
from muniment.server.serving import routes as serving_routes
from muniment.server.settings import Settings
from muniment.server.vulnerabilities import jobs as vulnerability_jobs
from muniment.server.vulnerabilities import routes as vulnerability_routes

_log = structlog.get_logger("muniment.server")

#: Every operation of the API, in the order of the document.
OPERATIONS: list[Operation] = [
    *identity_routes.OPERATIONS,
    *catalog_routes.OPERATIONS,
    *artifact_routes.OPERATIONS,
    *composite_routes.OPERATIONS,
    *evidence_routes.OPERATIONS,
    *policy_routes.OPERATIONS,
    *scanning_routes.OPERATIONS,
    *vulnerability_routes.OPERATIONS,
    *impact_routes.OPERATIONS,
    *approval_routes.OPERATIONS,
    *lifecycle_routes.OPERATIONS,
    *serving_routes.OPERATIONS,
    *ledger_routes.OPERATIONS,
    *http_jobs.OPERATIONS,
    *federation_routes.OPERATIONS,
    *mlflow_routes.OURS,
]

#: Other registries' APIs over the same actions, each told and described in its own way.
FACADES: list[Operation] = [*mlflow_routes.OPERATIONS]
DIALECTS: list[Dialect] = [mlflow_routes.DIALECT]

#: How every governance table follows from the log.
FOLDS: tuple[Fold, ...] = (
    *ledger.FOLDS,
    *identity.FOLDS,
    *catalog.FOLDS,
    *artifacts.FOLDS,
    *composites.FOLDS,
    *evidence.FOLDS,
    *policy.FOLDS,
    *scanning.FOLDS,
    *vulnerabilities.FOLDS,
    *approvals.FOLDS,
    *lifecycle.FOLDS,
    *serving.FOLDS,
    *impact.FOLDS,
    *federation.FOLDS,
)

#: What `/metrics` says of the state of the registry.
GAUGES: tuple[Gauges, ...] = (ledger.gauges, artifacts.gauges)

#: What workers do, and what they do by the clock.
_SLICES = (policy_jobs, scanning_jobs, vulnerability_jobs, approval_jobs, federation_jobs)
_WITH_JOBS = (http_jobs, identity_jobs, artifact_jobs, *_SLICES, mlflow_jobs)
HANDLERS: list[Handler] = [each for part in _WITH_JOBS for each in part.HANDLERS]
PERIODIC: list[Periodic] = [each for part in _WITH_JOBS for each in part.PERIODIC]

#: Who says which blobs it names; what none of them names may be collected.
KEEPERS: tuple[Keeper, ...] = tuple(
    slice_.named_blobs for slice_ in (artifacts, evidence, vulnerabilities, tracking, federation)
)

_STOP_SECONDS = 25  #: that what runs in the background may take to finish


async def required_blobs(tx: Tx) -> AsyncIterator[NeededBlob]:
    """Yield every blob that some table says must be held."""
    for slice_ in (artifacts, evidence, vulnerabilities):
        async for blob in slice_.required_blobs(tx):
            yield blob


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database is: for the server's role, and for the role that owns the tables.

    `postgres` is the embedded one, if that is it.
    """

    url: str
    owner_url: str
    postgres: embedded_postgres.EmbeddedPostgres | None = None

    async def migrate(self, phase: migrations.Phase = "all") -> list[migrations.Migration]:
        """Bring the schema up to date as its owner, and have the server's role work in it."""
        role = await role_of(self.url)
        return await migrations.migrate(self.owner_url, phase=phase, server_role=role)


@contextlib.contextmanager
def database(settings: Settings, *, attach: bool = False) -> Iterator[Place]:
    """Say where the configured database is, running the embedded one meanwhile if none is.

    `attach` uses the embedded one of a running server instead of refusing to share its directory.

    Raises:
        DatabaseDown: it cannot be had; the message says why.
    """
    if settings.database_url is not None:
        yield Place(settings.database_url, settings.database_owner_url or settings.database_url)
        return
    begin = embedded_postgres.attach_or_start if attach else embedded_postgres.start
    with begin(settings.data_dir) as postgres:
        yield Place(postgres.url, postgres.owner_url, postgres)


async def open_blobs(settings: Settings) -> Blobs:
    """Open the configured blob store.

    Raises:
        BlobStoreDown: it does not answer.
    """
    if settings.blob_url is None:
        return open_local_blobs(settings.data_dir / "blobs")
    # obstore is only loaded where S3 is used.
    from muniment.server.ports.blobs_s3 import open_s3_blobs  # noqa: PLC0415

    return open_s3_blobs(
        settings.blob_url,
        endpoint=settings.blob_endpoint,
        region=settings.blob_region,
        access_key=settings.blob_access_key,
        secret_key=settings.blob_secret_key,
        allow_http=settings.blob_allow_http,
    )


def open_engines(settings: Settings) -> EnginePool:
    """Return what evaluates policies; nothing is started before it is asked."""
    if settings.opa_url is None:
        return EnginePool(EmbeddedRego)
    agent = functools.partial(Opa, settings.opa_url, token=settings.opa_token)
    return EnginePool(agent, drafts=EmbeddedRego)


@contextlib.asynccontextmanager
async def open_deps(
    settings: Settings, url: str, *, clock: Clock | None = None
) -> AsyncIterator[Deps]:
    """Open the ports over the database at `url`; the schema must be current."""
    keys = open_keys(settings.data_dir / "keys")
    db = await open_database(url, mac=keys.entry.mac, max_size=settings.database_connections)
    engines = open_engines(settings)
    try:
        yield Deps(
            db=db,
            blobs=await open_blobs(settings),
            keys=keys,
            clock=clock or SystemClock(),
            settings=settings,
            engines=engines,
        )
    finally:
        await asyncio.to_thread(engines.close)
        await db.close()


def build_app(deps: Deps, metrics: Metrics | None = None) -> ASGIApp:
    """Join all operations into the application, without background work."""
    return http.build(
        [*OPERATIONS, *FACADES],
        deps,
        authenticator=identity.authenticator(deps),
        allows=identity.allows,
        dialects=DIALECTS,
        gauges=GAUGES,
        metrics=metrics,
    )


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry ready to serve: the application, its ports, and what the first start made."""

    app: ASGIApp
    deps: Deps
    first_admin: identity.FirstAdmin | None
    local_token: str | None


@contextlib.asynccontextmanager
async def open_registry(
    settings: Settings, place: Place, *, clock: Clock | None = None
) -> AsyncIterator[Registry]:
    """Migrate, open and run everything but the socket; stop it all on leaving.

    `clock` is the machine's, if none is given.

    Raises:
        LogInconsistent: the database does not extend what was published before, or was written with
            another entry key.
    """
    ran = await place.migrate()
    if ran:
        _log.info("schema_migrated", to=ran[-1].number)
    async with open_deps(settings, place.url, clock=clock) as deps, asyncio.TaskGroup() as tasks:
        async with deps.db.transaction() as tx:
            await ledger.check_entry_key(tx)
            first_admin = await identity.ensure_first_admin(tx, settings=settings, clock=deps.clock)
            await policy.ensure_first(tx, deps.engines, settings.first_policy, clock=deps.clock)
        metrics = Metrics()
        async with (
            _kept_running(tasks, place),
            _background(tasks, deps, metrics, jobs=settings.jobs),
        ):
            app = build_app(deps, metrics)
            yield Registry(app, deps, first_admin, await local_token(deps))


@contextlib.asynccontextmanager
async def open_worker(settings: Settings, place: Place) -> AsyncIterator[None]:
    """Migrate, then run jobs and, while no other process does, the sequencer; no API.

    Raises:
        LogInconsistent: the database does not extend what was published before.
    """
    await place.migrate()
    async with open_deps(settings, place.url) as deps, asyncio.TaskGroup() as tasks:
        async with deps.db.transaction(read_only=True) as tx:
            await ledger.check_entry_key(tx)
        async with (
            _kept_running(tasks, place),
            _background(tasks, deps, Metrics(), jobs=True),
        ):
            yield


@contextlib.asynccontextmanager
async def _kept_running(tasks: asyncio.TaskGroup, place: Place) -> AsyncIterator[None]:
    """Start the PostgreSQL that is ours again whenever it dies."""
    if place.postgres is None or not place.postgres.owned:
        yield
        return
    keeping = tasks.create_task(embedded_postgres.keep_running(place.postgres))
    try:
        yield
    finally:
        keeping.cancel()


@contextlib.asynccontextmanager
async def _background(
    tasks: asyncio.TaskGroup, deps: Deps, metrics: Metrics, *, jobs: bool
) -> AsyncIterator[None]:
    """Run the sequencer and, if asked to, a worker; both finish what they are at on leaving."""
    sequencer = Sequencer(
        deps.db, deps.blobs, log_key=deps.keys.log, clock=deps.clock, origin=deps.settings.origin
    )
    stopping = asyncio.Event()
    running = [tasks.create_task(sequencer.run())]
    if jobs:
        running.append(tasks.create_task(_work(deps, metrics, stopping)))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait(running[1:] or running, timeout=_STOP_SECONDS if jobs else 0)
        sequencer.stop()
        await asyncio.wait(running, timeout=_STOP_SECONDS)
        for each in running:
            each.cancel()


async def _work(deps: Deps, metrics: Metrics, stopping: asyncio.Event) -> None:
    """Run jobs until `stopping`."""
    # Loading the queue takes a second of CPU: beside the first requests, not before them.
    module = await asyncio.to_thread(importlib.import_module, "muniment.server.ports.queue_worker")
    worker = module.Worker(
        deps.db,
        HANDLERS,
        PERIODIC,
        context=deps,
        at_once=deps.settings.jobs_at_once,
        beside=metrics,
    )
    running = asyncio.create_task(worker.run())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    worker.stop()
    await running


async def local_token(deps: Deps) -> str | None:
    """Return the token of the command line on this machine, made at the first start.

    It is kept in the data directory, readable by its owner only; whoever can read that directory
    administers the registry anyway. None where a bootstrap token was given: then the operator has
    one already.
    """
    if deps.settings.bootstrap_token is not None:
        return None
    file = deps.settings.data_dir / "command-line.token"
    with contextlib.suppress(FileNotFoundError, NotAuthenticated):
        token = file.read_text(encoding="ascii").strip()
        await identity.authenticator(deps).authenticate(token, deps.clock.now())
        return token
    async with deps.db.transaction() as tx:
        issued = await identity.create_local_admin_token(tx, clock=deps.clock)
    if issued is None:
        return None
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(issued.text + "\n")
    return issued.text


async def misdescribed(db: Database, blobs: Blobs, digest: Digest) -> tuple[str, str] | None:
    """Return what a held blob's bytes say it is and what its row says, if that is not the same."""
    async with db.transaction(read_only=True) as tx:
        return await artifacts.misdescribed(tx, blobs, digest)
