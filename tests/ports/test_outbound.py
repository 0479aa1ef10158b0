"""Requests to addresses somebody else chose, against servers of this machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import DestinationDown, DestinationRefused
from muniment.server.ports.outbound import Ask, Outbound, Reach
from tests.support.other_server import Asked, other_server, reply


class Names:
    """A resolver that says what it is told, one answer after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ok(_asked: Asked) -> bytes:
    return reply(200, b"here")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "plain http"),
        ("ftp://example.com/", "expected a URL"),
        ("file:///etc/passwd", "expected a URL"),
        ("gopher://x/", "expected a URL"),
        ("unix:/run/x", "expected a URL"),
        ("//example.com/", "expected a URL"),
        ("https://", "expected a URL"),
        ("", "expected a URL"),
        ("https://user:pass@example.com/", "user name or password"),
        ("https://user@example.com/", "user name or password"),
        ("https://example.com:99999/", "not a URL"),
        ("https://exa\x00mple.com/", "not a URL"),
        ("https://" + "a" * 2001, "at most"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "loopback"),
        ("https://[64:ff9b::a9fe:a9fe]/", "metadata"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://[fd00:ec2::254]/", "private"),
        ("https://0.0.0.0/", "this network"),
    ],
)
def test_what_is_refused_before_a_name_is_resolved(url: str, why: str) -> None:
    with pytest.raises(DestinationRefused, match=why):
        Reach().check(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost", "127.0.0.1.", "①②⑦.⓪.⓪.①"]
)
async def test_other_ways_to_write_this_machine_are_refused_when_resolved(host: str) -> None:
    async with other_server(ok) as server, Outbound(Reach()) as outbound:
        with pytest.raises((DestinationRefused, DestinationDown)):
            await outbound.ask(Ask(url=f"https://{host}:{server.port}/", seconds=5))
    assert server.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["93.184.216.34", "127.0.0.1"],
        ["10.0.0.1", "93.184.216.34"],
        ["fe80::1%lo"],
    ],
)
async def test_a_name_with_any_private_address_is_refused(addresses: list[str]) -> None:
    async with other_server(ok) as server, Outbound(Reach(), resolve=Names(addresses)) as outbound:
        with pytest.raises(DestinationRefused, match=r"evil\.example is at"):
            await outbound.ask(Ask(url=f"https://evil.example:{server.port}/"))
    assert server.connections == 0


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_global))
def test_no_private_address_is_reached_under_any_name(address: ipaddress.IPv4Address) -> None:
    async def ask() -> None:
        async with Outbound(Reach(), resolve=Names([str(address)])) as outbound:
            with pytest.raises(DestinationRefused):
                await outbound.ask(Ask(url="https://a.example/"))

    asyncio.run(ask())


async def test_a_host_the_operator_named_is_called_over_http() -> None:
    async with other_server(ok) as server:
        async with Outbound(Reach(private=[server.at])) as outbound:
            answer = await outbound.ask(Ask(url=f"{server.url}/a?b=c", headers={"x-y": "z"}))
            assert (answer.status, answer.body) == (200, b"here")
        async with Outbound(Reach(private=["127.0.0.1:1"])) as outbound:
            with pytest.raises(DestinationRefused):
                await outbound.ask(Ask(url=server.url))
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["x-y"]) == ("GET", "/a?b=c", "z")


async def test_a_name_is_resolved_once_and_the_connection_goes_there() -> None:
    async with (
        other_server(ok, host="127.0.0.2") as first,
        other_server(ok, host="127.0.0.1", port=first.port) as second,
    ):
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        reach = Reach(private=["turncoat.example"])
        async with Outbound(reach, resolve=names) as outbound:
            await outbound.ask(Ask(url=f"http://turncoat.example:{first.port}/"))
        assert (len(first.asked), len(second.asked), names.asked) == (1, 0, 1)
        assert first.asked[0].headers["host"] == f"turncoat.example:{first.port}"


async def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async with other_server(ok, host="127.0.0.1") as server:
        names = Names(["127.0.0.9", "127.0.0.1"])
        async with Outbound(Reach(private=["two.example"]), resolve=names) as outbound:
            answer = await outbound.ask(Ask(url=f"http://two.example:{server.port}/"))
    assert answer.body == b"here"


async def test_only_hosts_of_the_list_are_fetched_from() -> None:
    reach = Reach(hosts=["models.example.com", "*.good.example"])
    for fine in ("models.example.com", "MODELS.example.com.", "a.good.example", "a.b.good.example"):
        reach.check(f"https://{fine}/x")
    for other in (
        "example.com",
        "xmodels.example.com",
        "good.example",
        "evilgood.example",
        "1.1.1.1",
    ):
        with pytest.raises(DestinationRefused, match="MUNIMENT_FETCH_HOSTS"):
            reach.check(f"https://{other}/x")
    with pytest.raises(DestinationRefused):
        Reach(hosts=[]).check("https://example.com/")


