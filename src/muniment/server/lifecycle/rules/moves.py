"""Which moves a version's standing has, and where each leads.

    draft, candidate ──deprecate──▶ deprecated ──retire──▶ retired ──▶ nowhere
           ▲  └───────────────────────retire────────────────▲
           └──────────reinstate────────┘

1. A deprecation says why, or what replaces it, and when it ends (`sunset`). It can be taken back
   (*reinstate*) while the version is not retired: what it was before it is again.
2. Retiring says why, unless a deprecation did. Nothing that is deployed or approved is retired.
3. Quarantine stands beside all of this and stops at once; releasing says why.
4. A tombstone is a retirement that MLflow's API asked for by deleting: the version is hidden there.
5. A move that leads where the version stands already is none.

Source: requirements §1.3; R-127, R-129, R-135, R-138.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection
from typing import Final

from muniment.core.errors import BadBody, LifecycleConflict
from muniment.server.catalog.records import Lifecycle, Mark, Standing, Version

#: How long a deprecated version is kept in use where nobody says.
SUNSET_DEFAULT: Final = dt.timedelta(days=90)


def _why(reason: str, what: str) -> None:
    if not reason.strip():
        message = f"{what} says why"
        fix = "send `reason` (`--reason`)"
        problem = {"field": "reason", "message": message, "fix": fix}
        raise BadBody(f"`reason`: {message}", problems=[problem])


def deprecate(
    version: Version,
    *,
    reason: str,
    replacement: str | None,
    sunset: dt.date | None,
    today: dt.date,
) -> Standing:
    """Return the standing of `version` once it is deprecated.

    Raises:
        LifecycleConflict: it is retired.
        BadBody: neither reason nor replacement is given, or the sunset is past.
    """
    _check_not_retired(version, "deprecated")
    if replacement is None:
        _why(reason, "a deprecation without a replacement")
    if sunset is not None and sunset < today:
        message = f"expected a day from {today} on, found {sunset}"
        problem = {"field": "sunset", "message": message, "fix": "choose a later day"}
        raise BadBody(f"`sunset`: {message}", problems=[problem])
    now = version.standing
    return dataclasses.replace(
        now,
        mark=Mark.DEPRECATED,
        reason=reason,
        replacement=replacement,
        sunset=sunset or (now.sunset if now.mark else None) or today + SUNSET_DEFAULT,
    )


def reinstate(version: Version, *, reason: str) -> Standing:
    """Return the standing of `version` once its deprecation is taken back.

    Raises:
        LifecycleConflict: it is retired.
        BadBody: there is no reason given.
    """
    _check_not_retired(version, "reinstated")
    _why(reason, "taking a deprecation back")
    return dataclasses.replace(
        version.standing, mark=None, reason="", replacement=None, sunset=None
    )


def retire(version: Version, *, reason: str, live: Collection[str]) -> Standing:
    """Return the standing of `version` once it is retired. `live`: environments it is in.

    Raises:
        LifecycleConflict: it is deployed or approved.
        BadBody: no reason is given, here or by its deprecation.
    """
    now = version.standing
    if version.lifecycle is Lifecycle.RETIRED:
        return now
    _check_idle(version, live)
    if now.mark is not Mark.DEPRECATED:
        _why(reason, "retiring what was not deprecated")
    return dataclasses.replace(now, mark=Mark.RETIRED, reason=reason or now.reason)


def tombstone(version: Version, *, reason: str, live: Collection[str]) -> Standing:
    """Return the standing of `version` once MLflow's API deleted it.

    Raises:
        LifecycleConflict: it is deployed or approved.
    """
    return dataclasses.replace(retire(version, reason=reason, live=live), tombstoned=True)


def quarantine(version: Version, *, reason: str) -> Standing:
    """Return the standing of `version` once it is quarantined.

    Raises:
        LifecycleConflict: it is retired, so it is not handed out anyway.
        BadBody: no reason is given.
    """
    _check_not_retired(version, "quarantined")
    _why(reason, "a quarantine")
    return dataclasses.replace(version.standing, quarantined=True, quarantine_reason=reason)


def release(version: Version, *, reason: str) -> Standing:
    """Return the standing of `version` once its quarantine has ended.

    Raises:
        BadBody: no reason is given.
    """
    _why(reason, "a release")
    return dataclasses.replace(version.standing, quarantined=False, quarantine_reason="")


def would_be(version: Version, standing: Standing) -> Version:
    """Return `version` as it would be with that standing."""
    mark = standing.mark
    lifecycle = version.lifecycle if mark is None else Lifecycle(mark.value)
    return dataclasses.replace(version, standing=standing, lifecycle=lifecycle)


def same(one: Standing, other: Standing) -> bool:
    """Say whether two standings say the same, whenever they were said."""
    return dataclasses.replace(one, revision=0, at=None) == dataclasses.replace(
        other, revision=0, at=None
    )


def _check_not_retired(version: Version, verb: str) -> None:
    if version.lifecycle is Lifecycle.RETIRED:
        raise LifecycleConflict(
            f"{version.name} is retired, for good, and cannot be {verb}: to use its bytes again,"
            " register them as a new version"
        )


def _check_idle(version: Version, live: Collection[str]) -> None:
    if live:
        places = ", ".join(sorted(live))
        raise LifecycleConflict(
            f"{version.name} is deployed in {places}: promote another version there, or take it out"
            f" (`muniment withdraw {version.name} --env {min(live)} --reason …`)"
        )
    if version.lifecycle is Lifecycle.APPROVED:
        raise LifecycleConflict(
            f"{version.name} is approved: deprecate it first (`muniment deprecate {version.name} …`)"
        )
