"""A database that counts what it is asked, and fails where it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from muniment.core.errors import DatabaseDown
from muniment.server.ports.db import Database, Tx


@dataclass
class Watch:
    """What was asked since `start`: statements of reads, of writes, and commits of writes.

    `fail_at` is the number of the statement or commit of a write that fails, once; `persisted`
    has it fail after it took effect (for a commit: an acknowledgement that was lost).
    """

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    fail_at: int | None = None
    persisted: bool = False

    def start(self, fail_at: int | None = None, *, persisted: bool = False) -> None:
        self.reads, self.writes, self.fail_at, self.persisted = [], [], fail_at, persisted

    def strikes(self, statement: str) -> bool:
        self.writes.append(statement)
        if self.fail_at != len(self.writes):
            return False
        self.fail_at = None
        return True


class _WatchedTx:
    def __init__(self, inner: Tx, watch: Watch, *, read_only: bool) -> None:
        self._inner, self._watch, self._read_only = inner, watch, read_only
        self._begun = False
        self.complete = False  # committed by its one statement

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._inner, name)
        if name in ("signal", "mac"):
            return asked
        if name == "cursor":
            return lambda sql, *args, **more: self._noted(sql, asked, args, more)

        async def ask(sql: str, *args: object) -> Any:
            if self._read_only or name == "peek":
                self._watch.reads.append(sql)
                return await asked(sql, *args)
            self._begun = self._begun or name != "finish"
            strikes = self._watch.strikes(" ".join(sql.split())[:60])
            if strikes and not self._watch.persisted:
                raise DatabaseDown
            found = await asked(sql, *args)
            self.complete = name == "finish" and not self._begun and found is not None
            if strikes:
                raise DatabaseDown
            return found

        return ask

    def _noted(self, sql: str, asked: Any, args: Any, more: Any) -> Any:
        self._watch.reads.append(sql)
        return asked(sql, *args, **more)


class WatchedDatabase:
    """`inner`, watched."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.watch = Watch()

    def transaction(
        self, *, read_only: bool = False, repeatable: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        return self._open(read_only=read_only, repeatable=repeatable)

    @asynccontextmanager
    async def _open(self, *, read_only: bool, repeatable: bool) -> AsyncIterator[Tx]:
        struck = False
        async with self._inner.transaction(read_only=read_only, repeatable=repeatable) as tx:
            watched: Any = _WatchedTx(tx, self.watch, read_only=read_only)
            yield watched
            if not read_only and not watched.complete:
                struck = self.watch.strikes("COMMIT")
                if struck and not self.watch.persisted:
                    raise DatabaseDown
        if struck:
            raise DatabaseDown

    def on_signal(self, name: str, listener: Callable[[], None]) -> None:
        self._inner.on_signal(name, listener)
