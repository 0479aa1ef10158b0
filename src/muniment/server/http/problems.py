"""Errors as problem details: what a program reads and what a person is told.

Only `message`, `problems` and `extra` of an error leave the server; `context` goes to the log.

Source: RFC 9457; RFC 6750 §3 (WWW-Authenticate); RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.core.errors import MethodNotAllowed, MunimentError, NotAuthenticated
from muniment.server.http.operation import Reply

MEDIA_TYPE = "application/problem+json"


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request."""

    message: str
    where: str = msgspec.field(name="in", default="")
    field: str = ""
    fix: str = ""


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered. Read `code`; `detail` is for people and may be reworded.

    Some codes add members of their own.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    problems: list[FieldProblem] = []


def reply_for(error: MunimentError, request_id: str, *, gave_token: bool = False) -> Reply:
    """Return the answer that tells `error`."""
    body: dict[str, Any] = {
        **error.extra,
        "type": f"urn:muniment:error:{error.code}",
        "title": (type(error).__doc__ or "").strip().split("\n")[0],
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
        "problems": error.problems,
    }
    return Reply(body=body, status=error.status, headers=_headers(error, gave_token=gave_token))


def _headers(error: MunimentError, *, gave_token: bool) -> dict[str, str]:
    headers = {"content-type": MEDIA_TYPE}
    if isinstance(error, NotAuthenticated):
        reason = ', error="invalid_token"' if gave_token else ""
        headers["www-authenticate"] = f'Bearer realm="muniment"{reason}'
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.extra["allow"])
    if error.retryable:
        headers["retry-after"] = str(error.extra.get("retry_after_s", 1))
    if "content_range" in error.extra:
        headers["content-range"] = error.extra["content_range"]
    return headers
