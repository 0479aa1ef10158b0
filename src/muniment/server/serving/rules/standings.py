"""How a binding stands now: asked anew whenever it is shown.

1. What is retired is not handed out, whatever else is said of it.
2. The rules are asked as if the version were not deprecated or quarantined: what they then do not
   allow is prohibited, although it was allowed when it was bound.
3. Use that the rules allow goes on after a deprecation, until its sunset.
4. A notice is due until somebody acknowledged it after what it says was said last, unless the use
   began later, with that version: whoever bound it knew.

Source: requirements §1.1 (R-127 to R-129, R-137), §2.1 (a use may be prohibited later).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from muniment.server.catalog.records import Lifecycle, Version
from muniment.server.policy.records import Verdict
from muniment.server.serving.records import Binding, Facts, Standing, State, Use


def facts_of(version: Version, tier: str | None, use: Use, excepted: tuple[str, ...] = ()) -> Facts:
    """Return what the registry's own rules may read of a use of `version`."""
    return Facts(
        ref=version.name,
        system=use.system,
        use_case=use.use_case,
        environment=use.environment,
        lifecycle=version.lifecycle.value,
        replacement=version.standing.replacement,
        quarantined=version.standing.quarantined,
        risk_tier=tier,
        executable=version.executable,
        formats=version.formats,
        excepted=excepted,
    )


def facts_json(facts: Facts) -> dict[str, Any]:
    """Return the facts as they are kept with the verdict."""
    found = dataclasses.asdict(facts)
    return found | {name: list(found[name]) for name in ("formats", "excepted")}


def document_of(known: Mapping[str, Any], use: Use) -> dict[str, Any]:
    """Return the input document of a use, from what is known of the version alone."""
    where = {} if use.environment is None else {"environment": use.environment}
    return {**known, **where, "consumer": {"name": use.system, "use": use.use_case}}


def as_existing(version: Version) -> Version:
    """Return `version` as existing use is judged by: as if nothing was said that stops new use (2)."""
    standing = dataclasses.replace(version.standing, mark=None, quarantined=False)
    return dataclasses.replace(version, standing=standing, lifecycle=Lifecycle.DRAFT)


def standing_of(version: Version, verdict: Verdict | None) -> Standing:
    """Return how use of `version` stands; `verdict` is of existing use, None for what is retired."""
    said, quarantined = version.standing, version.standing.quarantined
    beside = (f"{version.name} is quarantined: {said.quarantine_reason}",) if quarantined else ()
    if version.lifecycle is Lifecycle.RETIRED:
        why = f"{version.name} is retired: {said.reason or 'its use ended'}"
        return Standing(State.RETIRED, (why, *beside), quarantined)
    failed = () if verdict is None else verdict.failed
    if failed:
        whys = tuple(f"{one.id}: {one.message}" for one in failed)
        return Standing(State.PROHIBITED, (*whys, *beside), quarantined, tuple(failed))
    if version.lifecycle is Lifecycle.DEPRECATED:
        until = "" if said.sunset is None else f", its use ends on {said.sunset}"
        instead = "" if said.replacement is None else f"; use {said.replacement}"
        because = f": {said.reason}" if said.reason else ""
        why = f"{version.name} is deprecated{until}{because}{instead}"
        return Standing(State.DEPRECATED, (why, *beside), quarantined)
    return Standing(State.ALLOWED, beside, quarantined)


def is_due(
    binding: Binding, uses: object, since: dt.datetime, acknowledged_at: dt.datetime | None
) -> bool:
    """Say whether a current binding's notice is to be acknowledged still (4); `uses` is the version's id."""
    if binding.ended is not None:
        return False
    if acknowledged_at is not None and acknowledged_at >= since:
        return False
    return not (binding.judged_version_id == uses and binding.bound_at >= since)


def refusal_text(ref: str, use: Use, said: list[str]) -> str:
    """Return a refusal in words: what, why, and what to do instead."""
    return f"{use.system} is not bound to {ref} for {use.use_case}: {'; '.join(said)}"
