"""Connections to PostgreSQL, kept open and handed from one transaction to the next.

asyncpg's own pool resets, wraps and shields: a timer, a task and a proxy for each acquisition, more
than a keyed read costs otherwise. This one takes a connection from a list and puts it back.

1. Used last, given first: few connections stay warm under little load.
2. Who finds none free and may not make one waits in line.
3. One that is closed, or comes back inside a transaction, is dropped; the next in line makes another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg


class Pool:
    """At most `max_size` connections, made by `connect` when they are needed."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], max_size: int) -> None:
        """Connect to nothing yet."""
        self._connect, self._max_size = connect, max_size
        self._idle: list[asyncpg.Connection] = []
        self._open_count = 0  # idle, in use, and being made
        self._line: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._closing = False
        self._all_back: asyncio.Future[None] | None = None

    def take_idle(self) -> asyncpg.Connection | None:
        """Return a connection that is free at this moment, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open_count -= 1
        return None

    async def acquire(self, wait_seconds: float) -> asyncpg.Connection:
        """Return a free connection, made or waited for; it must be given back.

        Raises:
            TimeoutError: there was none in `wait_seconds`.
            asyncpg.InterfaceError: the pool is closed.
            asyncpg.PostgresError, OSError: a new one could not be made.
        """
        if self._closing:
            raise asyncpg.InterfaceError("the pool is closed")
        connection = self.take_idle()
        if connection is None:
            async with asyncio.timeout(wait_seconds):
                connection = await self._wait_or_make()
        return connection

    async def _wait_or_make(self) -> asyncpg.Connection:
        if self._open_count >= self._max_size:
            connection = await self._wait()
            if connection is not None:
                return connection  # else its place is ours
        else:
            self._open_count += 1
        try:
            return await self._connect()
        except BaseException:
            self._leave_place()
            raise

    async def _wait(self) -> asyncpg.Connection | None:
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and nobody is there to use it
                given = turn.result()
                if given is None:
                    self._leave_place()
                else:
                    self.give_back(given)
            raise

    def give_back(self, connection: asyncpg.Connection) -> None:
        """Take a connection back from its user: for the next in line, or to be kept."""
        if connection.is_closed():
            self._leave_place()
        elif connection.is_in_transaction() or self._closing:
            connection.terminate()
            self._leave_place()
        elif (turn := self._next_in_line()) is not None:
            turn.set_result(connection)
        else:
            self._idle.append(connection)

    def _next_in_line(self) -> asyncio.Future[asyncpg.Connection | None] | None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                return turn
        return None

    def _leave_place(self) -> None:
        """Let the next in line make a connection instead of one that is gone."""
        if (turn := self._next_in_line()) is not None:
            turn.set_result(None)
            return
        self._open_count -= 1
        if self._all_back is not None and not self._open_count and not self._all_back.done():
            self._all_back.set_result(None)

    async def close(self) -> None:
        """Close every connection, those in use when they come back; wait for that."""
        self._closing = True
        while (connection := self.take_idle()) is not None:
            self._open_count -= 1
            await connection.close()
        if self._open_count:
            self._all_back = asyncio.get_running_loop().create_future()
            await self._all_back
