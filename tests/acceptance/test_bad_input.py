"""Hostile requests on a raw socket: refused or cut off, never a 5xx, and nothing comes of them."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from muniment import Client
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

REGISTER = "/api/v1/assets/default/victim/versions"
FILE = "/api/v1/assets/default/victim/versions/1.0.0/files"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("attacked")
    (home / "model.bin").write_bytes(b"the only version there ever is")
    with ServerProcess(home) as running:
        with Client(running.url, TOKEN) as client:
            client.register(
                "victim", version="1.0.0", artifact=home / "model.bin", kind="model", owner="ada"
            )
        yield running
        log = running.log.read_text()
        assert running.stop() == 0
        assert "Traceback" not in log


@pytest.fixture(autouse=True)
def unharmed(server: ServerProcess) -> Iterator[None]:
    """After each test the server answers, and holds what it held before."""
    yield
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    with Client(server.url, TOKEN) as client:
        assert [one.name for one in client.assets.search()] == ["victim"]
        assert [str(one.version) for one in client.versions.search("")] == ["1.0.0"]


def head(method: str, path: str, more: str = "", *, token: str = TOKEN) -> bytes:
    """Write the head of a request; `path` and `more` may hold any character below U+0100."""
    lines = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    return lines.encode("latin-1")


def ask(server: ServerProcess, *parts: bytes, hang_up: bool = False) -> int | None:
    """Send raw bytes; return the status of the answer, or None if the connection was closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
            if hang_up:
                return None
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(65536)
            return int(answer.split(b" ", 2)[1]) if answer else None
        return None


def json_head(path: str, length: int, more: str = "", *, method: str = "POST") -> bytes:
    size = f"Content-Length: {length}\r\n"
    return head(method, path, f"Content-Type: application/json\r\n{size}{more}")


def refused(status: int | None) -> bool:
    return status is None or 400 <= status < 500


