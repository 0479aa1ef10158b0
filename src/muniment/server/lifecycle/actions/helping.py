"""What is in the way of an act, and who could help, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.names import AssetRef
from muniment.server import identity, policy
from muniment.server.http.records import Role, Scope
from muniment.server.lifecycle.rules import advice
from muniment.server.lifecycle.rules.checks import RULES, Rule
from muniment.server.policy.records import Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Help:
    """Each rule that is in the way, with the ways to mend that.

    `titles` maps rules to title and source. `people` are names of active people by role.
    """

    unmet: Sequence[advice.Unmet]
    titles: Mapping[str, tuple[str, str]]
    people: Mapping[Role, Sequence[str]]


async def help_with(
    tx: Tx,
    found: Verdict,
    asset: AssetRef,
    *,
    own: Sequence[Rule[Any]] = RULES,
    request_id: str | None = None,
) -> Help:
    """Return what is in the way by a verdict on `asset`, and who could help.

    `own` are the registry's own rules that were asked; `request_id` is of an open request.
    """
    unmet = advice.unmet(found, request_id=request_id)
    roles = {role for one in unmet for way in one.ways for role in way.roles}
    scope = Scope(str(asset.namespace), str(asset.name))
    titles = {rule.id: (rule.title, rule.source) for rule in own}
    if found.policy_digest:
        bundle = await policy.get_bundle(tx, found.policy_digest)
        titles |= {rule.id: (rule.title, rule.source) for rule in bundle.rules}
    people = await identity.people_with(tx, sorted(roles), scope) if roles else {}
    return Help(unmet, titles, people)
