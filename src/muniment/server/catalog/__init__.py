"""Assets, their versions, what is said of them, aliases, and finding them.

Owns the tables of `0003_pre_catalog.sql`. Promises: a version never changes and its SemVer is never
used again; what may change (description, tags, owner, aliases) is appended with who, when and why;
every read can ask for a past date; nothing is deleted. Holds no bytes: `artifacts` does, and
registers versions through `lock_asset` and `add_version`.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.catalog.actions import (
    annotate_asset, annotate_version, create_asset, set_alias,
)
from muniment.server.catalog.reads.bodies import (
    CompletenessBody, VersionBody, asset_body, completeness_body, version_body, version_etag,
)
from muniment.server.catalog.reads.folds import FOLDS
from muniment.server.catalog.reads.search import Query, search_assets, search_versions
from muniment.server.catalog.rules.changes import Change, check_version_state
from muniment.server.catalog.rules.comparing import compare
from muniment.server.catalog.rules.metadata import (
    check_metadata, metadata_problems, template_variables, window_overlaps,
)
from muniment.server.catalog.rules.required import completeness, missing
from muniment.server.catalog.rules.terms import metrics_of
from muniment.server.catalog.rules.versions import metadata_digest, version_payload
from muniment.server.catalog.store.assets import find_asset, get_asset, lock_asset
from muniment.server.catalog.store.versions import add_version, find_version, get_version

__all__ = [
    "FOLDS", "Change", "CompletenessBody", "Query", "VersionBody", "add_version", "annotate_asset",
    "annotate_version", "asset_body", "check_metadata", "check_version_state", "compare",
    "completeness", "completeness_body", "create_asset", "find_asset", "find_version", "get_asset",
    "get_version", "lock_asset", "metadata_digest", "metadata_problems", "metrics_of", "missing", "search_assets", "search_versions",
    "set_alias", "template_variables", "version_body", "version_etag", "version_payload", "window_overlaps",
]
