"""What the server needs of PostgreSQL: transactions with visible SQL.

Only an edge (route, job, command) opens a transaction; actions and stores take a `Tx` and never
commit. SQL is a `LiteralString`, so a statement built from input is a type error.

Adapter: `muniment.server.ports.postgres`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString, Protocol

#: One row, read by column name: `row["name"]`.
Row = Any


_PLACEHOLDER = re.compile(r"\$([0-9]+)")


@functools.cache
def numbered_after(count: int, sql: LiteralString) -> LiteralString:
    """Return a part of a statement with its `$1` as `$1 + count` and so on: others come before it.

    So parts that different slices write make one statement, each with its own numbers.
    """
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + count}", sql)


class Tx(Protocol):
    """One open transaction. `$1`-style parameters; PostgreSQL types map as asyncpg maps them.

    `jsonb` goes in and comes out as JSON text (`str`): decode it, or pass it on as `msgspec.Raw`.
    Sessions are shared and never reset: no SET (but SET LOCAL), LISTEN, temporary table or session
    advisory lock.

    Raises (every method): `Conflict` for a unique, exclusion or foreign key violation that the
    caller did not foresee (`context["constraint"]` names it), `Contended` when another transaction
    was in the way, `Unavailable` when a statement took too long, `DatabaseDown` when the connection
    is lost. After any of them the transaction cannot be committed, caught or not: foresee in SQL
    (`ON CONFLICT`) what may happen.
    """

    async def fetch(self, sql: LiteralString, *args: object) -> Sequence[Row]:
        """All rows, in the statement's order."""
        ...

    async def fetchrow(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None."""
        ...

    async def fetchval(self, sql: LiteralString, *args: object) -> Any:
        """The first column of the first row, or None."""
        ...

    async def execute(self, sql: LiteralString, *args: object) -> str:
        """The command tag, for example `UPDATE 1`."""
        ...

    async def executemany(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows in one round trip."""
        ...

    async def copy(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Append rows by COPY, the fastest way in."""
        ...

    async def peek(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None, of a statement that writes and locks nothing.

        As `fetchrow`, but it does not begin the transaction: an act that looks first and then is
        one statement (`finish`) costs two round trips.
        """
        ...

    async def finish(self, sql: LiteralString, *args: object) -> Row | None:
        """The first row, or None, of a statement after which the transaction is complete.

        The statement gives a row exactly if it wrote something. If it did and nothing else but
        `peek` was asked before, it has committed by itself: what is asked afterwards is refused,
        and an error raised afterwards undoes nothing. Otherwise it is a statement like others.
        """
        ...

    def cursor(self, sql: LiteralString, *args: object, prefetch: int = 500) -> AsyncIterator[Row]:
        """Rows one by one through a server-side cursor: constant memory."""
        ...

    def mac(self, message: bytes, /) -> bytes:
        """Authenticate `message` with the registry's entry key (HMAC-SHA256, 32 raw bytes).

        The key belongs to whoever opened the database, never to the database: what is written
        through a `Tx` can be told from what was written past it.

        Raises:
            RuntimeError: the database was opened without the key.
        """
        ...

    def signal(self, name: str) -> None:
        """Call the listeners of `name` once, after this transaction commits; never if it does not."""
        ...


class Database(Protocol):
    """A pool of connections to one PostgreSQL database."""

    def transaction(
        self, *, read_only: bool = False, repeatable: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        """Open a transaction; commit on leaving the block, roll back if it raises.

        `read_only` asks for a read-only one (a single statement then costs one round trip: no
        BEGIN is sent unless `repeatable` asks for a stable snapshot across statements).

        Raises:
            DatabaseDown: no connection could be had. Nothing is written.
        """
        ...

    def on_signal(self, name: str, listener: Callable[[], None]) -> None:
        """Have `listener` called after each commit in this process whose `Tx` signalled `name`."""
        ...
