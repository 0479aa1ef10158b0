"""Assets and versions of the default namespace as MLflow finds, filters and orders them."""

from muniment.server.facades.mlflow.reads.finding import (
    Held,
    find_bytes,
    find_kind,
    find_model,
    find_version,
    has_version,
    newest_untouched,
    registered,
)
from muniment.server.facades.mlflow.reads.searching import (
    Page,
    search_models,
    search_versions,
    versions_statement,
)

# fmt: off
__all__ = [
    "Held", "Page", "find_bytes", "find_kind", "find_model", "find_version", "has_version",
    "newest_untouched", "registered", "search_models", "search_versions", "versions_statement",
]