async def test_a_redirect_is_judged_like_the_first_request() -> None:
    async with other_server(ok) as inside:

        def lead_in(_asked: Asked) -> bytes:
            return reply(302, location=f"{inside.url}/admin")

        async with (
            other_server(lead_in) as outside,
            Outbound(Reach(private=[outside.at])) as outbound,
        ):
            with pytest.raises(DestinationRefused):
                await outbound.ask(Ask(url=outside.url, redirects=3))
            plain = await outbound.ask(Ask(url=outside.url))
            assert plain.status == 302, "not followed unless asked to"
            posted = await outbound.ask(Ask(url=outside.url, method="POST", redirects=3))
            assert posted.status == 302
        assert inside.connections == 0


async def test_credentials_stay_with_their_origin() -> None:
    async with other_server(ok) as second:

        def lead_on(asked: Asked) -> bytes:
            if asked.path == "/start":
                return reply(307, location="/next")
            return reply(307, location=f"{second.url}/other")

        async with (
            other_server(lead_on) as first,
            Outbound(Reach(private=["127.0.0.1"])) as outbound,
        ):
            ask = Ask(
                url=f"{first.url}/start",
                redirects=2,
                headers={"x-plain": "1"},
                credentials={"authorization": "Bearer secret"},
            )
            assert (await outbound.ask(ask)).body == b"here"
            assert (await outbound.ask(Ask(url=first.url, redirects=0))).status == 307
    assert [each.headers.get("authorization") for each in first.asked[:2]] == ["Bearer secret"] * 2
    assert "authorization" not in second.asked[0].headers
    assert second.asked[0].headers["x-plain"] == "1"


async def test_an_answer_that_is_too_large_or_compressed_is_refused() -> None:
    def large(asked: Asked) -> bytes:
        if asked.path == "/bomb":
            return reply(200, gzip.compress(bytes(10**6)), content_encoding="gzip")
        return reply(200, bytes(2000), length=asked.path == "/told")

    async with other_server(large) as server, Outbound(Reach(private=[server.at])) as outbound:
        for path in ("/told", "/untold"):
            with pytest.raises(DestinationRefused, match="more than 1999 bytes"):
                await outbound.ask(Ask(url=server.url + path, max_bytes=1999))
            assert (
                len((await outbound.ask(Ask(url=server.url + path, max_bytes=2000))).body) == 2000
            )
        with pytest.raises(DestinationRefused, match="compressed"):
            await outbound.ask(Ask(url=f"{server.url}/bomb"))
        async with outbound.open(Ask(url=server.url)) as incoming:
            assert await incoming.read(7) == bytes(7), "a beginning is enough"
    assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_who_does_not_answer_in_time_or_at_all_is_down() -> None:
    silent = asyncio.Event()

    async def never(_asked: Asked) -> bytes:
        await silent.wait()
        return b""

    async with other_server(never) as server:
        async with Outbound(Reach(private=["127.0.0.1"])) as outbound:
            with pytest.raises(DestinationDown, match="within"):
                await outbound.ask(Ask(url=server.url, seconds=0.1))
            silent.set()
            with pytest.raises(DestinationDown):
                await outbound.ask(Ask(url=server.url))
            with pytest.raises(DestinationDown):
                await outbound.ask(Ask(url="http://127.0.0.1:1/"))
        async with Outbound(Reach(), resolve=Names([])) as outbound:
            with pytest.raises(DestinationDown, match="no address"):
                await outbound.ask(Ask(url="https://nowhere.example/"))


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with other_server(ok) as proxy, other_server(ok) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with Outbound(Reach(private=[server.at])) as outbound:
            await outbound.ask(Ask(url=server.url))
    assert (proxy.connections, len(server.asked)) == (0, 1)


async def test_tls_is_verified_for_the_name_and_never_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path, "good.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    reach = Reach(private=["good.example", "other.example", "127.0.0.1"])

    def down(asked: Asked) -> bytes:
        return (
            reply(302, location="http://127.0.0.1:1/")
            if asked.path == "/down"
            else reply(200, b"tls")
        )

    async with (
        other_server(down, tls=context) as server,
        Outbound(reach, resolve=Names(["127.0.0.1"])) as outbound,
    ):
        at = f"https://good.example:{server.port}"
        assert (await outbound.ask(Ask(url=at))).body == b"tls"
        with pytest.raises(DestinationDown, match=r"(?i)certificate"):
            await outbound.ask(Ask(url=f"https://other.example:{server.port}"))
        with pytest.raises(DestinationRefused, match="from https to http"):
            await outbound.ask(Ask(url=f"{at}/down", redirects=1))


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's TLS for `name`, signed by a new authority whose certificate is `ca.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
