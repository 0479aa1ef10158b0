"""The driver's errors as ours, and the database's address as it may be shown."""

from __future__ import annotations

import re

import asyncpg

from muniment.core.errors import Conflict, Contended, DatabaseDown, MunimentError, Unavailable

STATEMENT_SECONDS = 30

#: What the driver raises.
FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

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
        if isinstance(error, FOREIGN):
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
            f"the database took longer than {STATEMENT_SECONDS} s: narrow the request, or repeat it "
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
