"""PostgreSQL through asyncpg: two small pools, no round trip that does not do work.

- Reads run on connections whose sessions are read-only, each statement its own transaction: no
  BEGIN, no COMMIT, and a write in a read is refused by PostgreSQL itself.
- Writes and `repeatable` reads send one BEGIN, before their first statement, and one COMMIT. What
  is looked at before (`peek`) needs none, and an act that is one statement (`finish`) neither.
- Nothing is reset when a connection goes back: sessions are never changed, so stores must not use
  SET (but SET LOCAL), LISTEN, temporary tables or session advisory locks on a `Tx`.

Values: uuid, timestamptz (aware, UTC), int8range and bytea as asyncpg maps them; `jsonb` comes
and goes as JSON text (`str`), undecoded, so a reader can pass it on as `msgspec.Raw` for nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString

import asyncpg

from muniment.core.errors import DatabaseDown
from muniment.server.ports.db import Row
from muniment.server.ports.postgres_errors import FOREIGN, STATEMENT_SECONDS, no_answer, translated
from muniment.server.ports.postgres_pool import Pool

_CONNECT_SECONDS = 10.0
_BEGIN = "BEGIN"
_BEGIN_REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ"

#: Set when a session starts, so they cost nothing later.
_SESSION = {
    "application_name": "muniment",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}


#: Authenticates bytes with the registry's entry key.
Mac = Callable[[bytes], bytes]


def _no_key(_message: bytes) -> bytes:
    raise RuntimeError("this database was opened without the entry key: give `open_database` a mac")


class _Over:
    """Stands for the connection of a transaction that has ended."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"the transaction is over; {name} must happen inside its block")


_OVER = _Over()


