"""A few policy engines, asked from an event loop that goes on meanwhile.

Each engine belongs to one thread, since none is for several at once. Nothing is started before it
is asked; a second engine not before two are asked at the same time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from muniment.server.ports.policy_engine import PolicyEngine

T = TypeVar("T")

#: How many questions are answered at the same time.
SIZE: Final = 2


class EnginePool:
    """Engines that `make` makes, at most `size` of them. Close it at the end.

    `trial` are those that drafts are tried with: an agent serves no drafts, so where one is asked
    of acts, these are others. Else they are the same.
    """

    def __init__(
        self,
        make: Callable[[], PolicyEngine],
        size: int = SIZE,
        *,
        drafts: Callable[[], PolicyEngine] | None = None,
    ) -> None:
        self._make, self._size = make, size
        self.trial: EnginePool = self if drafts is None else EnginePool(drafts, size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="policy")
        self._mine = threading.local()
        self._engines: list[PolicyEngine] = []

    async def run(self, work: Callable[[PolicyEngine], T]) -> T:
        """Return what `work` returns for an engine that nobody else asks meanwhile.

        Raises:
            Unavailable: the engine is not installed. And whatever `work` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)

    async def run_all(self, works: Sequence[Callable[[PolicyEngine], T]]) -> list[T]:
        """Return what each of `works` returns, in their order; no more at once than there are engines.

        So whoever asks a single question meanwhile waits for one of them, not for all.

        Raises:
            Exception: whatever one of `works` raises; those not begun by then are not.
        """
        waiting = iter(enumerate(works))
        done: dict[int, T] = {}

        async def take() -> None:
            for number, work in waiting:
                done[number] = await self.run(work)

        takers = [asyncio.create_task(take()) for _ in range(self._size)]
        try:
            await asyncio.gather(*takers)
        finally:
            for one in takers:
                one.cancel()
        return [done[number] for number in range(len(works))]

    def close(self) -> None:
        """Wait for what is being answered, drop what waits, and close the engines."""
        if self.trial is not self:
            self.trial.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        while self._engines:
            self._engines.pop().close()

    def _run(self, work: Callable[[PolicyEngine], T]) -> T:
        engine: PolicyEngine | None = getattr(self._mine, "engine", None)
        if engine is None:
            engine = self._mine.engine = self._make()
            self._engines.append(engine)
        return work(engine)
