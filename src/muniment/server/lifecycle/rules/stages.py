"""The stage that follows from a version's lifecycle and its deployments, never stored.

The first that holds: retired is Archived; live in production is Production, deprecated or not;
deprecated is Archived; live in staging, or a candidate, or approved, is Staging; else None.

Source: requirements §1.3 (derived stage), §1.4; R-133, R-136.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from muniment.core.names import Alias
from muniment.server.catalog.records import Lifecycle
from muniment.server.lifecycle.records import DeployMode, Stage

_TESTED: Final = frozenset({Lifecycle.CANDIDATE, Lifecycle.APPROVED})


def stage_of(lifecycle: Lifecycle, live: Collection[Stage]) -> Stage:
    """Return the stage of a version that is deployed where `live` says."""
    if lifecycle is Lifecycle.RETIRED:
        return Stage.ARCHIVED
    if Stage.PRODUCTION in live:
        return Stage.PRODUCTION
    if lifecycle is Lifecycle.DEPRECATED:
        return Stage.ARCHIVED
    if Stage.STAGING in live or lifecycle in _TESTED:
        return Stage.STAGING
    return Stage.NONE


#: The alias through which production finds what is deployed so. Source: requirements §1.4.
_ALIASES: Final = {
    DeployMode.FULL: "champion",
    DeployMode.CHAMPION: "champion",
    DeployMode.BLUE_GREEN: "champion",
    DeployMode.BANDIT: "champion",
    DeployMode.CANARY: "canary",
    DeployMode.SHADOW: "challenger",
    DeployMode.CHALLENGER: "challenger",
}


def alias_of(mode: DeployMode) -> Alias:
    """Return the alias that a deployment of this mode is found through unless somebody says."""
    return Alias(_ALIASES[mode])


def mode_of(alias: Alias) -> DeployMode:
    """Return how a version is deployed at which this alias is pointed."""
    return DeployMode.CANARY if alias.text.lower() == "canary" else DeployMode.FULL