# --- the protocol ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), id="TLS"),
        pytest.param(b"GET /api/v1/assets\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET  HTTP/1.1\r\n\r\n", id="no path"),
        pytest.param(b"\x00" * 1000 + b"\r\n\r\n", id="zeros"),
        pytest.param(b"BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="unknown method"),
        pytest.param(b"TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="TRACE"),
        pytest.param(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"PATCH /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="method not taken here"),
        pytest.param(
            b"GET /none HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", id="many"
        ),
        pytest.param(
            b"GET /none HTTP/1.1\r\nA: " + b"b" * 2_000_000 + b"\r\n\r\n", id="a long one"
        ),
        pytest.param(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="long path"),
        pytest.param(b"GET /none HTTP/1.1\r\nA: b\r\n : c\r\n\r\n", id="folded header"),
        pytest.param(b"GET /none HTTP/1.1\r\nA\xff: b\r\n\r\n", id="odd header name"),
    ],
)
def test_what_is_hardly_http_is_refused(server: ServerProcess, sent: bytes) -> None:
    assert refused(ask(server, sent))


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"GET /", b"a" * 1024, id="path"),
        pytest.param(b"GET /none HTTP/1.1\r\nA: ", b"b" * 1024, id="a header"),
        pytest.param(b"GET /none HTTP/1.1\r\n", b"A: b\r\n" * 200, id="headers"),
        pytest.param(
            head("POST", REGISTER, f"Content-Type: application/json\r\n{CHUNKED}")
            + b"2\r\n{}\r\n0\r\n",
            b"A: b\r\n" * 200,
            id="trailers",
        ),
        pytest.param(
            head("POST", REGISTER, f"Content-Type: application/json\r\n{CHUNKED}") + b"2;",
            b"a" * 1024,
            id="chunk extension",
        ),
    ],
)
def test_no_head_goes_on_for_ever(server: ServerProcess, start: bytes, more: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(start)
        sent = flood(connection, more * 64, most=64 << 20)
    assert sent < 32 << 20, "far more than buffers hold before the connection is cut"


def flood(connection: socket.socket, data: bytes, *, most: int) -> int:
    """Send `data` again and again until that fails; return how many bytes went out."""
    for sent in range(0, most, len(data)):
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return sent
    return most


def test_a_long_body_is_no_long_head(server: ServerProcess) -> None:
    size = 4 << 20
    body = b'{"version": "2.0.0", "files": [], "description": "' + b"a" * size + b'"}'
    assert ask(server, json_head(REGISTER, len(body)), body) == 422
    chunks = head("POST", REGISTER, f"Content-Type: application/json\r\n{CHUNKED}")
    tiny = [b"1\r\n%c\r\n" % byte for byte in body[:30_000]]
    assert ask(server, chunks, *tiny, b"0\r\n\r\n") == 422


@pytest.mark.parametrize(
    ("more", "body"),
    [
        (CHUNKED, b"zz\r\nnonsense\r\n0\r\n\r\n"),
        (CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED, b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED + "Content-Length: 3\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        ("Content-Length: -1\r\n", b"{}"),
        ("Content-Length: many\r\n", b"{}"),
        ("Content-Length: 2\r\nContent-Length: 4\r\n", b"{}{}"),
        ("Content-Length: 99999999999999999999999\r\n", b"{}"),
    ],
)
def test_lies_about_the_length_are_refused(server: ServerProcess, more: str, body: bytes) -> None:
    typed = f"Content-Type: application/json\r\n{more}"
    assert refused(ask(server, head("POST", REGISTER, typed), body))


def test_a_body_longer_than_said_is_no_second_request(server: ServerProcess) -> None:
    body = json.dumps({"version": "1.0.0", "files": []}).encode()
    smuggled = json.dumps({"name": "smuggled", "kind": "model", "owner": "eve"}).encode()
    second = json_head("/api/v1/assets", len(smuggled)).replace(TOKEN.encode(), b"guessed")
    assert refused(ask(server, json_head(REGISTER, len(body)), body + second + smuggled))


def test_who_hangs_up_halfway_leaves_nothing(server: ServerProcess) -> None:
    body = json.dumps(
        {"version": "2.0.0", "files": [], "create_asset": {"kind": "prompt", "owner": "eve"}}
    ).encode()
    for cut in (0, 1, len(body) - 1):
        ask(server, json_head(REGISTER, len(body)), body[:cut], hang_up=True)
    chunks = head("POST", REGISTER, f"Content-Type: application/json\r\n{CHUNKED}")
    ask(server, chunks, b"%x\r\n%s\r\n" % (len(body), body), hang_up=True)


# --- JSON --------------------------------------------------------------------------------------


def test_too_much_json_is_refused_before_it_is_read(server: ServerProcess) -> None:
    size = 17 << 20
    assert ask(server, json_head(REGISTER, size)) == 413
    whole = b'{"version": "2.0.0", "files": [], "description": "' + b"a" * size + b'"}'
    assert ask(server, json_head(REGISTER, len(whole)), whole) in {413, None}
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    chunks = head("POST", REGISTER, f"Content-Type: application/json\r\n{CHUNKED}")
    assert ask(server, chunks, *[chunk] * 17) in {413, None}


DEEP = 2000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * DEEP + b"]" * DEEP, id="deep list"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, id="deep object"),
        pytest.param(
            b'{"version":"2.0.0","files":[],"metadata":{"extra":%s1%s}}'
            % (b'{"a":' * DEEP, b"}" * DEEP),
            id="deep metadata",
        ),
        pytest.param(
            b'{"version":"2.0.0","files":[],"metadata":{"extra":{"a":%s%s}}}'
            % (b"[" * 900, b"]" * 900),
            id="metadata just not too deep for the parser",
        ),
        pytest.param(b'{"version":"\xff\xfe","files":[]}', id="not UTF-8"),
        pytest.param(b'{"version":"2.0.0","files":[],"description":"\\ud800"}', id="half a pair"),
        pytest.param(b'{"version":"2.0.0","files":[],"description":"\\u0000"}', id="NUL"),
        pytest.param(
            b'{"version":"2.0.0","files":[],"metadata":{"\\u0000":1}}', id="NUL in a name"
        ),
        pytest.param(
            b'{"version":"2.0.0","files":[],"metadata":{"metrics":{"auc":1e999}}}', id="infinite"
        ),
        pytest.param(b'{"version":"2.0.0","files":[],"metadata":{"metrics":NaN}}', id="NaN"),
        pytest.param(
            b'{"version":"2.0.0","files":[],"metadata":{"extra":{"a":%s}}}' % (b"9" * 5000),
            id="a number of 5000 digits",
        ),
        pytest.param(b'{"version":"2.0.0","version":"3.0.0","files":[]}', id="given twice"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{", id="half"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
    ],
)
def test_bad_json_is_refused(server: ServerProcess, body: bytes) -> None:
    assert ask(server, json_head(REGISTER, len(body)), body) == 422


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json2", "\xff"]
)
def test_only_json_is_read_as_json(server: ServerProcess, media: str) -> None:
    body = b'{"name": "typed", "kind": "model", "owner": "eve"}'
    typed = f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    assert ask(server, head("POST", "/api/v1/assets", typed), body) == 415


