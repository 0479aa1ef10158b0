"""The client's half of a login: the device flow with a real issuer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from muniment.client import device
from muniment.client.logins import LoginChoice
from muniment.core.errors import BadRequest, NotAuthenticated, Unavailable
from tests.support.issuer import CLIENT_ID, Issuer, running_issuer

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Iterator[Issuer]:
    documents, started = dict(running.documents), dict(running.device)
    yield running
    running.documents, running.device, running.polls = documents, started, []


class Waiting:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.said: list[str] = []

    def clock(self) -> float:
        return sum(self.pauses)

    def run(self, issuer: Issuer, **over: Any) -> str:
        fields = {"name": "corp", "url": issuer.url, "client_id": CLIENT_ID, **over}
        choice = LoginChoice(**fields)
        with httpx.Client() as http:
            flow = device.DeviceFlow(http, choice, self.said.append, self.pauses.append, self.clock)
            return flow.run()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def test_the_person_is_asked_and_waited_for(issuer: Issuer, waiting: Waiting) -> None:
    issuer.device |= {"verification_uri_complete": f"{issuer.url}/activate?c=WDJB-MJHT"}
    issuer.polls = ["authorization_pending", "slow_down", "authorization_pending", "slow_down"]
    token = waiting.run(issuer)
    assert len(token.split(".")) == 3
    assert waiting.pauses == [1, 1, 6, 6, 11], "each slow_down is five seconds more"
    assert "WDJB-MJHT" in waiting.said[0]
    assert f"{issuer.url}/activate" in waiting.said[0]


def test_without_an_interval_it_is_five_seconds(issuer: Issuer, waiting: Waiting) -> None:
    del issuer.device["interval"]
    waiting.run(issuer)
    assert waiting.pauses == [5]


@pytest.mark.parametrize(
    ("polls", "started", "said"),
    [
        (["access_denied"], {}, "declined"),
        (["expired_token"], {}, "in time"),
        (["authorization_pending"] * 20, {"expires_in": 10}, "in time"),
        (["invalid_grant"], {}, "refuses the login: invalid_grant"),
    ],
)
def test_what_ends_it(
    polls: list[str], started: dict[str, Any], said: str, issuer: Issuer, waiting: Waiting
) -> None:
    issuer.polls, issuer.device = polls, {**issuer.device, **started}
    with pytest.raises(NotAuthenticated, match=said):
        waiting.run(issuer)
    assert sum(waiting.pauses) <= 10


def test_an_issuer_that_is_away_for_a_moment_is_asked_less_often(
    issuer: Issuer, waiting: Waiting
) -> None:
    answers = iter([True, True, False])

    def sometimes(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token" and next(answers):
            raise httpx.ConnectTimeout("away", request=request)
        return httpx.request(request.method, request.url, content=request.content,
                             headers=request.headers)  # fmt: skip

    choice = LoginChoice(name="corp", url=issuer.url, client_id=CLIENT_ID)
    with httpx.Client(transport=httpx.MockTransport(sometimes)) as http:
        flow = device.DeviceFlow(
            http, choice, waiting.said.append, waiting.pauses.append, waiting.clock
        )
        assert flow.run()
    assert waiting.pauses == [1, 2, 4]


@pytest.mark.parametrize(
    ("discovery", "started", "said"),
    [
        ({"issuer": "https://other.example"}, {}, "another's"),
        ({"device_authorization_endpoint": None}, {}, "no `device_authorization_endpoint`"),
        ({"device_authorization_endpoint": "http://evil.example/x"}, {}, "https"),
        ({"token_endpoint": "file:///etc/passwd"}, {}, "https"),
        ({"token_endpoint": "http://[x"}, {}, "https"),
        ({}, {"user_code": "a\x1b[2J"}, "no `user_code`"),
        ({}, {"verification_uri": "javascript:alert(1)"}, "https"),
        ({}, {"device_code": None}, "no `device_code`"),
        ({}, {"expires_in": "soon"}, "no usable `expires_in`"),
        ({}, {"expires_in": True}, "no usable `expires_in`"),
        ({}, {"interval": -1}, "no usable `interval`"),
    ],
)
def test_an_issuer_that_misbehaves(
    discovery: dict[str, Any],
    started: dict[str, Any],
    said: str,
    issuer: Issuer,
    waiting: Waiting,
) -> None:
    issuer.documents[DISCOVERY] = {**issuer.documents[DISCOVERY], **discovery}
    issuer.device |= started
    with pytest.raises(Unavailable, match=said):
        waiting.run(issuer)
    assert waiting.pauses == []


def test_what_cannot_be_asked(issuer: Issuer, waiting: Waiting) -> None:
    with pytest.raises(Unavailable, match="invalid_client"):
        waiting.run(issuer, client_id="another")
    with pytest.raises(Unavailable, match="invalid_scope"):
        waiting.run(issuer, scopes=["profile"])
    with pytest.raises(Unavailable, match="https"):
        waiting.run(issuer, url="http://login.example")
    del issuer.documents[DISCOVERY]
    with pytest.raises(Unavailable, match="cannot be used"):
        waiting.run(issuer)
    issuer.documents[DISCOVERY] = b"[" * 100_000
    with pytest.raises(Unavailable, match="cannot be used"):
        waiting.run(issuer)
    documents = {"issuer": issuer.url, "token_endpoint": f"{issuer.url}/oauth/token"}
    issuer.documents[DISCOVERY] = documents
    with pytest.raises(Unavailable, match="no device flow"):
        waiting.run(issuer)


@pytest.mark.parametrize(
    ("choices", "name", "said"),
    [
        ([], None, "no login issuer"),
        (["corp", "partner"], None, "--issuer"),
        (["corp", "partner"], "x", "no login issuer `x`"),
    ],
)
def test_which_issuer(choices: list[str], name: str | None, said: str) -> None:
    shown = [
        {"name": each, "url": "https://login.example", "client_id": CLIENT_ID} for each in choices
    ]
    registry = httpx.MockTransport(lambda _: httpx.Response(200, json={"issuers": shown}))
    with pytest.raises(BadRequest, match=said):
        device.log_in("https://registry.example", name, say=print, via=registry)
