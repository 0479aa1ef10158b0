"""How a namespace is governed: its enforcement mode, and the aliases production resolves.

1. A namespace made through our API enforces, unless whoever may govern it says otherwise.
2. Aliases through which production finds what it runs are a set of the namespace's, compared
   without regard to case. They are not an asset's: whoever owns an asset does not say what
   production resolves.
3. It asks for fields of its own: members of `extra`, due at a step like any other.
4. A change says why.

Source: design §2; R-033, R-223.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.errors import BadBody, BadName
from muniment.core.names import Alias
from muniment.server.catalog.records import (
    GovernedNamespace,
    Kind,
    Lifecycle,
    Mode,
    NamespaceChange,
    NamespaceEvent,
    NamespaceState,
    OwnField,
    RiskTier,
)
from muniment.server.catalog.rules.changes import text_problems
from muniment.server.catalog.rules.required import STEPS
from muniment.server.catalog.rules.versions import parse_json

MODE_DEFAULT: Final = Mode.ENFORCE
#: What production resolves unless a namespace says otherwise. `challenger` sees production's
#: traffic only where somebody says so.
PRODUCTION_ALIASES: Final = ("canary", "champion", "live", "prod", "production", "stable")
PRODUCTION_ALIASES_MAX: Final = 50
REQUIRED_FIELDS_MAX: Final = 50
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def state_of(mode: Mode) -> NamespaceState:
    """Return how a new namespace is governed."""
    return NamespaceState(mode, PRODUCTION_ALIASES)


def resolves(state: NamespaceState, alias: Alias) -> bool:
    """Say whether production finds what it runs through `alias`."""
    return alias.text.lower() in state.production_aliases


def namespace_json(state: NamespaceState) -> dict[str, Any]:
    """Return how a namespace is governed, under the columns' names."""
    return {
        "mode": state.mode.value,
        "production_aliases": list(state.production_aliases),
        "required_fields": [own_field_json(one) for one in state.required_fields],
    }


def own_field_json(one: OwnField) -> dict[str, Any]:
    """Return a field a namespace asks for, as its column and entries have it."""
    return {
        "field": one.field,
        "step": one.step.value,
        "why": one.why,
        "kinds": [kind.value for kind in one.kinds],
        "risk_tiers": [tier.value for tier in one.risk_tiers],
    }


def own_fields(text: str | None) -> tuple[OwnField, ...]:
    """Read the fields a namespace asks for as its column has them; None: there is no namespace yet."""
    return tuple(own_field_from(one) for one in parse_json(text)) if text else ()


def own_field_from(said: Mapping[str, Any]) -> OwnField:
    """Read what `own_field_json` wrote."""
    return OwnField(
        said["field"],
        Lifecycle(said["step"]),
        said["why"],
        tuple(Kind(kind) for kind in said["kinds"]),
        tuple(RiskTier(tier) for tier in said["risk_tiers"]),
    )


def namespace_state_from(fields: Mapping[str, Any]) -> NamespaceState:
    """Read what `namespace_json` wrote; what it left out is as it was before modes were kept."""
    return NamespaceState(
        Mode(fields.get("mode", MODE_DEFAULT)),
        tuple(fields.get("production_aliases", PRODUCTION_ALIASES)),
        tuple(own_field_from(one) for one in fields.get("required_fields", ())),
    )


def changed_state(now: GovernedNamespace, change: NamespaceChange) -> NamespaceState:
    """Return how a namespace is governed after `change`.

    Raises:
        BadBody: it does not say why, or an alias or a field is none; `problems` has all that is wrong.
    """
    problems = list(text_problems("reason", change.reason))
    if not problems and not change.reason.strip():
        problems = [
            {
                "field": "reason",
                "message": "a change of how a namespace is governed says why",
                "fix": "send `reason` (`--reason`)",
            }
        ]
    aliases = now.state.production_aliases
    if change.production_aliases is not None:
        problems += list(_alias_problems(change.production_aliases))
        aliases = tuple(sorted({alias.lower() for alias in change.production_aliases}))
    required = now.state.required_fields
    if change.required_fields is not None:
        problems += list(_required_problems(change.required_fields))
        required = tuple(sorted(change.required_fields, key=lambda one: one.field))
    if problems:
        first = problems[0]
        raise BadBody(f"`{first['field']}`: {first['message']}", problems=problems)
    return NamespaceState(change.mode or now.state.mode, aliases, required)


def _required_problems(given: Sequence[OwnField]) -> Iterator[dict[str, Any]]:
    if len(given) > REQUIRED_FIELDS_MAX:
        message = f"expected at most {REQUIRED_FIELDS_MAX} fields, found {len(given)}"
        yield {"field": "required_fields", "message": message, "fix": "leave some out"}
    times = Counter(one.field for one in given)
    for index, one in enumerate(given):
        at = f"required_fields[{index}]"
        if not _FIELD.fullmatch(one.field):
            message = f"expected small letters, digits and _, at most 63, found {one.field[:80]!a}"
            yield {"field": f"{at}.field", "message": message, "fix": "choose another name"}
        elif times[one.field] > 1:
            message = f"`{one.field}` is asked for {times[one.field]} times"
            yield {"field": f"{at}.field", "message": message, "fix": "ask for it once"}
        if one.step not in STEPS:
            message = f"expected draft, candidate or approved, found {one.step.value}"
            yield {"field": f"{at}.step", "message": message, "fix": "choose one of them"}
        problem = next(iter(text_problems("reason", one.why)), None)
        if problem is not None or not one.why.strip():
            message = "it says why it is due" if problem is None else problem["message"]
            yield {"field": f"{at}.why", "message": message, "fix": "say why it is due"}


def _alias_problems(aliases: Iterable[str]) -> Iterable[dict[str, Any]]:
    given = list(aliases)
    if len(given) > PRODUCTION_ALIASES_MAX:
        message = f"expected at most {PRODUCTION_ALIASES_MAX} aliases, found {len(given)}"
        yield {"field": "production_aliases", "message": message, "fix": "leave some out"}
    for index, alias in enumerate(given):
        try:
            Alias.parse(alias)
        except BadName as error:
            field = f"production_aliases[{index}]"
            yield {"field": field, "message": error.message, "fix": "choose another"}


def state_changes(before: NamespaceState, after: NamespaceState) -> dict[str, tuple[Any, Any]]:
    """Return what differs: field to (before, after)."""
    was, now = namespace_json(before), namespace_json(after)
    return {name: (was[name], now[name]) for name in was if was[name] != now[name]}


def state_before(event: NamespaceEvent) -> NamespaceState:
    """Return how a namespace was governed before a change."""
    was = {name: pair[0] for name, pair in event.changes.items()}
    return namespace_state_from({**namespace_json(event.state), **was})


def namespace_payload(event: NamespaceEvent) -> dict[str, Any]:
    """Return the payload of `namespace.govern`: all that its rows hold."""
    return {
        **namespace_json(event.state),
        "revision": event.revision,
        "reason": event.reason,
        "changes": {name: list(pair) for name, pair in event.changes.items()},
    }
