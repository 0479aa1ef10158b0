"""The files and processes of one PostgreSQL cluster: make, configure, spawn, watch, stop.

`embedded_postgres` is the face and says in what order; here is how.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muniment.core.errors import DatabaseDown
from muniment.server.ports.postgres_account import (
    PG_MAJOR,
    Account,
    environment,
    launch,
    own_names,
)

DATABASE = "muniment"
ROLE = "muniment"
OWNER = "muniment_owner"
SUPERUSER = "postgres"

#: Long, because recovery from a crash counts: it may replay `max_wal_size` of log.
START_SECONDS = 600.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.005
_LOG_KEEP_BYTES = 10 * 1024 * 1024

#: What PostgreSQL runs with. An administrator's `ALTER SYSTEM` wins over these.
SETTINGS: dict[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "80",
    "shared_buffers": "96MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "huge_pages": "off",
    "io_method": "sync",  # three worker processes fewer; the working set is in memory
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "cluster_name": "muniment",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}

_IDENTITY_MAP = "muniment"
_ACCESS = f"""\
# TYPE  DATABASE  USER         METHOD
local   all       {SUPERUSER}  peer map={_IDENTITY_MAP}
local   all       {OWNER}  peer map={_IDENTITY_MAP}
local   all       {ROLE}       peer map={_IDENTITY_MAP}
"""
_FIRST_SQL = f"""\
CREATE ROLE {OWNER} LOGIN;
CREATE ROLE {ROLE} LOGIN;
CREATE DATABASE {DATABASE} OWNER {OWNER};
"""


@dataclass(frozen=True, slots=True)
class PostmasterState:
    """What `postmaster.pid` says."""

    pid: int
    socket_dir: Path | None
    ready: bool


def create(directory: Path, cluster: Path, account: Account, *, durable: bool) -> None:
    """Make `cluster` with its role and database; it appears whole or not at all.

    Raises:
        DatabaseDown: `initdb` failed; the message has what it said.
    """
    fresh = directory / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.give(fresh)
    options = [f"--pgdata={fresh}", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"]
    options += ["--auth=reject", "--no-instructions", "--no-sync"]
    _run(account, "initdb", options)
    single = ["--single", "-D", str(fresh), "-c", "fsync=off", "postgres"]
    _run(account, "postgres", single, _FIRST_SQL)
    if durable:
        _run(account, "initdb", [f"--pgdata={fresh}", "--sync-only"])
    fresh.rename(cluster)
    _sync_directory(directory)


def _run(account: Account, program: str, arguments: Sequence[str], text: str = "") -> None:
    done = subprocess.run(  # noqa: S603 -- our own command line
        launch(account, program, arguments),
        input=text.encode(),
        capture_output=True,
        check=False,
        env=environment(),
    )
    if done.returncode != 0 or b"ERROR" in done.stderr:
        said = done.stderr.decode(errors="replace").strip()
        raise DatabaseDown(f"{program} failed, and no database was made: {said}")


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_version(cluster: Path) -> None:
    """Refuse a cluster of another major version.

    Raises:
        DatabaseDown: with the command that moves the data.
    """
    found = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if found != PG_MAJOR:
        raise DatabaseDown(
            f"{cluster} was written by PostgreSQL {found}, and this muniment carries {PG_MAJOR}: "
            f"dump it with the muniment that wrote it (or pg_dump {found}) and restore it here"
        )


def configure(
    cluster: Path, account: Account, socket_dir: Path, overrides: Mapping[str, str]
) -> None:
    """Write who may connect and how PostgreSQL runs; the same files are left alone."""
    settings = {**SETTINGS, **overrides, "unix_socket_directories": str(socket_dir)}
    lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
    names = {account.name, *own_names()}
    identities = [
        f"{_IDENTITY_MAP} {name} {role}\n"
        for name in sorted(names)
        for role in (SUPERUSER, OWNER, ROLE)
    ]
    for name, text in (
        ("postgresql.conf", "".join(["# Written at every start; use ALTER SYSTEM.\n", *lines])),
        ("pg_hba.conf", _ACCESS),
        ("pg_ident.conf", "".join(identities)),
    ):
        _write(cluster / name, text, account)


def _write(path: Path, text: str, account: Account) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o600)
    account.give(fresh)
    fresh.rename(path)


def spawn_ready(directory: Path, cluster: Path, account: Account) -> subprocess.Popen[bytes] | None:
    """Start PostgreSQL and wait until it accepts connections; None when it does not.

    While processes of a killed one are still ending, it is tried again.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        process = spawn(directory, cluster, account)
        try:
            if await_ready(cluster, process, deadline):
                return process
        except BaseException:
            shut_down(process)
            raise
        shut_down(process)
        if "shared memory block" not in log_end(directory) or time.monotonic() > deadline:
            return None
        time.sleep(10 * POLL_SECONDS)


