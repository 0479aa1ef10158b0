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

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString

import asyncpg

from muniment.core.errors import Conflict, Contended, DatabaseDown, MunimentError, Unavailable
from muniment.server.ports.db import Row

_STATEMENT_SECONDS = 30
_CONNECT_SECONDS = 10.0
_BEGIN = "BEGIN"
_BEGIN_REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ"

_FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

#: Set when a session starts, so they cost nothing later.
_SESSION = {
    "application_name": "muniment",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{_STATEMENT_SECONDS}s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}

_CONFLICT = (
    asyncpg.UniqueViolationError,
    asyncpg.ExclusionViolationError,
    asyncpg.ForeignKeyViolationError,
)
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
    OSError,  # TimeoutError is one
)


class translated:  # noqa: N801 -- used as a statement: `with translated():`
    """Turn the driver's exceptions inside the block into `muniment.core.errors`.

    A class, not a generator: it is entered for every statement.

    Raises:
        Conflict: a unique, exclusion or foreign key constraint (`context["constraint"]`).
        Contended: serialization failure, deadlock, or a lock not had in time; worth repeating.
        DatabaseDown: no connection, or it was lost.
        Unavailable: the statement took too long.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _FOREIGN):
            ours = _translate(error)
            if ours is not None:
                raise ours from error


def _translate(error: Exception) -> MunimentError | None:
    """Choose our error for the driver's; None: it is a mistake of ours and stays what it is."""
    context = {
        "constraint": getattr(error, "constraint_name", None),
        "table": getattr(error, "table_name", None),
        "sqlstate": getattr(error, "sqlstate", None),
        "reason": str(error),
    }
    if isinstance(error, _CONFLICT):
        return Conflict(context=context)
    if isinstance(error, _CONTENDED):
        return Contended(context=context)
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable(
            f"the database took longer than {_STATEMENT_SECONDS} s: narrow the request, or repeat it "
            "later",
            context=context,
        )
    # The pool takes a connection back when it breaks, even from under its user.
    closed = isinstance(error, asyncpg.InterfaceError) and (
        "clos" in str(error) or "released back" in str(error)
    )
    # PostgreSQL said good-bye, the socket is not closed yet, and the driver is between two states.
    dying = isinstance(error, asyncpg.InternalClientError) and "cannot switch" in str(error)
    down = closed or dying or isinstance(error, _DOWN)
    return DatabaseDown(context=context) if down else None


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
    """A `Tx` on one connection."""

    __slots__ = ("_connection", "_open", "_signals", "mac")

    def __init__(self, connection: Any, mac: Mac, *, begun: bool) -> None:
        self.mac = mac
        self._connection = connection
        self._open = begun
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
        """Rows one by one through a server-side cursor: constant memory.

        What follows in a read sees one transaction's time, but still what others commit meanwhile.
        """
        with translated():
            if not self._open:
                await self._connection.execute(_BEGIN)  # ends with the block
                self._open = True
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

    def signal(self, name: str) -> None:
        """Call the listeners of `name` once, after this transaction commits; never if it does not."""
        self._signals[name] = None

    @property
    def signals(self) -> Sequence[str]:
        """Names signalled so far, in order, each once."""
        return tuple(self._signals)


class PostgresDatabase:
    """A `Database`: one pool for reads, one for writes. Made by `open_database`."""

    def __init__(
        self, url: str, pools: tuple[asyncpg.Pool, asyncpg.Pool], wait_seconds: float, mac: Mac
    ) -> None:
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
    with contextlib.suppress(*_FOREIGN):
        await connection.execute("ROLLBACK")


class _Transaction:
    """What `PostgresDatabase.transaction` gives; plain BEGIN and COMMIT, for fewer instructions."""

    __slots__ = ("_begin", "_connection", "_database", "_pool", "_tx")

    def __init__(
        self, pool: asyncpg.Pool, begin: LiteralString, database: PostgresDatabase
    ) -> None:
        self._pool = pool
        self._begin = begin
        self._database = database

    async def __aenter__(self) -> PostgresTx:
        with translated():
            async with asyncio.timeout(self._database.wait_seconds):
                self._connection = await self._pool.acquire()
            if self._begin:
                try:
                    await self._connection.execute(self._begin)
                except BaseException:
                    await _roll_back(self._connection)  # cancelled after it was sent
                    await self._pool.release(self._connection)
                    raise
        self._tx = PostgresTx(self._connection, self._database.mac, begun=bool(self._begin))
        return self._tx

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the transaction and give the connection back, whatever happens."""
        try:
            await self._tx.end(commit=error is None)
        finally:
            with contextlib.suppress(*_FOREIGN):
                await self._pool.release(self._connection)
        if error is None:
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

    `min_size` and `max_size` hold for readers and for writers each; a transaction waits at most
    `wait_seconds` for a connection.

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


def no_answer(url: str, error: DatabaseDown) -> DatabaseDown:
    """Return `error` with what an operator needs to know: from where, and why not."""
    reason = error.context.get("reason")
    return DatabaseDown(
        f"no answer from the database at {without_password(url)}: {reason}", context=error.context
    )


def without_password(url: str) -> str:
    """Return `url` as it may be shown and logged."""
    shown = re.sub(r"(://[^:/@?#]*):[^@/]*@", r"\1:***@", url)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", shown)
