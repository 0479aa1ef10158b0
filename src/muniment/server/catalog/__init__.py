"""Assets, their versions, what is said of them, aliases, and finding them.

Owns the tables of `0003_pre_catalog.sql`. Promises: a version never changes and its SemVer is
never used again; whatever may change (description, tags, owner, aliases) is appended with who,
when and why; every read can ask for a past date. Nothing is deleted. Does not hold bytes: that is
`artifacts`, which registers versions through `lock_asset` and `add_version`.
"""

from muniment.server.catalog import rules
from muniment.server.catalog.records import (
    Asset,
    AssetState,
    Kind,
    Lifecycle,
    NewVersion,
    RiskTier,
    Version,
    VersionState,
)
from muniment.server.catalog.store import (
    add_version,
    find_asset,
    find_version,
    get_asset,
    get_version,
    lock_asset,
)

__all__ = [
    "Asset",
    "AssetState",
    "Kind",
    "Lifecycle",
    "NewVersion",
    "RiskTier",
    "Version",
    "VersionState",
    "add_version",
    "find_asset",
    "find_version",
    "get_asset",
    "get_version",
    "lock_asset",
    "rules",
]
