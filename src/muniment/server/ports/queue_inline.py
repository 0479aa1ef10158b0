"""Runs what is due at once, in order, without a clock of its own: for tests.

It works on the same rows as the real worker and passes the same suite. A job that fails waits as
it would; `run_due(early=True)` does not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from muniment.core.errors import MunimentError
from muniment.server.ports import queue
from muniment.server.ports.db import Database, Row
from muniment.server.ports.queue import GiveUp, Handler, Job, TryLater


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: `outcome` is `done`, `later` or `dead`; `error` says why it failed."""

    job: Job
    outcome: str
    error: Exception | None = None


class InlineWorker:
    """Runs the due jobs of `handlers` when told to."""

    def __init__(self, db: Database, handlers: Sequence[Handler], *, context: object) -> None:
        self._db, self._context = db, context
        self._handlers = {handler.name: handler for handler in handlers}

    async def run_due(self, *, early: bool = False) -> list[Ran]:
        """Run each due job once, those they ask for included; return what ran, in order.

        With `early` those too whose time has not come.
        """
        ran: list[Ran] = []
        while (row := await self._take([each.job.id for each in ran], early=early)) is not None:
            ran.append(await self._run(row))
        return ran

    async def run(self, name: str) -> None:
        """Ask for a periodic job and run it.

        Raises:
            Exception: whatever its handler raises.
        """
        handler = self._handlers[name]
        await handler.run(self._context, Job(0, name, {}, 1, handler.attempts))

    async def _take(self, seen: Sequence[int], *, early: bool) -> Row | None:
        async with self._db.transaction() as tx:
            return await tx.fetchrow(
                """
                UPDATE pgqueuer SET status = 'picked', updated = now(), heartbeat = now()
                WHERE id = (SELECT id FROM pgqueuer
                            WHERE status = 'queued' AND entrypoint = ANY ($1)
                                  AND ($2 OR execute_after <= now()) AND id <> ALL ($3::bigint[])
                            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
                RETURNING id, entrypoint, payload, attempts
                """,
                list(self._handlers),
                early,
                seen,
            )

    async def _run(self, row: Row) -> Ran:
        handler = self._handlers[row["entrypoint"]]
        payload = msgspec.json.decode(row["payload"] or b"{}")
        job = Job(row["id"], handler.name, payload, row["attempts"] + 1, handler.attempts)
        try:
            await handler.run(self._context, job)
        except (GiveUp, TryLater, MunimentError, OSError, ValueError, RuntimeError) as error:
            return await self._failed(job, error)
        async with self._db.transaction() as tx:
            await tx.execute("DELETE FROM pgqueuer WHERE id = $1", job.id)
        return Ran(job, "done")

    async def _failed(self, job: Job, error: Exception) -> Ran:
        dead = job.is_last or isinstance(error, GiveUp)
        wait = error.delay if isinstance(error, TryLater) else queue.wait_after(job.attempt)
        async with self._db.transaction() as tx:
            await tx.execute(
                """
                UPDATE pgqueuer SET status = CASE WHEN $2 THEN 'failed' ELSE 'queued' END::pgqueuer_status,
                       attempts = attempts + CASE WHEN $2 THEN 0 ELSE 1 END,
                       execute_after = now() + $3::interval
                WHERE id = $1
                """,
                job.id,
                dead,
                wait,
            )
            await tx.execute(
                """
                INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
                VALUES ($1, 'exception', 0, $2, jsonb_build_object('exception_message', $3::text))
                """,
                job.id,
                job.name,
                str(error),
            )
        return Ran(job, "dead" if dead else "later", error)
