"""Other people's APIs, spoken at paths of their own: how their requests are read and errors told.

A facade serves operations like any slice. Under its prefixes the kit leaves to it what a query or
body looks like and what an error looks like; who calls, what they may do, limits and transactions
stay the kit's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from muniment.core.errors import MunimentError
from muniment.server.http.operation import Reply


class Dialect(Protocol):
    """The manners of one foreign API."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The beginnings of the paths (as they are sent) where it is spoken."""
        ...

    def query(self, kind: type[msgspec.Struct], query_string: bytes) -> Any:
        """Return the query as a `kind`.

        Raises:
            BadRequest: it is none.
        """
        ...

    def body(self, kind: type[msgspec.Struct], raw: bytes, media_type: str) -> Any:
        """Return the body as a `kind`.

        Raises:
            BadRequest: it is none.
        """
        ...

    def tell(self, error: MunimentError, path: str) -> Reply:
        """Return the answer that tells `error`, met at `path`."""
        ...


def spoken_at(path: str, dialects: Sequence[Dialect]) -> Dialect | None:
    """Return the dialect spoken at `path`, None for our own."""
    return next((one for one in dialects if path.startswith(one.prefixes)), None)
