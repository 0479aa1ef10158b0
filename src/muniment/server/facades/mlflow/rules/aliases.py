"""Which aliases MLflow's clients may set, in MLflow's words.

Source: MLflow's own validation; requirements of `core.names.Alias` hold beside these.
"""

from __future__ import annotations

import re
from typing import Final

from muniment.core.errors import BadRequest

_VERSION: Final = re.compile(r"[vV][0-9]+")


def check_alias(alias: str) -> None:
    """Go on only if MLflow does not give the alias a meaning of its own.

    Raises:
        BadRequest: it does.
    """
    if alias.lower() == "latest":
        raise BadRequest("'latest' alias name (case insensitive) is reserved.")
    if _VERSION.fullmatch(alias):
        raise BadRequest(f"Version alias name '{alias[:80]}' is reserved.")
