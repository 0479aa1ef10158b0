"""The OpenAPI document of the whole API, printed: `python -m muniment.server.openapi`.

The same document is served at `/api/v1/openapi.json` and checked in as `openapi.json`.
"""

from __future__ import annotations

import json
from typing import Any

from muniment.server.http.health import built_in
from muniment.server.http.metrics import Metrics
from muniment.server.http.openapi import document
from muniment.server.wiring import OPERATIONS


def whole_document() -> dict[str, Any]:
    """Return the document of every operation, as JSON values."""
    return document([*OPERATIONS, *built_in(OPERATIONS, Metrics())])


def main() -> None:
    """Print the document, indented, with a newline at the end."""
    print(json.dumps(whole_document(), indent=2, ensure_ascii=False))  # noqa: T201 -- its purpose


if __name__ == "__main__":
    main()