def spawn(directory: Path, cluster: Path, account: Account) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that Ctrl-C reaches only us.

    Tied to us only from the main thread: the kernel means the thread when it says parent.
    """
    log = directory / "log"
    keep = log.exists() and log.stat().st_size < _LOG_KEEP_BYTES
    tied = threading.current_thread() is threading.main_thread()
    with log.open("ab" if keep else "wb") as output:
        log.chmod(0o600)
        return subprocess.Popen(  # noqa: S603 -- our own command line
            launch(account, "postgres", ["-D", str(cluster)], tied=tied),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment(),
            cwd="/",
        )


def await_ready(cluster: Path, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait until it accepts connections; return False when it ends instead, or is not in time."""
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(cluster)
        if state is not None and state.pid == process.pid and state.ready:
            return True
        time.sleep(POLL_SECONDS)
    return False


def log_end(directory: Path) -> str:
    """Return the last lines PostgreSQL logged."""
    with (directory / "log").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
        return file.read().decode(errors="replace")


def read_state(cluster: Path) -> PostmasterState | None:
    """What `postmaster.pid` says, or None when there is none (or it is just being written)."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else None  # noqa: PLR2004 -- its format
    return PostmasterState(pid, socket_dir, ready=lines[-1].strip() == "ready")


def runs(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is alive and is a PostgreSQL of `cluster` (pids are used again)."""
    if not _exists(pid):
        return False
    if Path("/proc/self").exists():
        return _works_in(Path(f"/proc/{pid}"), cluster)
    shown = subprocess.run(  # noqa: S603 -- a number
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 -- wherever the system keeps it
        capture_output=True,
        check=False,
    )
    return str(cluster).encode() in shown.stdout


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _works_in(process: Path, cluster: Path) -> bool:
    try:
        return (process / "cwd").readlink() == cluster
    except OSError:
        return False


def _processes_in(cluster: Path) -> bool:
    return any(_works_in(process, cluster) for process in Path("/proc").glob("[0-9]*"))


def stop_leftover(cluster: Path) -> None:
    """Stop a PostgreSQL whose server is gone, and see to a `postmaster.pid` nobody writes any more.

    The caller holds the directory's lock, so whoever started it is dead. A file with a dead pid is
    left for PostgreSQL, which looks by it for processes that outlived their parent.

    Raises:
        DatabaseDown: it does not stop.
    """
    state = read_state(cluster)
    if state is None:
        return
    if not runs(state.pid, cluster):
        if _exists(state.pid) and not _processes_in(cluster):
            (cluster / "postmaster.pid").unlink()  # another program has that pid now
        return
    for number, seconds in (
        (signal.SIGINT, STOP_SECONDS),
        (signal.SIGQUIT, 5.0),
        (signal.SIGKILL, 5.0),
    ):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not runs(state.pid, cluster):
                return
            time.sleep(POLL_SECONDS)
    raise DatabaseDown(f"PostgreSQL (pid {state.pid}) of {cluster} does not stop: end it yourself")


def shut_down(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: open transactions roll back, a checkpoint is written; harder if it hangs."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0)):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    process.kill()
    process.wait()
