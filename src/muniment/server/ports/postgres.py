"""PostgreSQL through asyncpg: two small pools, no round trip that does not do work.

- Reads run on connections whose sessions are read-only, each statement its own transaction: no
  BEGIN, no COMMIT, and a write in a read is refused by PostgreSQL itself.
- Writes and `repeatable` reads send one BEGIN and one COMMIT around what they do.
- Nothing is reset when a connection goes back: sessions are never changed, so stores must not use
  SET (but SET LOCAL), LISTEN, temporary tables or session advisory locks on a `Tx`.

Values: uuid, timestamptz (aware, UTC), int8range and bytea as asyncpg maps them; `jsonb` comes
and goes as JSON text (`str`), undecoded, so a reader can pass it on as `msgspec.Raw` for nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, LiteralString, cast

import asyncpg

from muniment.core.errors import Conflict, Contended, DatabaseDown, Unavailable
from muniment.server.ports.db import Row

_STATEMENT_SECONDS = 30
_CONNECT_SECONDS = 10.0
_BEGIN = "BEGIN"
_BEGIN_REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_REPEATABLE_WRITE = "BEGIN ISOLATION LEVEL REPEATABLE READ"

#: Set when a session starts, so they cost nothing later.
_SESSION = {
    "application_name": "muniment",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{_STATEMENT_SECONDS}s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}

_CONTENDED = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
)
_DOWN = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    OSError,
    TimeoutError,
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's exceptions inside the block into `muniment.core.errors`.

    Raises:
        Conflict: a unique or exclusion constraint (`context["constraint"]`) or a foreign key.
        Contended: serialization failure, deadlock, or a lock not had in time; worth repeating.
        DatabaseDown: no connection, or it was lost.
        Unavailable: the statement took too long.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _translate(error) from error
    except asyncpg.InterfaceError as error:
        if "closed" in str(error):
            raise DatabaseDown(context={"reason": str(error)}) from error
        raise
    except OSError as error:  # TimeoutError is one
        raise DatabaseDown(context={"reason": str(error)}) from error


def _translate(error: Any) -> Exception:
    context = {
        "constraint": getattr(error, "constraint_name", None),
        "table": getattr(error, "table_name", None),
        "sqlstate": error.sqlstate,
        "reason": str(error),
    }
    if isinstance(error, (asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError)):
        return Conflict(context=context)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return Conflict(context=context)
    if isinstance(error, _CONTENDED):
        return Contended(context=context)
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable(
            f"the database took longer than {_STATEMENT_SECONDS} s: narrow the request, or repeat it later",
            context=context,
        )
    if isinstance(error, _DOWN):
        return DatabaseDown(context=context)
    return cast("Exception", error)


class PostgresTx:
    """A `Tx` on one connection."""

    __slots__ = ("_connection", "_signals")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._signals: dict[str, None] = {}

    @property
    def raw(self) -> Any:
        """The asyncpg connection, for ports and administration; stores do without."""
        return self._connection

    async def fetch(self, sql: LiteralString, *args: object) -> Sequence[Row]:
        """All rows, in the statement's order."""
        with translated():
            rows: Sequence[Row] = await self._connection.fetch(sql, *args)
            return rows

    async def fetchrow(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None."""
        with translated():
            return await self._connection.fetchrow(sql, *args)

    async def fetchval(self, sql: LiteralString, *args: object) -> Any:
        """The first column of the first row, or None."""
        with translated():
            return await self._connection.fetchval(sql, *args)

    async def execute(self, sql: LiteralString, *args: object) -> str:
        """The command tag, for example `UPDATE 1`."""
        with translated():
            return str(await self._connection.execute(sql, *args))

    async def executemany(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows in one round trip."""
        with translated():
            await self._connection.executemany(sql, rows)

    async def copy(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Append rows by COPY, the fastest way in."""
        with translated():
            await self._connection.copy_records_to_table(table, columns=columns, records=rows)

    async def cursor(
        self, sql: LiteralString, *args: object, prefetch: int = 500
    ) -> AsyncIterator[Row]:
        """Rows one by one through a server-side cursor: constant memory."""
        with translated():
            if self._connection.is_in_transaction():
                async for row in self._connection.cursor(sql, *args, prefetch=prefetch):
                    yield row
                return
            async with self._connection.transaction(readonly=True):
                async for row in self._connection.cursor(sql, *args, prefetch=prefetch):
                    yield row

    def signal(self, name: str) -> None:
        """Call the listeners of `name` once, after this transaction commits; never if it does not."""
        self._signals[name] = None

    @property
    def signals(self) -> Sequence[str]:
        """Names signalled so far, in order, each once."""
        return list(self._signals)


class PostgresDatabase:
    """A `Database`: one pool for reads, one for writes. Made by `open_database`."""

    def __init__(self, url: str, readers: asyncpg.Pool, writers: asyncpg.Pool) -> None:
        self.url = url
        self._readers = readers
        self._writers = writers
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, read_only: bool = False, repeatable: bool = False
    ) -> AsyncIterator[PostgresTx]:
        """Open a transaction; commit on leaving the block, roll back if it raises.

        Reads: statements see what is committed when each begins, unless `repeatable`.

        Raises:
            DatabaseDown: no connection could be had. Nothing is written.
            Contended: PostgreSQL could not commit. Nothing is written.
        """
        pool = self._readers if read_only else self._writers
        with translated():
            connection = await pool.acquire(timeout=_CONNECT_SECONDS)
        try:
            tx = PostgresTx(connection)
            if read_only and not repeatable:
                yield tx
            else:
                begin = _BEGIN_REPEATABLE if read_only else _BEGIN
                async with _bracket(
                    connection, _BEGIN_REPEATABLE_WRITE if repeatable and not read_only else begin
                ):
                    yield tx
        finally:
            with translated():
                await pool.release(connection)
        self._tell(tx.signals)

    def on_signal(self, name: str, listener: Callable[[], None]) -> None:
        """Have `listener` called after each commit in this process whose `Tx` signalled `name`."""
        self._listeners.setdefault(name, []).append(listener)

    def _tell(self, names: Sequence[str]) -> None:
        for name in names:
            for listener in self._listeners.get(name, ()):
                listener()

    async def close(self) -> None:
        """Give the connections back to PostgreSQL; waits for transactions under way."""
        await self._readers.close()
        await self._writers.close()


@contextlib.asynccontextmanager
async def _bracket(connection: Any, begin: str) -> AsyncIterator[None]:
    """BEGIN … COMMIT, or ROLLBACK if the block raises.

    Plain statements, not the driver's transaction object: the same round trips, less Python.
    """
    with translated():
        await connection.execute(begin)
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.execute("ROLLBACK")
        raise
    with translated():
        await connection.execute("COMMIT")


async def open_database(url: str, *, min_size: int = 1, max_size: int = 10) -> PostgresDatabase:
    """Connect to the database at `url`.

    `min_size` and `max_size` hold for readers and for writers each.

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
        raise DatabaseDown(
            f"no answer from the database at {without_password(url)}: {error.context.get('reason')}",
            context=error.context,
        ) from error
    return PostgresDatabase(url, readers, writers)


async def _pool(url: str, min_size: int, max_size: int, session: dict[str, str]) -> asyncpg.Pool:
    return await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        max_queries=2**62,  # connections do not wear out
        max_inactive_connection_lifetime=0,  # nor is a timer kept for each
        reset=_no_reset,
        timeout=_CONNECT_SECONDS,
        statement_cache_size=512,
        max_cached_statement_lifetime=0,
        server_settings={**_SESSION, **session},
    )


async def _no_reset(_connection: Any) -> None:
    """Replace the reset query, which would cost a round trip for each request."""


def without_password(url: str) -> str:
    """Return `url` as it may be shown and logged."""
    return re.sub(r"(://[^:/@?#]*):[^@/]*@", r"\1:***@", url)
