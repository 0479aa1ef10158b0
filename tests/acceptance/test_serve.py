"""`muniment serve` as an operator meets it: starting, stopping, dying, and what runs beside it."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from muniment import Client
from muniment.server.ports import embedded_postgres
from tests.support.server_process import START_SECONDS, TOKEN, ServerProcess

pytestmark = pytest.mark.slow

AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    pid = postgres_pid(tmp_path / "data")
    assert pid is None or not runs(pid), "a PostgreSQL outlived its test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("serving")) as running:
        yield running
        assert running.stop() == 0


def postgres_pid(data: Path) -> int | None:
    """Pid in the embedded PostgreSQL's own file, if it has one."""
    try:
        return int((data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    except FileNotFoundError:
        return None


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie is gone but for its parent's taking notice


def await_that(what: str, *, seconds: float = START_SECONDS) -> Iterator[None]:
    """Repeat the loop's body until it breaks; fail if it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError(f"never came true: {what}")


def muniment(
    server: ServerProcess, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that needs no token, as an operator on the server's machine."""
    return subprocess.run(
        [sys.executable, "-m", "muniment", *arguments],
        env={**server.environ, **(environ or {})},
        cwd=server.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )


def register(server: ServerProcess, name: str, content: bytes = b"bytes") -> None:
    file = server.home / "model.bin"
    file.write_bytes(content)
    with Client(server.url, TOKEN) as client:
        client.register(name, version="1.0.0", artifact=file, kind="model", owner="ada")


# --- the first start ---------------------------------------------------------------------------


def test_the_first_start_makes_one_administrator_and_logs_its_machine_in(home: Path) -> None:
    server = ServerProcess(home)
    del server.environ["MUNIMENT_BOOTSTRAP_TOKEN"]
    with server:
        said = server.log.read_text()
        link = re.search(r"(http://\S+)/welcome\?code=(\S+)", said)
        assert link is not None, said
        code = link[2]
        page = httpx.get(f"{server.url}/welcome", params={"code": code})
        assert page.headers["content-type"].startswith("text/html")
        assert code in page.text
        form = {"code": code, "name": "ada"}
        shown = httpx.post(f"{server.url}/welcome", data=form)
        token = re.search(r"mun_\w+", shown.text)
        assert (shown.status_code, token is not None) == (200, True)
        again = httpx.post(f"{server.url}/welcome", data=form)
        assert (again.status_code, "mun_" in again.text) == (403, False)
        assert token is not None
        with Client(server.url, token[0]) as client:
            assert client.whoami().name == "ada"

        known = muniment(server, "whoami", "--json")
        assert known.returncode == 0, known.stderr
        nobody = {"MUNIMENT_CONFIG_HOME": str(home / "elsewhere")}
        assert muniment(server, "whoami", environ=nobody).returncode == 1
        no_secret_is_open_to_others(server)
        assert server.stop() == 0

        server.log.write_text("")
        server.start()
        assert "welcome?code" not in server.log.read_text(), "the link is for the first start"
        assert muniment(server, "whoami").returncode == 0
        assert server.stop() == 0


def no_secret_is_open_to_others(server: ServerProcess) -> None:
    """Nothing in the data directory or beside the command line may be read by another account."""
    open_ = [
        path
        for top in (server.data, Path(server.environ["MUNIMENT_CONFIG_HOME"]))
        for path in (top, *top.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & (0o044 if path.is_dir() else 0o077)
    ]
    reachable = [path for path in open_ if all_may_pass(path, server.data.parent)]
    assert not reachable, reachable


def all_may_pass(path: Path, until: Path) -> bool:
    """Say whether any account may get to `path`, were it let in at `until`."""
    between = [
        parent for parent in path.parents if parent.is_relative_to(until) and parent != until
    ]
    return all(parent.stat().st_mode & 0o001 for parent in between)


def test_a_second_server_on_the_same_directory_is_refused(server: ServerProcess) -> None:
    second = muniment(server, "serve", "--data", str(server.data), "--port", "0")
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: process {server.process_id} already runs a server on")
    assert "another data directory" in second.stderr
    assert "Traceback" not in second.stderr
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_port_in_use_is_refused_and_nothing_stays_behind(
    server: ServerProcess, home: Path
) -> None:
    second = muniment(server, "serve", "--data", str(home / "data"), "--port", str(server.port))
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_port_zero_is_any_free_one_and_ctrl_c_stops_it(home: Path) -> None:
    server = ServerProcess(home)
    server.port = 0
    server.start(wait=False)
    assert server.process is not None
    for _ in await_that("the address is announced"):
        ready = re.search(r"ready at (http://\S+)", server.log.read_text())
        if ready is not None:
            break
    assert ready is not None
    for _ in await_that("it answers there"):
        try:
            if httpx.get(f"{ready[1]}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            continue
    assert ready[1].rpartition(":")[2] not in {"0", "8080"}
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=30) == 0
    assert "Traceback" not in server.log.read_text()


# --- wrong settings ----------------------------------------------------------------------------


def test_everything_wrong_with_the_settings_is_said_at_once(
    server: ServerProcess, home: Path
) -> None:
    wrong = {
        "MUNIMENT_ORIGIN": "https://models.example",
        "MUNIMENT_PORT": "eighty",
        "MUNIMENT_BLOB_URL": "ftp://bucket",
        "MUNIMENT_DATABASE_URL": "mysql://localhost",
        "MUNIMENT_BLOB_SECRET_KEY": "s3cret",
        "MUNIMENT_UPLOAD_TLL": "1h",
    }
    refused = muniment(server, "serve", "--data", str(home / "data"), environ=wrong)
    assert refused.returncode == 1
    first = {"MUNIMENT_PORT", "MUNIMENT_UPLOAD_TLL"}  # the others wait until all can be read
    assert all(name in refused.stderr for name in first), refused.stderr
    assert "did you mean MUNIMENT_UPLOAD_TTL?" in refused.stderr
    assert "s3cret" not in refused.stderr
    rest = {name: text for name, text in wrong.items() if name not in first}
    refused = muniment(server, "serve", "--data", str(home / "data"), environ=rest)
    assert all(name in refused.stderr for name in rest), refused.stderr
    assert not (home / "data").exists(), "nothing is made before the settings are right"


def test_a_short_bootstrap_token_is_refused(server: ServerProcess, home: Path) -> None:
    short = {"MUNIMENT_BOOTSTRAP_TOKEN": "changeme"}
    refused = muniment(server, "serve", "--data", str(home / "data"), "--port", "0", environ=short)
    assert refused.returncode == 1
    assert "MUNIMENT_BOOTSTRAP_TOKEN" in refused.stderr
    assert "changeme" not in refused.stderr
    assert "Traceback" not in refused.stderr


# --- stopping and dying ------------------------------------------------------------------------


def test_sigterm_lets_an_open_request_finish(home: Path) -> None:
    content = os.urandom(100_000)
    with ServerProcess(home) as server:
        assert server.process is not None
        postgres = postgres_pid(server.data)
        path = declared(server, content)
        with socket.create_connection(("127.0.0.1", server.port)) as sending:
            sending.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                f"Content-Length: {len(content)}\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert sending.recv(100).startswith(b"HTTP/1.1 100"), "the handler reads its body"
            sending.sendall(content[:50_000])
            server.process.terminate()
            for _ in await_that("no new connection is taken"):
                try:
                    socket.create_connection(("127.0.0.1", server.port)).close()
                except ConnectionRefusedError:
                    break
            assert server.process.poll() is None
            sending.sendall(content[50_000:])
            answer = sending.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(timeout=30) == 0
        assert postgres is not None
        assert not runs(postgres)
        assert "Traceback" not in server.log.read_text()


def declared(server: ServerProcess, content: bytes) -> str:
    """Open an upload for `content`; return the path to send it to."""
    sha256 = hashlib.sha256(content).hexdigest()
    with httpx.Client(base_url=server.url, headers=AUTHORIZED) as http:
        upload = http.post("/api/v1/uploads", json={"name": "thing"}).json()["id"]
        offered = {"blobs": [{"sha256": sha256, "size_bytes": len(content)}]}
        http.post(f"/api/v1/uploads/{upload}/blobs", json=offered).raise_for_status()
    return f"/api/v1/uploads/{upload}/blobs/{sha256}"


def test_a_killed_server_leaves_no_database_and_starts_again(home: Path) -> None:
    with ServerProcess(home) as server:
        assert server.process is not None
        register(server, "kept")
        postgres = postgres_pid(server.data)
        assert postgres is not None
        server.process.kill()  # the server alone, as the kernel does when memory is short
        server.process.wait()
        for _ in await_that("PostgreSQL follows"):
            if not runs(postgres):
                break
        server.start()
        with Client(server.url, TOKEN) as client:
            assert str(client.get("kept@1.0.0").version) == "1.0.0"
        assert server.stop() == 0


def test_a_killed_database_is_started_again_and_all_goes_on(home: Path) -> None:
    with ServerProcess(home) as server:
        for n in range(3):
            register(server, f"kept-{n}")
            killed = postgres_pid(server.data)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            for _ in await_that("it is back"):
                if postgres_pid(server.data) != killed and is_ready(server):
                    break
        with Client(server.url, TOKEN) as client:
            for n in range(3):
                assert client.verify(f"kept-{n}@1.0.0").ok  # so the sequencer went on as well
        said = server.log.read_text()
        assert said.count("postgres_started_again") == 3
        second = muniment(server, "serve", "--port", "0", "--data", str(server.data))
        assert (second.returncode, "already runs a server" in second.stderr) == (1, True)
        assert server.stop() == 0


def is_ready(server: ServerProcess) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{server.url}/readyz", timeout=20).status_code == 200
    return False


def test_a_database_elsewhere_is_a_503_while_it_is_gone_and_reconnected_to(
    home: Path, tmp_path: Path
) -> None:
    postgres = embedded_postgres.start(tmp_path)
    environ = {
        "MUNIMENT_DATABASE_URL": postgres.url,
        "MUNIMENT_DATABASE_OWNER_URL": postgres.owner_url,
    }
    try:
        with ServerProcess(home, environ=environ) as server:
            register(server, "kept")
            os.kill(postgres.pid, signal.SIGKILL)
            postgres.stop()
            for _ in await_that("it is noticed"):
                ready = httpx.get(f"{server.url}/readyz", timeout=20)
                if ready.status_code != 200:
                    break
            assert_down(ready)
            for method, path, body in (
                ("GET", "/api/v1/assets", None),
                ("GET", "/api/v1/assets/default/kept/versions/1.0.0/files/model.bin", None),
                ("POST", "/api/v1/assets", {"name": "a", "kind": "model", "owner": "b"}),
                ("POST", "/api/v1/assets/default/kept/versions", {"version": "2.0.0", "files": []}),
            ):
                url = f"{server.url}{path}"
                assert_down(httpx.request(method, url, headers=AUTHORIZED, json=body, timeout=20))
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            postgres = embedded_postgres.start(tmp_path)
            for _ in await_that("it is back"):
                if is_ready(server):
                    break
            register(server, "later")
            with Client(server.url, TOKEN) as client:
                assert client.verify("kept@1.0.0").ok
                assert client.verify("later@1.0.0").ok
            assert server.stop() == 0
        checked = muniment(server, "fsck", "--data", str(server.data), environ=environ)
        assert checked.returncode == 0, checked.stdout
        assert "owns its tables" not in checked.stdout
    finally:
        postgres.stop()


def assert_down(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "database_down"
    assert int(answer.headers["retry-after"]) >= 1


# --- beside a running server, and without ------------------------------------------------------


def test_the_state_before_and_after_an_act(server: ServerProcess) -> None:
    register(server, "earlier", b"earlier")
    between = dt.datetime.now(dt.UTC).isoformat()
    register(server, "later", b"later")
    data = ("--data", str(server.data), "--json")

    def names(*options: str) -> set[str]:
        done = muniment(server, "state", *data, *options)
        assert done.returncode == 0, done.stderr
        assets = json.loads(done.stdout)["asset"]
        return {name for name in ("earlier", "later") if name in json.dumps(assets)}

    assert names("--as-of", between) == {"earlier"}
    assert names("--as-of", "2020-01-01") == set()
    assert names() == {"earlier", "later"}
    assert muniment(server, "state", "--as-of", "yesterday").returncode == 1


def test_fsck_and_migrate_run_beside_the_server_and_without_it(home: Path) -> None:
    server = ServerProcess(home)
    data = ("--data", str(server.data))
    planned = muniment(server, "migrate", "--dry-run", *data)
    assert planned.returncode == 0, planned.stderr
    assert "CREATE TABLE" in planned.stdout
    assert muniment(server, "migrate", "--dry-run", *data).stdout == planned.stdout, "nothing ran"
    assert "ran 0001" in muniment(server, "migrate", *data).stdout
    assert "the schema is current" in muniment(server, "migrate", *data).stdout
    with server:
        register(server, "checked")
        assert "nothing is pending" in muniment(server, "migrate", "--dry-run", *data).stdout
        beside = muniment(server, "fsck", "--sample", "all", *data)
        assert (beside.returncode, "everything agrees" in beside.stdout) == (0, True), beside
        assert server.stop() == 0
    without = muniment(server, "fsck", "--sample", "all", "--json", *data)
    assert (without.returncode, json.loads(without.stdout)["findings"]) == (0, [])


def test_what_nothing_names_is_collected_beside_the_server(home: Path) -> None:
    with ServerProcess(home) as server:
        register(server, "kept")
        for arguments, said in (
            (("gc", "--dry-run"), "0 blobs, 0 bytes would be removed"),
            (("gc",), "0 blobs, 0 bytes removed"),
        ):
            done = muniment(server, *arguments, "--data", str(server.data))
            assert (done.returncode, said in done.stdout) == (0, True), done
        young = muniment(server, "gc", "--older-than", "5m", "--data", str(server.data))
        assert (young.returncode, "at least 1h" in young.stderr) == (1, True)
        assert server.stop() == 0


def test_a_database_of_ones_own(home: Path, db_url: str) -> None:
    server = ServerProcess(home, environ={"MUNIMENT_DATABASE_URL": db_url})
    with server:
        register(server, "elsewhere")
        assert not (server.data / "postgres").exists()
        with Client(server.url, TOKEN) as client:
            assert client.verify("elsewhere@1.0.0").ok
        assert server.stop() == 0
    checked = muniment(server, "fsck", "--sample", "all", "--data", str(server.data))
    assert (checked.returncode, "everything agrees" in checked.stdout) == (0, True), checked
    gone = {"MUNIMENT_DATABASE_URL": "postgresql://ada:s3cret@127.0.0.1:1/none"}
    refused = muniment(server, "serve", "--port", "0", "--data", str(server.data), environ=gone)
    assert refused.returncode == 1
    assert "no answer from the database at postgresql://ada:***@127.0.0.1:1/none" in refused.stderr
    assert "s3cret" not in refused.stderr


def other_account() -> list[str]:
    """Command that makes us an ordinary account with a name, in a user namespace."""
    become = ["unshare", "--user", "--map-user=1", "--map-group=1"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*become, "true"], capture_output=True, check=False)
    return become if tried.returncode == 0 else []


def test_it_runs_as_an_ordinary_account(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test runs as one already")
    become = other_account()
    if not become:
        pytest.skip("no user namespace here to be another account in")
    server = ServerProcess(home)
    server.start(under=become)
    try:
        register(server, "mine")
        assert server.stop() == 0
        server.start(under=become)
        with Client(server.url, TOKEN) as client:
            assert client.verify("mine@1.0.0").ok
        assert server.stop() == 0
    finally:
        server.__exit__()
