"""Assets, their versions, what is said of them, aliases, and finding them.

Owns the tables of `0003_pre_catalog.sql` and `0007_pre_standing.sql`. Promises: a version never changes and its SemVer is never
used again; what may change (description, tags, owner, aliases) is appended with who, when and why;
every read can ask for a past date; nothing is deleted. Holds no bytes: `artifacts` does, and
registers versions through `ADD_VERSION`.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.catalog.actions import (
    annotate_asset, annotate_version, check_standing as check_alias_standing, create_asset, create_namespace, govern_namespace, move_alias, set_alias,
)
from muniment.server.catalog.reads.bodies import (
    AliasBody, AssetBody, CompletenessBody, VersionBody, alias_body, asset_body, completeness_body, version_body, version_etag,
)
from muniment.server.catalog.reads.folds import FOLDS, TableFold
from muniment.server.catalog.reads.search import Query, search_assets, search_versions
from muniment.server.catalog.rules.changes import Change, check_version_state, is_derived_tag, moment_after, text_problems
from muniment.server.catalog.rules.comparing import compare
from muniment.server.catalog.rules.governing import own_fields, resolves
from muniment.server.catalog.rules.metadata import check_metadata, metadata_problems, read_metadata, template_variables, window_overlaps
from muniment.server.catalog.rules.required import DOCUMENTATION, completeness, missing, own_rows
from muniment.server.catalog.rules.standing import check_served, not_served, standing_json
from muniment.server.catalog.rules.terms import metrics_of
from muniment.server.catalog.rules.versions import alias_payload, higher_payload, metadata_digest, parse_as_of, precedence_key, registered, timestamp, version_payload
from muniment.server.catalog.store.aliases import pointers, standing as alias_standing
from muniment.server.catalog.store.assets import find_asset, get_asset, lock_asset
from muniment.server.catalog.store.namespaces import get_namespace
from muniment.server.catalog.store.sources import ASSET_COLUMNS_NOW, to_asset
from muniment.server.catalog.store.standing import note_act, put_standing, rename_asset, tombstone_asset
from muniment.server.catalog.store.versions import ADD_VERSION, ADD_VERSION_COUNT, add_version, add_version_values, find_version, get_version, number_of, reserve_number, version_by_id, version_conflict, vouched_for

__all__ = [
    "ADD_VERSION", "ADD_VERSION_COUNT", "ASSET_COLUMNS_NOW", "DOCUMENTATION", "FOLDS", "AliasBody", "AssetBody", "Change", "CompletenessBody", "Query", "TableFold", "VersionBody", "add_version", "add_version_values", "alias_body", "alias_payload",
    "alias_standing", "annotate_asset", "annotate_version", "asset_body", "check_alias_standing", "check_metadata", "check_served", "check_version_state", "compare", "completeness", "completeness_body", "create_asset", "create_namespace",
    "find_asset", "find_version", "get_asset", "get_namespace", "get_version", "govern_namespace", "higher_payload", "is_derived_tag", "lock_asset", "metadata_digest", "metadata_problems", "metrics_of", "missing", "moment_after",
    "move_alias", "not_served", "note_act", "number_of", "own_fields", "own_rows", "parse_as_of", "pointers", "precedence_key", "put_standing", "read_metadata", "registered", "rename_asset", "reserve_number", "resolves", "search_assets", "search_versions", "set_alias", "standing_json", "template_variables",
    "text_problems", "timestamp", "to_asset", "tombstone_asset", "version_body", "version_by_id", "version_conflict", "version_etag", "version_payload", "vouched_for", "window_overlaps",
]
