"""Bulk bytes over real sockets: what httpx's own transport does, this one must do too."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from muniment.client.transport import Transport
from muniment.client.wire import STEP_BYTES, FileSlice, WireTransport
from muniment.core.errors import DigestMismatch, TooLarge, Unavailable

DATA = hashlib.shake_256(b"wire").digest(3 * STEP_BYTES + 17)


class _Handler(BaseHTTPRequestHandler):
    """Keeps what is put; gives it back; refuses, redirects and breaks off by path."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        if self.path == "/refuse":
            self._answer(413, b'{"code": "too_large", "detail": "too much"}')
            self.close_connection = True
            return
        self.server.held = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"{}")

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        if self.path == "/elsewhere":
            self.send_response(307)
            self.send_header("Location", self.server.elsewhere)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/broken":
            self._answer(200, DATA[:1000], announced=len(DATA))
            self.close_connection = True
        else:
            self._answer(200, DATA)
            self.close_connection = self.path == "/once"

    def _answer(self, status: int, body: bytes, announced: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.held = b""
        self.elsewhere = ""
        self.accepted = 0
        self.scheme = "https" if context else "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{self.scheme}://127.0.0.1:{self.server_port}"

    def process_request(self, request: object, client_address: object) -> None:
        self.accepted += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients here hang up."""


@pytest.fixture
def serve() -> Iterator[Callable[..., _Server]]:
    running: list[tuple[_Server, threading.Thread]] = []

    def start(context: ssl.SSLContext | None = None) -> _Server:
        server = _Server(context)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(serve: Callable[..., _Server]) -> _Server:
    return serve()


@pytest.fixture
def transport(server: _Server) -> Iterator[Transport]:
    made = Transport(server.url, "mun_secret", retries=1, timeout=20)
    made.sleep = lambda _: None
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    at = tmp_path / "source"
    at.write_bytes(DATA)
    return at


def a_slice(source: Path, start: int, end: int, sent: Callable[[int], None]) -> FileSlice:
    return FileSlice(source, start, end, sent, lambda: DigestMismatch("the file changed"))


@pytest.mark.parametrize(("start", "end"), [(0, len(DATA)), (5, 5), (STEP_BYTES - 1, len(DATA))])
def test_a_slice_arrives_as_it_is(
    transport: Transport, server: _Server, source: Path, start: int, end: int
) -> None:
    counted: list[int] = []
    transport.put_file("/put", a_slice(source, start, end, counted.append), params={"offset": 7})
    assert server.held == DATA[start:end]
    assert sum(counted) == end - start
    path, headers = server.seen[0]
    assert path == "/put?offset=7"
    assert headers["Authorization"] == "Bearer mun_secret"
    assert headers["Content-Length"] == str(end - start)


def test_a_bare_address_is_not_given_the_token(
    transport: Transport, server: _Server, source: Path
) -> None:
    transport.put_file(f"{server.url}/bare?sig=1%2F2", a_slice(source, 0, 9, lambda _: None))
    path, headers = server.seen[0]
    assert path == "/bare?sig=1%2F2"
    assert "Authorization" not in headers


def test_a_file_that_became_shorter_is_not_sent_as_if_whole(
    transport: Transport, source: Path
) -> None:
    counted: list[int] = []
    with pytest.raises(DigestMismatch):
        transport.put_file("/put", a_slice(source, 0, len(DATA) + 1, counted.append))
    assert sum(counted) == 0


def test_a_file_that_is_gone_is_a_changed_file(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch):
        transport.put_file("/put", a_slice(tmp_path / "gone", 0, 9, lambda _: None))


def test_a_refusal_before_the_body_was_read_is_understood(
    transport: Transport, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as out:
        out.truncate(64 * STEP_BYTES)
    with pytest.raises(TooLarge, match="too much"):
        transport.put_file("/refuse", a_slice(large, 0, 64 * STEP_BYTES, lambda _: None))


def read(transport: Transport, path: str, buffers: tuple[memoryview, ...] = ()) -> bytes:
    with transport.stream(path, {}, buffers) as response:
        return b"".join(bytes(piece) for piece in response.iter_raw())


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_bytes_come_back_in_given_buffers_or_new_ones(transport: Transport, count: int) -> None:
    buffers = tuple(memoryview(bytearray(1000 * (at + 1))) for at in range(count))
    assert read(transport, "/get", buffers) == DATA


def test_a_connection_serves_again_and_one_that_was_closed_is_replaced(
    transport: Transport, server: _Server
) -> None:
    for path in ("/get", "/get", "/once", "/get"):
        assert read(transport, path) == DATA
    assert server.accepted == 2


def test_a_connection_left_in_the_middle_is_not_used_again(
    transport: Transport, server: _Server
) -> None:
    with transport.stream("/get", {}) as response:
        next(response.iter_raw())
    assert read(transport, "/get") == DATA
    assert server.accepted == 2


def test_what_breaks_off_is_seen_to_be_short(transport: Transport) -> None:
    for buffers in ((), (memoryview(bytearray(4096)),)):
        with pytest.raises(Unavailable):
            read(transport, "/broken", buffers)


def test_a_redirect_to_another_place_goes_without_the_token(
    transport: Transport, server: _Server, serve: Callable[..., _Server]
) -> None:
    other = serve()
    server.elsewhere = f"{other.url}/get?signed=1"
    assert read(transport, "/elsewhere") == DATA
    assert "Authorization" in server.seen[0][1]
    assert "Authorization" not in other.seen[0][1]


def test_nobody_there_is_unavailable(server: _Server, source: Path) -> None:
    server.socket.close()
    nowhere = Transport(server.url, None, retries=0)
    with pytest.raises(Unavailable):
        nowhere.put_file("/put", a_slice(source, 0, 9, lambda _: None))
    nowhere.close()


def test_a_silent_server_is_a_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        httpx.Client(transport=WireTransport(), timeout=0.05) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(f"http://127.0.0.1:{silent.getsockname()[1]}/")


def test_another_scheme_is_refused() -> None:
    with (
        httpx.Client(transport=WireTransport()) as client,
        pytest.raises(httpx.UnsupportedProtocol),
    ):
        client.get("ftp://127.0.0.1/")


def test_a_proxy_in_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    proxied = Transport("https://registry.example", None, retries=0)
    with pytest.raises(Unavailable):
        proxied.get("/x", dict)
    assert not isinstance(proxied.bulk._transport, WireTransport)
    proxied.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wire")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    at = tmp_path / "certificate.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    at.write_bytes(made.public_bytes(encoding) + private)
    return at


def test_tls_is_checked_and_carries_both_ways(
    serve: Callable[..., _Server],
    certificate: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure = serve(context)
    stranger = Transport(secure.url, None, retries=0)
    with pytest.raises(Unavailable):
        read(stranger, "/get")
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = Transport(secure.url, None, retries=0)
    trusting.put_file("/put", a_slice(source, 0, len(DATA), lambda _: None))
    assert secure.held == DATA
    assert read(trusting, "/get", (memoryview(bytearray(70_000)),)) == DATA
    trusting.close()