class PostgresTx:
    """A `Tx` on one connection. `begin` is what opens its transaction, before the first statement.

    Nothing is sent for a transaction in which nothing is asked.
    """

    __slots__ = ("_begin", "_connection", "_open", "_signals", "mac")

    def __init__(self, connection: Any, mac: Mac, begin: LiteralString) -> None:
        self.mac = mac
        self._connection = connection
        self._begin = begin  # empty: each statement is its own transaction
        self._open = False
        self._signals: dict[str, None] = {}

    @property
    def raw(self) -> Any:
        """The asyncpg connection, for ports and administration; stores do without."""
        return self._connection

    async def _opened(self) -> None:
        if self._begin and not self._open:
            send = self._connection.execute
            self._open = True  # even if it fails or is cancelled: then it is rolled back
            await send(self._begin)

    async def fetch(self, sql: LiteralString, *args: object) -> Sequence[Row]:
        """All rows, in the statement's order."""
        with translated():
            if self._begin:
                await self._opened()
            rows: Sequence[Row] = await self._connection.fetch(sql, *args)
            return rows

    async def fetchrow(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None."""
        with translated():
            if self._begin:
                await self._opened()
            return await self._connection.fetchrow(sql, *args)

    async def fetchval(self, sql: LiteralString, *args: object) -> Any:
        """The first column of the first row, or None."""
        with translated():
            if self._begin:
                await self._opened()
            return await self._connection.fetchval(sql, *args)

    async def execute(self, sql: LiteralString, *args: object) -> str:
        """The command tag, for example `UPDATE 1`."""
        with translated():
            if self._begin:
                await self._opened()
            return str(await self._connection.execute(sql, *args))

    async def executemany(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows in one round trip."""
        with translated():
            await self._opened()
            await self._connection.executemany(sql, rows)

    async def copy(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Append rows by COPY, the fastest way in."""
        with translated():
            await self._opened()
            await self._connection.copy_records_to_table(table, columns=columns, records=rows)

    async def peek(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None, of a statement that writes and locks nothing: sends no BEGIN."""
        with translated():
            return await self._connection.fetchrow(sql, *args)

    async def finish(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None, of a statement after which the transaction is complete.

        Where nothing was sent before, the statement commits by itself, and this cannot be used
        afterwards, unless it gave no row: that says that it wrote nothing.
        """
        with translated():
            row = await self._connection.fetchrow(sql, *args)
        if row is not None and not self._open:
            self._connection = _OVER
        return row

    async def cursor(
        self, sql: LiteralString, *args: object, prefetch: int = 500
    ) -> AsyncIterator[Row]:
        """Rows one by one through a server-side cursor: constant memory.

        What follows in a read sees one transaction's time, but still what others commit meanwhile.
        """
        with translated():
            self._begin = self._begin or _BEGIN  # ends with the block
            await self._opened()
            async for row in self._connection.cursor(sql, *args, prefetch=prefetch):
                yield row

    async def end(self, *, commit: bool) -> None:
        """Commit or roll back; for who opened it. It cannot be used afterwards.

        Raises:
            RuntimeError: to commit, after a statement failed and its error was caught: PostgreSQL
                has given the transaction up. Nothing is written.
        """
        connection, self._connection = self._connection, _OVER
        if not self._open:
            return
        if not commit:
            await _roll_back(connection)
            return
        try:
            with translated():
                tag = await connection.execute("COMMIT")
        except BaseException:
            await _roll_back(connection)
            raise
        if tag != "COMMIT":
            raise RuntimeError(
                "a statement of this transaction failed and its error was caught, so nothing was "
                "written: foresee it in SQL (ON CONFLICT), or let the error through"
            )

    @property
    def complete(self) -> bool:
        """Whether `finish` committed it."""
        return self._connection is _OVER

    def signal(self, name: str) -> None:
        """Call the listeners of `name` once, after this transaction commits; never if it does not."""
        self._signals[name] = None

    @property
    def signals(self) -> Sequence[str]:
        """Names signalled so far, in order, each once."""
        return tuple(self._signals)


class PostgresDatabase:
    """A `Database`: one pool for reads, one for writes. Made by `open_database`."""

    def __init__(self, url: str, pools: tuple[Pool, Pool], wait_seconds: float, mac: Mac) -> None:
        self.url = url
        self.mac = mac
        self.wait_seconds = wait_seconds
        self._readers, self._writers = pools
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def transaction(
        self, *, read_only: bool = False, repeatable: bool = False
    ) -> AbstractAsyncContextManager[PostgresTx]:
        """Open a transaction; commit on leaving the block, roll back if it raises.

        Each statement sees what is committed when it begins, or, if `repeatable`, what was when
        the first began.

        Raises:
            DatabaseDown: no connection could be had. Nothing is written.
            Contended: PostgreSQL could not commit. Nothing is written.
        """
        pool = self._readers if read_only else self._writers
        begin = _BEGIN_REPEATABLE if repeatable else "" if read_only else _BEGIN
        return _Transaction(pool, begin, self)

    def on_signal(self, name: str, listener: Callable[[], None]) -> None:
        """Have `listener` called after each commit in this process whose `Tx` signalled `name`."""
        self._listeners.setdefault(name, []).append(listener)

    def tell(self, names: Iterable[str]) -> None:
        """Call the listeners of `names`."""
        for name in names:
            for listener in self._listeners.get(name, ()):
                listener()

    async def close(self) -> None:
        """Give the connections back to PostgreSQL; waits for transactions under way."""
        await self._readers.close()
        await self._writers.close()


async def _roll_back(connection: Any) -> None:
    """Leave no transaction open; where that fails the pool drops the connection."""
    with contextlib.suppress(*FOREIGN):
        await connection.execute("ROLLBACK")


class _Transaction:
    """What `PostgresDatabase.transaction` gives; a class, for fewer instructions."""

    __slots__ = ("_begin", "_connection", "_database", "_pool", "_tx")

    def __init__(self, pool: Pool, begin: LiteralString, database: PostgresDatabase) -> None:
        self._pool = pool
        self._begin = begin
        self._database = database

    async def __aenter__(self) -> PostgresTx:
        with translated():
            self._connection = self._pool.take_idle() or await self._pool.acquire(
                self._database.wait_seconds
            )
        self._tx = PostgresTx(self._connection, self._database.mac, self._begin)
        return self._tx

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the transaction and give the connection back, whatever happens."""
        done = error is None or self._tx.complete
        try:
            await self._tx.end(commit=done)
        finally:
            self._pool.give_back(self._connection)
        if done:
            self._database.tell(self._tx.signals)


async def open_database(
    url: str,
    *,
    mac: Mac = _no_key,
    min_size: int = 1,
    max_size: int = 10,
    wait_seconds: float = _CONNECT_SECONDS,
) -> PostgresDatabase:
    """Connect to the database at `url`; `mac` is what `Tx.mac` does.

    `min_size` connections are made now, at most `max_size` later, for readers and for writers
    each; a transaction waits at most `wait_seconds` for one.

    Raises:
        DatabaseDown: it does not answer or does not let us in; the message has no password.
    """
    try:
        with translated():
            readers = await _pool(url, min_size, max_size, {"default_transaction_read_only": "on"})
            try:
                writers = await _pool(url, min_size, max_size, {})
            except BaseException:
                await readers.close()
                raise
    except DatabaseDown as error:
        raise no_answer(url, error) from error
    return PostgresDatabase(url, (readers, writers), wait_seconds, mac)


async def role_of(url: str) -> str:
    """Return the role that connecting to `url` gives.

    Raises:
        DatabaseDown: it does not answer or does not let us in.
    """
    try:
        with translated():
            connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
            try:
                return str(await connection.fetchval("SELECT current_user"))
            finally:
                await connection.close()
    except DatabaseDown as error:
        raise no_answer(url, error) from error


async def _pool(url: str, min_size: int, max_size: int, session: dict[str, str]) -> Pool:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            statement_cache_size=512,
            max_cached_statement_lifetime=0,
            server_settings={**_SESSION, **session},
        )

    pool = Pool(connect, max_size)
    for made in [await pool.acquire(_CONNECT_SECONDS) for _ in range(min_size)]:
        pool.give_back(made)
    return pool
