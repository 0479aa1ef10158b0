"""What to do about each rule that is in the way: who may, and with which command.

1. Commands are those in the remedy, between backticks. A rule of anybody's own bundle has them too.
2. Who may run one follows from the verb that it needs.
3. A role of the quorum that is missing is asked of those who hold it, and so is what a role signs
   off (`muniment approve … --as ROLE`).

Source: requirements §1.1 (R-098, R-100), §3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from muniment.server import identity
from muniment.server.http.records import Role, Verb
from muniment.server.policy.records import RuleResult, Verdict

_COMMAND: Final = re.compile(r"`(muniment [^`]+)`")
_SIGNING: Final = re.compile(r"muniment approve \S+ .*--as ([a-z]+)")
#: The verb behind each command; longer beginnings first.
_VERBS: Final[tuple[tuple[str, Verb], ...]] = (
    ("muniment asset edit", Verb.ANNOTATE),
    ("muniment composite create", Verb.REGISTER),
    ("muniment consumer", Verb.USE),
    ("muniment deployments", Verb.READ),
    ("muniment deprecate", Verb.RETIRE),
    ("muniment evidence", Verb.ATTEST),
    ("muniment promote", Verb.PROMOTE),
    ("muniment register", Verb.REGISTER),
    ("muniment reinstate", Verb.RETIRE),
    ("muniment release", Verb.RELEASE),
    ("muniment request", Verb.REQUEST),
    ("muniment rollback", Verb.STOP),
    ("muniment scan", Verb.REGISTER),
    ("muniment show", Verb.REGISTER),
    ("muniment signer", Verb.ADMINISTER),
    ("muniment trust", Verb.ADMINISTER),
    ("muniment vex", Verb.TRIAGE),
    ("muniment vulndb", Verb.ADMINISTER),
    ("muniment withdraw", Verb.STOP),
)


@dataclass(frozen=True, slots=True)
class Way:
    """Something that helps: a command (empty: none does it alone), and the roles that may."""

    command: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A rule that is in the way, and the ways to mend that."""

    result: RuleResult
    ways: tuple[Way, ...]


def unmet(found: Verdict, *, request_id: str | None = None) -> list[Unmet]:
    """Return every rule that is in the way, with what helps; `request_id` is of an open request."""
    return [
        Unmet(one, tuple(dict.fromkeys(_ways(one, request_id=request_id)))) for one in found.failed
    ]


def _ways(result: RuleResult, *, request_id: str | None) -> Iterator[Way]:
    missing = [role for one in result.violations if (role := _quorum_role(one.case, one.args))]
    if missing and request_id is not None:
        for role in missing:
            name = role.value.removeprefix("approver_")
            yield Way(f"muniment approve {request_id} --as {name}", (role,))
    commands = _COMMAND.findall(result.remedy)
    for command in commands:
        yield Way(command, _roles(command))
    if not commands and not missing:
        yield Way("", _roles("muniment register"))


def _quorum_role(case: str, args: tuple[object, ...]) -> Role | None:
    """The role of which approvals are missing, as the starter bundle says it."""
    named = f"approver_{args[-1]}" if case == "role" and args else ""
    return Role(named) if named in set(Role) else None


def _roles(command: str) -> tuple[Role, ...]:
    signing = _SIGNING.match(command)
    if signing:
        named = f"approver_{signing[1]}"
        return (Role(named),) if named in set(Role) else ()
    for beginning, verb in _VERBS:
        if command.startswith(beginning):
            return identity.roles_with(verb)
    return ()


def by_outcome(found: Verdict) -> Mapping[str, int]:
    """Count the results of a verdict by what they say."""
    counts: dict[str, int] = {}
    for one in found.results:
        counts[one.outcome.value] = counts.get(one.outcome.value, 0) + 1
    return counts
