"""What may be done with a version, as rows and as JSON, and the lifecycle that follows.

1. A version of which nothing was said is a draft. What would make it a candidate or approved is
   evidence and decisions, which are not known here.
2. A retired version is neither found through an alias nor downloaded; nor is a quarantined one.

Source: requirements §1.3; R-124, R-129, R-148.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from muniment.core.errors import NotServed
from muniment.server.catalog.records import Lifecycle, Mark, Standing, Version


def lifecycle_of(mark: Mark | None) -> Lifecycle:
    """Return what a version with this mark may do. Source: requirements §1.3."""
    return Lifecycle.DRAFT if mark is None else Lifecycle(mark.value)


def about_json(standing: Standing) -> dict[str, Any]:
    """Return the words of a standing: reasons, replacement, sunset."""
    return {
        "reason": standing.reason,
        "replacement": standing.replacement,
        "sunset": None if standing.sunset is None else standing.sunset.isoformat(),
        "quarantine_reason": standing.quarantine_reason,
    }


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return all of a standing but its revision and time, as the ledger has it."""
    return {
        "mark": None if standing.mark is None else standing.mark.value,
        "quarantined": standing.quarantined,
        "tombstoned": standing.tombstoned,
        "about": about_json(standing),
    }


def standing_from(fields: dict[str, Any], revision: int, at: dt.datetime | None) -> Standing:
    """Read what `standing_json` wrote."""
    about = fields["about"]
    return Standing(
        mark=None if fields["mark"] is None else Mark(fields["mark"]),
        quarantined=fields["quarantined"],
        tombstoned=fields["tombstoned"],
        reason=about["reason"],
        replacement=about["replacement"],
        sunset=None if about["sunset"] is None else dt.date.fromisoformat(about["sunset"]),
        quarantine_reason=about["quarantine_reason"],
        revision=revision,
        at=at,
    )


def check_served(version: Version) -> None:
    """Go on only if `version` may be found through an alias or a stage, and downloaded.

    Raises:
        NotServed: it is retired or quarantined.
    """
    check_standing(version.name, version.standing)


def check_standing(name: str, standing: Standing) -> None:
    """Go on only if the version called `name` may be handed out.

    Raises:
        NotServed: it is retired or quarantined.
    """
    if standing.mark is Mark.RETIRED:
        raise not_served(name, "retired", standing.reason)
    if standing.quarantined:
        raise not_served(name, "quarantined", standing.quarantine_reason)


def not_served(name: str, how: str, reason: str) -> NotServed:
    """Return the error that says that a version is not handed out any more."""
    why = f" ({reason})" if reason else ""
    then = (
        "its record stays, its bytes are read for an audit only"
        if how == "retired"
        else "it is not handed out until it is released"
    )
    return NotServed(f"{name} is {how}{why}: {then}", extra={"lifecycle": how})
