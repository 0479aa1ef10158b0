"""What a request says it has read. Source: RFC 9110 §13.1.1."""

from __future__ import annotations

import re

from muniment.core.errors import BadRequest
from muniment.server.http.operation import Call

_ETAG = re.compile(r'(?:W/)?"([0-9]{1,9})(?:-[0-9a-f-]*)?"')


def expected_revision(call: Call) -> int | None:
    """Return the revision `If-Match` asks for; None where it asks for none.

    Raises:
        BadRequest: the header is not an ETag this registry gives.
    """
    header = call.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    found = _ETAG.fullmatch(header.strip())
    if not found:
        raise BadRequest(
            f'expected If-Match: "REVISION", found {header[:80]!r}; send the ETag of the answer '
            "you read"
        )
    return int(found[1])
