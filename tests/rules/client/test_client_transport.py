"""One connection: what is repeated, what is raised, what is kept."""

from __future__ import annotations

import datetime as dt
import json
import stat
from pathlib import Path

import httpx
import pytest

import muniment
from muniment import Client
from muniment.client import credentials
from muniment.client.transport import path_of
from muniment.core.errors import (
    CODES,
    BadRequest,
    MunimentError,
    NotAllowed,
    NotAuthenticated,
    StaleRevision,
    TooManyRequests,
    Unavailable,
)
from tests.support.fake_registry import TOKEN, URL, FakeRegistry, problem


@pytest.mark.parametrize("kind", list(CODES.values()), ids=list(CODES))
def test_every_error_comes_back_as_itself(kind: type[MunimentError]) -> None:
    sent = kind(
        "expected this, found that",
        problems=[{"field": "a", "message": "b", "fix": "c"}],
        extra={"expected": "1", "found": "2"},
    )
    registry = FakeRegistry()
    registry.fail_next("GET", "whoami", problem(sent), times=9)
    client = Client(URL, TOKEN, transport=registry.transport(), retries=0)
    with client, pytest.raises(kind) as caught:
        client.whoami()
    assert type(caught.value) is kind
    assert caught.value.message == sent.message
    assert caught.value.problems == sent.problems
    assert caught.value.extra == sent.extra
    assert caught.value.context["request_id"] == "request-1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NotAuthenticated), (403, NotAllowed), (503, Unavailable), (500, MunimentError)],
)
def test_a_proxy_error_page_becomes_an_error_too(status: int, kind: type[MunimentError]) -> None:
    registry = FakeRegistry()
    registry.fail_next("GET", "whoami", httpx.Response(status, html="<h1>oh</h1>"), times=9)
    client = Client(URL, TOKEN, transport=registry.transport(), retries=0)
    with client, pytest.raises(kind):
        client.whoami()


def test_a_server_that_is_something_else_is_told(client: Client, registry: FakeRegistry) -> None:
    registry.fail_next("GET", "whoami", httpx.Response(200, html="<h1>hello</h1>"))
    with pytest.raises(Unavailable, match="did not answer as a Muniment registry"):
        client.whoami()


def test_retry_after_is_honoured_and_bounded(
    client: Client, registry: FakeRegistry, pauses: list[float]
) -> None:
    for wait in ("3", "86400"):
        busy = problem(TooManyRequests(), {"Retry-After": wait})
        registry.fail_next("GET", "whoami", busy)
    client.whoami()
    assert pauses == [3.0, 30.0]


def test_pauses_grow_when_nothing_says_how_long(
    registry: FakeRegistry, pauses: list[float]
) -> None:
    registry.fail_next("GET", "whoami", 503, times=6)
    with Client(URL, TOKEN, transport=registry.transport(), retries=6) as client:
        client.transport.sleep = pauses.append
        client.whoami()
    assert len(pauses) == 6
    for tried, pause in enumerate(pauses):
        assert 0.1 * 2**tried <= pause <= 0.2 * 2**tried


def test_refusals_are_not_repeated(client: Client, registry: FakeRegistry) -> None:
    registry.fail_next("PATCH", "/assets/", StaleRevision("changed"))
    with pytest.raises(StaleRevision):
        client.assets.edit("a", revision=3, description="x")
    call = registry.calls[-1]
    assert call.headers["If-Match"] == '"3"'
    assert registry.count("PATCH", "/assets/") == 1


def test_every_write_has_a_key_of_its_own(client: Client, registry: FakeRegistry) -> None:
    client.assets.create("a", kind="model", owner="ada")
    client.assets.create("b", kind="model", owner="ada")
    keys = [call.headers["Idempotency-Key"] for call in registry.calls]
    assert len(set(keys)) == 2


def test_pages_are_fetched_as_they_are_reached(client: Client, registry: FakeRegistry) -> None:
    for number in range(5):
        client.assets.create(f"a{number}", kind="model", owner="ada")
    found = client.assets.search(limit=2)
    next(found)
    assert registry.count("GET", "/assets$") == 1
    assert len(list(found)) == 4
    assert registry.count("GET", "/assets$") == 3


def test_aliases_move_and_keep_their_history(client: Client, registry: FakeRegistry) -> None:
    registry.add_version("a@1.0.0", {"f": b"1"})
    registry.add_version("a@1.1.0", {"f": b"2"})
    client.aliases.set("a", "champion", "1.0.0", reason="first")
    client.aliases.set("a", "champion", "1.1.0")
    assert client.get("a@champion").version == "1.1.0"
    assert client.get("a@1").version == "1.0.0"
    moves = client.aliases.history("a", "champion")
    assert [move.version for move in moves] == ["1.1.0", "1.0.0"]
    client.aliases.unset("a", "champion")
    assert client.aliases.list_("a")[0].version is None


def test_names_are_encoded_whole() -> None:
    assert path_of("a b", "c+d", "é") == "/a%20b/c%2Bd/%C3%A9"


def test_tokens_ask_for_what_they_were_told(client: Client, registry: FakeRegistry) -> None:
    made = client.tokens.create("ci", lifetime=dt.timedelta(days=30), roles=["viewer:risk/fraud"])
    assert made.token == "mun_new_secret"
    body = json.loads(registry.calls[-1].content)
    assert body["limits"] == [{"role": "viewer", "namespace": "risk", "asset": "fraud"}]
    client.tokens.revoke(made.id)
    assert client.tokens.list_()[0].label == "ci"


def test_credentials_are_private_and_found_again(homes: Path) -> None:
    path = credentials.save("https://one.example/", "t1", default=False)
    credentials.save("https://two.example", "t2", default=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.find() == ("https://one.example", "t1")
    assert credentials.find("https://two.example") == ("https://two.example", "t2")
    assert credentials.find("https://three.example").token is None
    credentials.save("https://two.example", "t3")
    assert credentials.find() == ("https://two.example", "t3")


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.save("https://one.example", "t1")
    monkeypatch.setenv("MUNIMENT_URL", "https://two.example")
    monkeypatch.setenv("MUNIMENT_TOKEN", "t2")
    assert credentials.find() == ("https://two.example", "t2")
    assert credentials.find("https://three.example", "t3") == ("https://three.example", "t3")


def test_credentials_others_can_read_are_refused() -> None:
    path = credentials.save("https://one.example", "t1")
    path.chmod(0o640)
    with pytest.raises(BadRequest, match="chmod 600"):
        credentials.find()


@pytest.mark.parametrize("text", ["not json", "[]", '{"servers": 1}'])
def test_damaged_credentials_are_told(text: str) -> None:
    path = credentials.save("https://one.example", "t1")
    path.write_text(text)
    with pytest.raises(BadRequest, match="muniment login"):
        credentials.find()


def test_without_any_registry_the_way_in_is_told() -> None:
    with pytest.raises(NotAuthenticated, match="muniment login"):
        Client()
    with pytest.raises(BadRequest, match="https"):
        Client("registry.example")


def test_the_package_offers_what_it_says() -> None:
    assert muniment.errors.CODES
    assert callable(muniment.verify.verify_receipt)
    with pytest.raises(AttributeError, match="nothing"):
        muniment.nothing  # noqa: B018
