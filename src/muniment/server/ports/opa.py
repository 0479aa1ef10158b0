"""Rego evaluated by an Open Policy Agent that somebody runs, over its REST Data API.

The agent serves the bundle that `muniment policy pack` wrote: its revision is the bundle's digest,
and an answer from any other revision counts for nothing.

Source: OPA REST API, "Data API" and "Provenance"; OPA management API, "Bundles".
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import httpx

from muniment.core.canon import loads_strict
from muniment.core.errors import BadJson
from muniment.server.ports.policy_engine import (
    DEFAULT_SECONDS,
    MAX_ANSWER_BYTES,
    EngineFailed,
    EngineFault,
    Program,
)

_OK: Final = 200


class Opa:
    """An agent at an address. Close it at the end."""

    name = "opa"

    def __init__(
        self, url: str, *, token: str | None = None, seconds: float = DEFAULT_SECONDS
    ) -> None:
        """Ask the agent at `url`, with a bearer token if it wants one; wait `seconds` for each answer."""
        self.version = ""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=seconds, follow_redirects=False, trust_env=False
        )

    def ask(self, program: Program, path: str, document: bytes) -> Any:
        """Return the value at `path`. See `PolicyEngine`."""
        status, body = self._post(path, b'{"input":' + document + b"}")
        told = _read(body)
        if status != _OK:
            message = f"status {status}: {str(told.get('message', ''))[:200]}"
            raise EngineFailed(EngineFault.ERROR, message)
        provenance = told.get("provenance")
        provenance = provenance if isinstance(provenance, dict) else {}
        self.version = str(provenance.get("version", ""))[:64]
        _check_revision(program, provenance)
        return told.get("result")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            with self._client.stream(
                "POST",
                f"/v1/data/{quote(path)}",
                params={"provenance": "true", "strict-builtin-errors": "true"},
                content=body,
                headers={"Content-Type": "application/json"},
            ) as response:
                held = bytearray()
                for piece in response.iter_bytes():
                    held += piece
                    if len(held) > MAX_ANSWER_BYTES:
                        raise EngineFailed(EngineFault.BAD_ANSWER, "the agent said too much")
                return response.status_code, bytes(held)
        except httpx.TimeoutException:
            raise EngineFailed(EngineFault.TIMEOUT, "the agent did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"the agent does not answer: {type(error).__name__}"
            raise EngineFailed(EngineFault.UNAVAILABLE, message) from None


def _read(body: bytes) -> dict[str, Any]:
    try:
        told = loads_strict(body)
    except BadJson as error:
        raise EngineFailed(EngineFault.BAD_ANSWER, f"expected JSON: {error.message}") from None
    if not isinstance(told, dict):
        raise EngineFailed(EngineFault.BAD_ANSWER, "expected a JSON object")
    return told


def _check_revision(program: Program, provenance: dict[str, Any]) -> None:
    bundles = provenance.get("bundles")
    bundles = bundles if isinstance(bundles, dict) else {}
    found = {one.get("revision") for one in bundles.values() if isinstance(one, dict)}
    if found != {program.digest}:
        said = ", ".join(sorted(str(one)[:64] for one in found)) or "none"
        message = f"the agent serves another bundle: expected {program.digest}, found {said}"
        raise EngineFailed(EngineFault.OTHER_BUNDLE, message)
