"""What a use is made of, and when two are the same.

1. System, endpoint and use case are printable text in NFC, without spaces at the ends.
2. An endpoint is kept as text. It holds no credentials: what is in the log stays there.
3. The same asset, system, endpoint, use case and environment is one use, to whichever version it is
   bound.

Source: requirements §1.1 (R-128).
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterator
from typing import Final

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadBody
from muniment.server.serving.records import Use

SYSTEM_MAX, ENDPOINT_MAX, USE_CASE_MAX = 200, 2000, 300
_HOST: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*([^/\\?#]*)")
_LIMITS: Final = {"system": SYSTEM_MAX, "endpoint": ENDPOINT_MAX, "use_case": USE_CASE_MAX}

Problem = dict[str, str]


def read_use(system: str, endpoint: str, use_case: str, environment: str | None = None) -> Use:
    """Return the use that is described, its texts in NFC.

    Raises:
        BadBody: some text cannot be; all that is wrong is named.
    """
    said = {"system": system, "endpoint": endpoint, "use_case": use_case}
    texts = {name: unicodedata.normalize("NFC", text) for name, text in said.items()}
    problems = [one for name, text in texts.items() for one in _problems(name, text)]
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see `problems`)" if len(problems) > 1 else ""
        raise BadBody(f"`{first['field']}`: {first['message']}{more}", problems=problems)
    return Use(texts["system"], texts["endpoint"], texts["use_case"], environment)


def _problems(name: str, text: str) -> Iterator[Problem]:
    limit = _LIMITS[name]
    if not 1 <= len(text) <= limit or not text.isprintable() or text != text.strip():
        message = f"expected 1 to {limit} printable characters without spaces at the ends"
        yield {
            "field": name,
            "message": f"{message}, found {text[:40]!a}",
            "fix": f"send `{name}` so",
        }
    elif name == "endpoint" and _has_credentials(text):
        message = "expected no credentials: what is bound stands in the log for good"
        yield {"field": name, "message": message, "fix": "leave out what is before the @"}


def _has_credentials(endpoint: str) -> bool:
    """Say whether there is an @ where an address has its host, however many slashes come before."""
    host = _HOST.match(endpoint)
    return host is not None and "@" in host[1]


def key_of(asset_id: uuid.UUID, use: Use) -> Digest:
    """Return what one use is known by."""
    parts = [str(asset_id), use.system, use.endpoint, use.use_case, use.environment]
    return digest_of(canonical(parts))
