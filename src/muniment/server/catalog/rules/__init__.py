"""The catalog's decisions: pure functions over records. Time and ids are arguments."""

from muniment.server.catalog.rules.terms import TERM_FIELDS, metrics_of, terms
from muniment.server.catalog.rules.versions import (
    asset_payload,
    asset_state_from,
    asset_state_json,
    json_text,
    lifecycle_of,
    metadata_digest,
    parse_json,
    precedence_key,
    timestamp,
    version_payload,
    version_state_from,
    version_state_json,
)

__all__ = [
    "TERM_FIELDS",
    "asset_payload",
    "asset_state_from",
    "asset_state_json",
    "json_text",
    "lifecycle_of",
    "metadata_digest",
    "metrics_of",
    "parse_json",
    "precedence_key",
    "terms",
    "timestamp",
    "version_payload",
    "version_state_from",
    "version_state_json",
]