@pytest.mark.parametrize(
    "form", [b"&".join(b"k%d=v" % n for n in range(2_000)), b"code=%ff%00", b"="]
)
def test_odd_forms_are_refused(server: ServerProcess, form: bytes) -> None:
    typed = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
    assert ask(server, head("POST", "/welcome", typed), form) == 403


# --- paths and queries -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"{FILE}/..%2f..%2f..%2fetc%2fpasswd",
        f"{FILE}/../../../../../../../../etc/passwd",
        f"{FILE}/%2e%2e/%2e%2e/keys/log.key",
        f"{FILE}//etc/passwd",
        f"{FILE}/%2fetc%2fpasswd",
        f"{FILE}/model.bin%00",
        f"{FILE}/model.bin%00.txt",
        f"{FILE}/%ff%fe",
        f"{FILE}/\xff\xfe",
        f"{FILE}/model.bin/",
        f"{FILE}/" + "a/" * 5000,
        f"{FILE}/" + "a" * 60_000,
        "/log/tile/..%2f..%2fcommand-line.token",
        "/log/tile/../../keys",
        "/log/tile/0/x000/000",
        "/api/v1/assets/default/%00",
        "/api/v1/assets/default/..",
        "/api/v1/assets/%2e%2e/victim",
        "/api/v1/assets/default/victim/versions/1.0.0%0d%0aX-Evil:%201",
        "/api/v1/assets/default/victim/versions/" + "9" * 4000,
        "/api/v1/assets/default/victim/versions/99999999999999999999",
        "/api/v1/uploads/%00",
        "/api/v1/assets?limit=1&limit=2",
        "/api/v1/assets?limit=99999999999999999999999",
        "/api/v1/assets?limit=NaN",
        "/api/v1/assets?filter=%ff",
        "/api/v1/assets?filter=%00",
        "/api/v1/assets?filter=" + "(" * 10_000,
        "/api/v1/assets?filter=" + "NOT%20" * 5_000 + "name='a'",
        "/api/v1/assets?filter=name%20LIKE%20'" + "%25a" * 5_000 + "'",
        "/api/v1/assets?filter=name='a'" + "%20OR%20name='a'" * 3_000,
        "/api/v1/assets?cursor=" + "A" * 50_000,
        "/api/v1/assets?cursor=bnVsbA",
        "/api/v1/assets?as_of=0001-01-01T00:00:00%2B14:00",
        "/api/v1/assets?as_of=9999-12-31T23:59:59-14:00",
        "/api/v1/assets?" + "&".join(f"k{n}=v" for n in range(5_000)),
        "/api/v1/resolve?ref=victim@" + "9" * 400,
        "/api/v1/log/inclusion?index=9007199254740991&size=9007199254740991",
    ],
)
def test_bad_paths_and_queries_are_refused(server: ServerProcess, path: str) -> None:
    assert refused(ask(server, head("GET", path)))


def test_paths_of_files_to_register_stay_inside(server: ServerProcess, tmp_path: Path) -> None:
    held = "0" * 64
    paths = ["../up", "/etc/passwd", "a/../../b", "a\\..\\b", "a\x00b", "", ".", "C:\\x", "a//b"]
    for path in paths:
        files = [{"path": path, "sha256": held, "size_bytes": 0}]
        body = json.dumps({"version": "2.0.0", "files": files}).encode()
        assert ask(server, json_head(REGISTER, len(body)), body) == 422, path


@pytest.mark.parametrize(
    "more",
    [
        "Range: bytes=5-1\r\n",
        "Range: bytes=0-0,2-3,5-\r\n",
        "Range: bytes=-99999999999999999999\r\n",
        "Range: lines=1-2\r\n",
        'If-None-Match: "' + "a" * 5000 + "\r\n",
        "If-Range: \xff\r\n",
        "X-Request-Id: \xff\xfe; drop\r\n",
        "Idempotency-Key: \xff\r\n",
    ],
)
def test_odd_headers_do_no_harm(server: ServerProcess, more: str) -> None:
    status = ask(server, head("GET", f"{FILE}/model.bin", more))
    assert status in {200, 206} or refused(status)


def test_odd_tokens_open_nothing(server: ServerProcess) -> None:
    for token in ("", "\xff\xfe", "a" * 20_000, "mun_x_y", TOKEN[:-1], TOKEN + "\x00"):
        assert refused(ask(server, head("GET", "/api/v1/assets", token=token)))
