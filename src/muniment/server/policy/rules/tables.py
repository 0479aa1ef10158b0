"""The tables of a bundle that the registry reads too: looked at when the bundle is.

A name that is misspelt there would be a demand that nobody ever meets, or that is never made.

Source: R-118; `docs/guides/policy.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.core.approvals import ROLES, SIGN_OFFS
from muniment.server.policy.records import Problem

_FILE: Final = "data.json"


def problems_of(tables: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the profiles of risk tiers, as far as the registry reads them."""
    profiles = tables.get("profiles")
    for tier, profile in profiles.items() if isinstance(profiles, Mapping) else ():
        if isinstance(profile, Mapping):
            yield from _sign_offs(f"profiles.{tier}.sign_offs", profile.get("sign_offs", {}))


def _sign_offs(at: str, table: Any) -> Iterator[Problem]:
    if not isinstance(table, Mapping):
        yield Problem(_FILE, f"`{at}`: expected the sign-off of each role, found something else")
        return
    for role, sign_off in table.items():
        if role not in ROLES:
            known = f"expected one of {', '.join(ROLES)}"
            yield Problem(_FILE, f"`{at}`: {known}, found the role {role[:80]!a}")
        if sign_off not in SIGN_OFFS:
            known = f"expected one of {', '.join(SIGN_OFFS)}"
            yield Problem(_FILE, f"`{at}.{role[:80]}`: {known}, found {sign_off!a:.80}")
