"""A person logs in: the issuer says who it is, asked for in a browser anywhere (RFC 8628).

The registry names its issuers; everything else is between this client and the issuer, whose answer,
an ID token, the registry exchanges for a token of its own. No secret of the client is involved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from muniment.client.logins import LoggedIn, LoginChoice, LoginChoices
from muniment.client.transport import Transport, api
from muniment.core.errors import BadRequest, NotAuthenticated, Unavailable

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SECONDS: Final = 30.0
_INTERVAL: Final = 5
_SLOWER: Final = 5
_LONGEST_INTERVAL: Final = 60
_LONGEST_WAIT: Final = 3600
_TEXT_MAX: Final = 2000
_ID_TOKEN_MAX: Final = 16 << 10
_OK: Final = 200
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Say = Callable[[str], None]


def log_in(
    url: str,
    issuer: str | None = None,
    *,
    say: Say,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    via: httpx.BaseTransport | None = None,
) -> LoggedIn:
    """Log in to the registry at `url`, by `issuer` where there are several.

    `say` is given what the person must read. Waits until the person has said yes or no.

    Raises:
        BadRequest: there is no such issuer, or several.
        NotAuthenticated: the person said no or nothing, or the registry refuses the ID token.
        NotTrusted: no group of theirs gives a role.
        Unavailable: the issuer cannot be asked, or has no device flow.
    """
    registry = Transport(url, None, via=via)
    try:
        choice = _choose(registry.get(api("login"), LoginChoices).issuers, issuer)
        with httpx.Client(timeout=_SECONDS, headers={"Accept": "application/json"}) as http:
            id_token = DeviceFlow(http, choice, say, sleep, clock).run()
        return registry.send("POST", api("login"), {"id_token": id_token}, LoggedIn)
    finally:
        registry.close()


def _choose(choices: list[LoginChoice], name: str | None) -> LoginChoice:
    if not choices:
        msg = "this registry has no login issuer: log in with a token, or ask an administrator"
        raise BadRequest(msg)
    found = [each for each in choices if name in (None, each.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in choices)
    if name is None:
        msg = f"this registry has several login issuers: choose one with `--issuer` ({names})"
    else:
        msg = f"there is no login issuer `{name}`; there are: {names}"
    raise BadRequest(msg)


class DeviceFlow:
    """One login at one issuer."""

    def __init__(
        self,
        http: httpx.Client,
        choice: LoginChoice,
        say: Say,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._http, self._choice = http, choice
        self._say, self._sleep, self._clock = say, sleep, clock

    def run(self) -> str:
        """Return the ID token of a person who said yes."""
        device_endpoint, token_endpoint = self._discover()
        scope = " ".join(self._choice.scopes)
        asked = {"client_id": self._choice.client_id, "scope": scope}
        started, status = self._post(device_endpoint, asked)
        if status != _OK:
            raise self._unusable(f"it lets nobody log in this way ({_error(started)})")
        code = self._text(started, "device_code")
        ends = self._clock() + self._number(started, "expires_in", 0, _LONGEST_WAIT)
        interval = max(1.0, self._number(started, "interval", _INTERVAL, _LONGEST_INTERVAL))
        self._show(started)
        return self._poll(token_endpoint, code, interval, ends)

    def _show(self, started: Mapping[str, Any]) -> None:
        where, code = self._text(started, "verification_uri"), self._text(started, "user_code")
        whole = started.get("verification_uri_complete")
        self._say(f"Open {_secure(where)} in a browser and enter the code {code}")
        if isinstance(whole, str) and whole.isprintable():
            self._say(f"or open {_secure(whole)} and compare the code")

    def _poll(self, endpoint: str, code: str, interval: float, ends: float) -> str:
        asked = {"grant_type": _GRANT, "device_code": code, "client_id": self._choice.client_id}
        while self._clock() + interval < ends:
            self._sleep(interval)
            try:
                answer, status = self._post(endpoint, asked)
            except Unavailable:
                interval = min(interval * 2, _LONGEST_INTERVAL)  # RFC 8628 §3.5
                continue
            if status == _OK:
                return self._text(answer, "id_token", _ID_TOKEN_MAX)
            error = _error(answer)
            if error == "slow_down":
                interval += _SLOWER
            elif error != "authorization_pending":
                raise self._refused(error)
        raise self._refused("expired_token")

    def _refused(self, error: str) -> NotAuthenticated:
        said = {
            "access_denied": "the login was declined",
            "expired_token": "nobody entered the code in time: run `muniment login` again",
        }
        return NotAuthenticated(said.get(error, f"{self._choice.url} refuses the login: {error}"))

    def _discover(self) -> tuple[str, str]:
        url = self._choice.url
        _secure(url)
        document, status = self._ask("GET", f"{url}/.well-known/openid-configuration", None)
        if status != _OK or document.get("issuer") != url:
            raise self._unusable("its discovery document cannot be had, or is another's")
        if "device_authorization_endpoint" not in document:
            raise self._unusable("it has no device flow: allow it for this client, or use a token")
        names = ("device_authorization_endpoint", "token_endpoint")
        first, second = (_secure(self._text(document, name)) for name in names)
        return first, second

    def _post(self, url: str, form: Mapping[str, str]) -> tuple[dict[str, Any], int]:
        return self._ask("POST", url, form)

    def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None
    ) -> tuple[dict[str, Any], int]:
        try:
            answer = self._http.request(method, url, data=form)
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise self._unusable(type(error).__name__) from error
        if not isinstance(found, dict):
            raise self._unusable("expected a JSON object")
        return found, answer.status_code

    def _text(self, found: Mapping[str, Any], name: str, longest: int = _TEXT_MAX) -> str:
        value = found.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise self._unusable(f"its answer has no `{name}`")
        return value

    def _number(self, found: Mapping[str, Any], name: str, missing: float, most: float) -> float:
        value = found.get(name, missing)
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not math.isfinite(value) or value < 0:
            raise self._unusable(f"its answer has no usable `{name}`")
        return float(min(value, most))

    def _unusable(self, why: str) -> Unavailable:
        return Unavailable(f"the issuer {self._choice.url} cannot be used: {why}")


def _error(answer: Mapping[str, Any]) -> str:
    return str(answer.get("error", "no error code"))[:100]


def _secure(url: str) -> str:
    """Return `url` if what is sent there cannot be read or changed on the way.

    Raises:
        Unavailable: it is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise Unavailable(f"expected an https:// address of the issuer, found `{url[:200]}`")
