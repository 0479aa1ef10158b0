"""In which formats webhooks are told: our own, and those that facades add."""

from __future__ import annotations

from muniment.server.federation.records import Dialect
from muniment.server.federation.rules.events import NATIVE_DIALECT

_DIALECTS: dict[str, Dialect] = {NATIVE_DIALECT.name: NATIVE_DIALECT}


def add_dialect(dialect: Dialect) -> None:
    """Offer a format, once at import."""
    _DIALECTS[dialect.name] = dialect


def dialect_of(name: str) -> Dialect:
    """Return the format of that name."""
    return _DIALECTS[name]
