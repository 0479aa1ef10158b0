"""Embedded PostgreSQL: real processes, started, refused, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muniment.core.errors import DatabaseDown
from muniment.server import migrations
from muniment.server.ports import embedded_postgres, postgres_cluster
from muniment.server.ports.embedded_postgres import (
    ROLE,
    DirectoryHeld,
    EmbeddedPostgres,
    attach,
    attach_or_start,
    start,
)
from muniment.server.ports.postgres_account import Account

pytestmark = pytest.mark.slow

_SERVE = """
import pathlib, sys, threading
from muniment.server.ports.embedded_postgres import start
def run():
    print(start(pathlib.Path(sys.argv[1])).pid, flush=True)
if sys.argv[2] == "tied":
    run()
else:
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
sys.stdin.read()
"""


_ASK = """
import asyncio, asyncpg, pathlib, sys
from muniment.server.ports.embedded_postgres import start
async def ask(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT current_user"))
    await connection.close()
with start(pathlib.Path(sys.argv[1])) as postgres:
    asyncio.run(ask(postgres.url))
"""


def until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        os.sched_yield()


async def ask(url: str, sql: str, *args: object) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql, *args)
    finally:
        await connection.close()


@contextlib.contextmanager
def a_server(data_dir: Path, kind: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs PostgreSQL on `data_dir`, and PostgreSQL's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(data_dir), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory whose cluster has been made, to copy."""
    with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as path:
        with start(Path(path)):
            pass
        yield Path(path)


@pytest.fixture
def data_dir(made: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as path:
        shutil.copytree(made, path, dirs_exist_ok=True)
        yield Path(path).resolve()


async def test_a_new_directory_becomes_a_database(tmp_path: Path) -> None:
    with start(tmp_path / "not" / "there") as postgres:
        assert await ask(postgres.url, "SELECT current_database() || current_user") == (
            "munimentmuniment"
        )
        assert postgres.alive
        assert postgres.owned
    assert not postgres.alive
    postgres.stop()


async def test_commits_are_durable_and_pages_are_checked(data_dir: Path) -> None:
    expected = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    with start(data_dir) as postgres:
        for name, value in expected.items():
            assert await ask(postgres.url, "SELECT current_setting($1)", name) == value, name


async def test_the_servers_role_owns_nothing_and_cannot_switch_triggers_off(
    data_dir: Path,
) -> None:
    with start(data_dir) as postgres:
        assert await ask(postgres.url, "SHOW is_superuser") == "off"
        assert await ask(postgres.owner_url, "SHOW is_superuser") == "off"
        assert await ask(postgres.admin_url, "SHOW is_superuser") == "on"
        await migrations.migrate(postgres.owner_url, server_role=ROLE)
        for sql in (
            "SET session_replication_role = replica",
            "SET ROLE muniment_owner",
            "CREATE TABLE mine (id int)",
            "ALTER TABLE ledger_entry DISABLE TRIGGER USER",
            "ALTER TABLE ledger_entry DISABLE TRIGGER immutable",
            "DROP TRIGGER immutable ON ledger_entry",
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS ''",
            "TRUNCATE ledger_pending",
            "DROP TABLE ledger_pending",
            "DELETE FROM alembic_version",
            "CREATE TRIGGER t BEFORE INSERT ON ledger_entry EXECUTE FUNCTION refuse_change()",
            "CREATE RULE r AS ON INSERT TO ledger_entry DO INSTEAD NOTHING",
            "ALTER ROLE muniment SET session_replication_role = replica",
            "ALTER DATABASE muniment SET session_replication_role = replica",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await ask(postgres.url, sql)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(postgres.owner_url, "SET session_replication_role = replica")
        assert await migrations.migrate(postgres.owner_url, server_role=ROLE) == []


def test_nothing_is_open_to_other_accounts(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        directory = data_dir / "postgres"
        for path in (directory, directory / "cluster", postgres.socket_dir):
            assert path.stat().st_mode & 0o077 == 0, path
        for path in (directory / "lock", directory / "log"):
            assert path.stat().st_mode & 0o077 == 0, path
        assert directory.stat().st_uid == os.geteuid()


async def test_no_password_is_asked_and_no_other_role_is_let_in(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        await ask(postgres.admin_url, "CREATE ROLE eve LOGIN PASSWORD 'x'")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await ask(postgres.url_of("muniment", "eve"), "SELECT 1")


async def test_the_administrators_settings_survive(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        await ask(postgres.admin_url, "ALTER SYSTEM SET work_mem = '13MB'")
    with start(data_dir) as postgres:
        assert await ask(postgres.url, "SHOW work_mem") == "13MB"


async def test_settings_of_the_environment_do_not_redirect_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with start(data_dir) as postgres:
        assert (postgres.socket_dir / ".s.PGSQL.5432").exists()


@pytest.mark.parametrize("name", ["x" * 90, 'it\'s, "odd" 100% & ä'])
async def test_a_long_or_odd_path_works(made: Path, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as path:
        data_dir = Path(path, name)
        shutil.copytree(made, data_dir)
        with start(data_dir) as postgres:
            assert await ask(postgres.url, "SELECT 1") == 1
            assert postgres.socket_dir.stat().st_mode & 0o077 == 0
            with attach(data_dir) as other:
                assert other.url == postgres.url
        assert not postgres.socket_dir.is_relative_to("/tmp/muniment-")
        assert not postgres.socket_dir.exists() or postgres.socket_dir.is_relative_to(data_dir)


def test_a_second_server_is_told_who_holds_the_directory(data_dir: Path) -> None:
    with a_server(data_dir, "tied") as (server, _pid), pytest.raises(DirectoryHeld) as raised:
        start(data_dir)
    assert f"process {server.pid} already runs a server on {data_dir.resolve()}" in str(
        raised.value
    )
    with start(data_dir), pytest.raises(DirectoryHeld, match=f"process {os.getpid()} "):
        start(data_dir)
    with start(data_dir):
        pass


async def test_a_command_attaches_to_a_running_server_and_leaves_it_running(data_dir: Path) -> None:
    with a_server(data_dir, "tied") as (_server, pid):
        with attach_or_start(data_dir) as postgres:
            assert (postgres.pid, postgres.owned) == (pid, False)
            assert await ask(postgres.url, "SELECT 1") == 1
        assert postgres.alive


async def test_a_command_starts_it_where_no_server_runs(data_dir: Path) -> None:
    with pytest.raises(DatabaseDown, match="no PostgreSQL is running in"):
        attach(data_dir)
    with attach_or_start(data_dir) as postgres:
        assert postgres.owned
        assert await ask(postgres.url, "SELECT 1") == 1
    with pytest.raises(DatabaseDown, match="start the server"):
        attach(data_dir)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell children")
def test_a_killed_server_takes_its_postgres_along(data_dir: Path) -> None:
    cluster = data_dir / "postgres" / "cluster"
    with a_server(data_dir, "tied") as (server, pid):
        server.kill()
        until(lambda: not postgres_cluster.runs(pid, cluster))
    assert not (cluster / "postmaster.pid").exists()  # it shut down, it did not crash


async def test_a_postgres_left_over_by_a_killed_server_is_stopped_and_its_data_kept(
    data_dir: Path,
) -> None:
    cluster = data_dir / "postgres" / "cluster"
    with a_server(data_dir, "untied") as (server, pid):
        with attach(data_dir) as other:
            await ask(other.owner_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.kill()
        server.wait()
        with start(data_dir) as postgres:
            assert postgres.pid != pid
            assert not postgres_cluster.runs(pid, cluster)
            assert await ask(postgres.owner_url, "SELECT answer FROM kept") == 42


async def test_a_killed_postgres_recovers_what_was_committed(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        await ask(postgres.owner_url, "CREATE TABLE kept (id int)")
        await ask(postgres.owner_url, "INSERT INTO kept SELECT generate_series(1, 1000)")
        busy = await asyncpg.connect(postgres.owner_url)
        await busy.execute("BEGIN; INSERT INTO kept VALUES (-1)")
        os.kill(postgres.pid, signal.SIGKILL)
        until(lambda: not postgres.alive)
        busy.terminate()
    with start(data_dir) as postgres:
        assert (
            await ask(postgres.owner_url, "SELECT count(*) || ' ' || min(id) FROM kept") == "1000 1"
        )


@pytest.fixture
def a_stranger() -> Iterator[int]:
    """The pid of a program that is no PostgreSQL."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert process.stdin
    yield process.pid
    assert process.poll() is None  # nobody took it for PostgreSQL
    process.stdin.close()
    process.wait()


async def test_one_that_dies_is_started_again_with_all_it_had(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        await ask(postgres.owner_url, "CREATE TABLE kept (n int)")
        keeping = asyncio.create_task(embedded_postgres.keep_running(postgres))
        try:
            for n in range(2):
                killed = postgres.pid
                await ask(postgres.owner_url, f"INSERT INTO kept VALUES ({n})")
                os.kill(killed, signal.SIGKILL)
                for _ in range(600):
                    await asyncio.sleep(0.1)
                    if postgres.pid != killed and await answers(postgres.url):
                        break
                assert await ask(postgres.owner_url, "SELECT count(*) FROM kept") == n + 1
            with pytest.raises(DirectoryHeld):
                start(data_dir)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        last = postgres.pid
    assert not postgres_cluster.runs(last, data_dir / "postgres" / "cluster")
    with start(data_dir):
        pass


async def answers(url: str) -> bool:
    try:
        return bool(await ask(url, "SELECT true"))
    except (OSError, asyncpg.PostgresError):
        return False


async def test_one_that_does_not_start_again_says_why_and_is_tried_again(data_dir: Path) -> None:
    with start(data_dir) as postgres:
        cluster = data_dir / "postgres" / "cluster"
        os.kill(postgres.pid, signal.SIGKILL)
        (cluster / "PG_VERSION").rename(cluster / "hidden")
        async with asyncio.timeout(60):
            with pytest.raises(DatabaseDown, match="did not start again"):
                await postgres.start_again()
            (cluster / "hidden").rename(cluster / "PG_VERSION")
            while not postgres.alive or not await answers(postgres.url):
                with contextlib.suppress(DatabaseDown):
                    await postgres.start_again()


def test_the_wait_grows_while_it_keeps_ending() -> None:
    waits = [embedded_postgres.next_wait(0.2, lived=1)]
    for _ in range(20):
        waits.append(embedded_postgres.next_wait(waits[-1], lived=1))
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.4, 30.0)
    assert embedded_postgres.next_wait(30.0, lived=3600) == 0.2


async def test_a_stale_pid_that_now_is_another_programs_is_no_obstacle(
    data_dir: Path, a_stranger: int
) -> None:
    pid_file = data_dir / "postgres/cluster/postmaster.pid"
    with start(data_dir) as postgres:
        text = pid_file.read_text()
        os.kill(postgres.pid, signal.SIGKILL)
        until(lambda: not postgres.alive)
    pid_file.write_text(text.replace(str(postgres.pid), str(a_stranger), 1))
    with start(data_dir) as postgres:
        assert await ask(postgres.url, "SELECT 1") == 1


async def test_a_making_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    fresh = tmp_path / "postgres" / "cluster.new"
    fresh.mkdir(parents=True)
    (fresh / "PG_VERSION").write_text("half")
    with start(tmp_path) as postgres:
        assert await ask(postgres.url, "SELECT 1") == 1
    assert not fresh.exists()


def test_data_of_another_major_version_is_refused_and_left(data_dir: Path) -> None:
    version = data_dir / "postgres/cluster/PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(DatabaseDown, match=r"written by PostgreSQL 16.*restore it here"):
        start(data_dir)
    assert version.read_text() == "16\n"


def test_a_start_that_fails_says_what_postgres_said_and_lets_go(data_dir: Path) -> None:
    with pytest.raises(DatabaseDown, match="invalid value for parameter"):
        start(data_dir, overrides={"shared_buffers": "lots"})
    with start(data_dir):
        pass


def test_a_socket_is_the_only_way_in(data_dir: Path) -> None:
    with start(data_dir), socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", 5432)) != 0 or _someone_elses()


def _someone_elses() -> bool:
    """Whether a PostgreSQL that is not ours listens on the usual port of this machine."""
    return Path("/proc/net/tcp").read_text().count(":1538 ") > 0


async def test_it_starts_off_the_main_thread(data_dir: Path) -> None:
    """The kernel's word for parent is the thread: one that ends must not end PostgreSQL."""
    started: list[EmbeddedPostgres] = []
    thread = threading.Thread(target=lambda: started.append(start(data_dir)))
    thread.start()
    thread.join()
    with started[0] as postgres:
        assert await ask(postgres.url, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
class TestAsRoot:
    async def test_where_namespaces_are_forbidden_an_account_is_used(self, data_dir: Path) -> None:
        entry = pwd.getpwnam("nobody")
        account = Account("account", "nobody", entry.pw_uid, entry.pw_gid)
        data_dir.chmod(0o711)  # noqa: ASYNC240 -- it takes no time
        with start(data_dir, account=account) as postgres:
            assert await ask(postgres.url, "SELECT current_user") == "muniment"
            assert (data_dir / "postgres/cluster").stat().st_uid == entry.pw_uid
        with start(data_dir) as postgres:  # and back
            assert await ask(postgres.admin_url, "SELECT current_user") == "postgres"
            assert (data_dir / "postgres/cluster/base").stat().st_uid == 0

    def test_a_directory_closed_to_that_account_is_not_opened(self, tmp_path: Path) -> None:
        entry = pwd.getpwnam("nobody")
        account = Account("account", "nobody", entry.pw_uid, entry.pw_gid)
        tmp_path.chmod(0o700)
        with pytest.raises(DatabaseDown, match="is closed to the account nobody"):
            start(tmp_path, account=account)
        assert tmp_path.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        "uid", [pwd.getpwnam("nobody").pw_uid, 54321], ids=["named", "nameless"]
    )
    def test_an_ordinary_account_runs_it_as_itself(self, uid: int) -> None:
        with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as path:
            os.chown(path, uid, uid)
            try:
                done = subprocess.run(
                    [sys.executable, "-c", _ASK, path],
                    user=uid,
                    group=uid,
                    extra_groups=[],
                    capture_output=True,
                    text=True,
                    cwd="/",
                    check=False,
                )
            except PermissionError:
                pytest.skip("this Python is in a directory closed to other accounts")
            if done.returncode and "uid 54321 has none" in done.stderr:
                pytest.skip("this kernel forbids user namespaces")
            assert (done.stdout, done.stderr) == ("muniment\n", "")
            assert Path(path, "postgres/cluster").stat().st_uid == uid


def test_settings_for_tests_are_not_the_servers() -> None:
    assert embedded_postgres.NOT_DURABLE["fsync"] == "off"
    assert postgres_cluster.SETTINGS["fsync"] == "on"
