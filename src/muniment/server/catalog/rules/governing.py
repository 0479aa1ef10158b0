"""How a namespace is governed: its enforcement mode, and the aliases production resolves.

1. A namespace made through our API enforces, unless whoever may govern it says otherwise.
2. Aliases through which production finds what it runs are a set of the namespace's, compared
   without regard to case. They are not an asset's: whoever owns an asset does not say what
   production resolves.
3. A change says why.

Source: design §2; R-033.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from muniment.core.errors import BadBody, BadName
from muniment.core.names import Alias
from muniment.server.catalog.records import (
    GovernedNamespace,
    Mode,
    NamespaceChange,
    NamespaceEvent,
    NamespaceState,
)
from muniment.server.catalog.rules.changes import text_problems

MODE_DEFAULT: Final = Mode.ENFORCE
#: What production resolves unless a namespace says otherwise. `challenger` sees production's
#: traffic only where somebody says so.
PRODUCTION_ALIASES: Final = ("canary", "champion", "live", "prod", "production", "stable")
PRODUCTION_ALIASES_MAX: Final = 50


def state_of(mode: Mode) -> NamespaceState:
    """Return how a new namespace is governed."""
    return NamespaceState(mode, PRODUCTION_ALIASES)


def resolves(state: NamespaceState, alias: Alias) -> bool:
    """Say whether production finds what it runs through `alias`."""
    return alias.text.lower() in state.production_aliases


def namespace_json(state: NamespaceState) -> dict[str, Any]:
    """Return how a namespace is governed, under the columns' names."""
    return {"mode": state.mode.value, "production_aliases": list(state.production_aliases)}


def namespace_state_from(fields: Mapping[str, Any]) -> NamespaceState:
    """Read what `namespace_json` wrote; what it left out is as it was before modes were kept."""
    return NamespaceState(
        Mode(fields.get("mode", MODE_DEFAULT)),
        tuple(fields.get("production_aliases", PRODUCTION_ALIASES)),
    )


def changed_state(now: GovernedNamespace, change: NamespaceChange) -> NamespaceState:
    """Return how a namespace is governed after `change`.

    Raises:
        BadBody: it does not say why, or an alias is none; `problems` has all that is wrong.
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
    if problems:
        first = problems[0]
        raise BadBody(f"`{first['field']}`: {first['message']}", problems=problems)
    return NamespaceState(change.mode or now.state.mode, aliases)


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


def namespace_payload(event: NamespaceEvent) -> dict[str, Any]:
    """Return the payload of `namespace.govern`: all that its rows hold."""
    return {
        **namespace_json(event.state),
        "revision": event.revision,
        "reason": event.reason,
        "changes": {name: list(pair) for name, pair in event.changes.items()},
    }
