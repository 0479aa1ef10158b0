"""Who a CI job is, by what its CI system gives it: an ID token, exchanged for a token of a registry.

Looked for in this order: `MUNIMENT_ID_TOKEN` (GitLab's `id_tokens`, or what any other system was
asked for); GitHub's request address, `ACTIONS_ID_TOKEN_REQUEST_URL`. An ID token is good once; from
GitHub a new one comes with every request, so a long job goes on after 15 minutes.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Generator
from typing import Final

import httpx

from muniment.client.transport import Transport, api
from muniment.client.trusted import Exchanged
from muniment.core.errors import MunimentError, NotAuthenticated

GIVEN: Final = "MUNIMENT_ID_TOKEN"
_GITHUB: Final = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_RENEW_BEFORE: Final = dt.timedelta(minutes=2)
_GITHUB_SECONDS: Final = 30.0


def present() -> bool:
    """Say whether this looks like a CI job that can say who it is."""
    return bool(os.environ.get(GIVEN)) or all(os.environ.get(name) for name in _GITHUB)


def id_token(audience: Callable[[], str]) -> str:
    """Return an ID token of this job; `audience` is asked for only if one must be requested.

    Raises:
        NotAuthenticated: the CI system gives none; the message says what to allow.
    """
    given = os.environ.get(GIVEN, "").strip()
    if given:
        return given
    url, bearer = (os.environ.get(name) for name in _GITHUB)
    if not url or not bearer:
        raise NotAuthenticated(
            "this job has no ID token: on GitHub allow `permissions: {id-token: write}`, on GitLab"
            f" add `id_tokens: {{{GIVEN}: {{aud: {audience()}}}}}`; elsewhere put one into {GIVEN}"
        )
    try:
        answer = httpx.get(
            httpx.URL(url).copy_merge_params({"audience": audience()}),
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=_GITHUB_SECONDS,
        )
        answer.raise_for_status()
        token = answer.json()["value"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise NotAuthenticated(
            f"GitHub gave no ID token ({type(error).__name__}); does the job have"
            " `permissions: {id-token: write}`?"
        ) from error
    if not isinstance(token, str):
        raise NotAuthenticated("GitHub gave no ID token that is text")
    return token


def exchange(url: str, via: httpx.BaseTransport | None = None) -> Exchanged:
    """Exchange this job's ID token for a token of the registry at `url`.

    Raises:
        NotAuthenticated: there is no ID token, or it is refused (`IdTokenRefused`).
        NotTrusted: nothing there trusts this job.
    """
    transport = Transport(url, None, via=via)
    try:

        def audience() -> str:
            return transport.get(api("id-tokens", "audience"), dict[str, str])["audience"]

        body = {"id_token": id_token(audience)}
        return transport.send("POST", api("id-tokens", "exchange"), body, Exchanged)
    finally:
        transport.close()


class AmbientAuth(httpx.Auth):
    """Sends this job's token, exchanged at the first request and again before it expires."""

    def __init__(self, url: str, via: httpx.BaseTransport | None = None) -> None:
        self._url, self._via = url, via
        self._lock = threading.Lock()
        self._held: Exchanged | None = None

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the token into `request`."""
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request

    def _token(self) -> str:
        with self._lock:
            if self._held is None or self._ends_soon(self._held):
                try:
                    self._held = exchange(self._url, self._via)
                except MunimentError:
                    if self._held is None:
                        raise
            return self._held.token

    @staticmethod
    def _ends_soon(held: Exchanged) -> bool:
        left = held.expires_at.timestamp() - time.time()
        return left < _RENEW_BEFORE.total_seconds()
