"""What may be said of an asset or a version, and what a change of it changes.

1. Text is Unicode without NUL and within its length; an owner is never empty.
2. At most 100 tags; a key has 1 to 250 printable characters, a value of an asset's tag at most 5 000,
   of a version's 100 000, and all of a version's together 500 000.
3. What the registry derives cannot be typed: `*_tested`, `approved_date`, `compliance_status`,
   `aisdp.*`, `muniment.*`.
4. A change says why. One that changes nothing is none.

Source: R-037, R-045, R-051; requirements §1.6.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from muniment.core.errors import BadBody
from muniment.server.catalog.records import Asset, AssetState, RiskTier, VersionState

TAGS_MAX: Final = 100
TAG_KEY_MAX_CHARS: Final = 250
TAG_VALUE_MAX_CHARS: Final = 5000
VERSION_TAG_VALUE_MAX_CHARS: Final = 100_000
VERSION_TAGS_MAX_CHARS: Final = 500_000
#: Longest text by field, in characters.
TEXT_MAX_CHARS: Final[Mapping[str, int]] = {
    "owner": 256,
    "backup_owner": 256,
    "escalation_contact": 256,
    "description": 20_000,
    "reason": 2_000,
}
_DERIVED: Final = frozenset({"approved_date", "compliance_status"})
_DERIVED_PREFIXES: Final = ("aisdp.", "muniment.")

Problem = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a caller wants to hold: new values by field, and new tags; a tag of None is taken off.

    `fields` are those of `AssetState` or `VersionState` but `tags`. `revision`, where given, is
    the one the caller has read.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)
    reason: str = ""
    revision: int | None = None


def text_problems(name: str, text: Any) -> Iterator[Problem]:
    """Yield what is wrong with a text."""
    limit = TEXT_MAX_CHARS[name]
    if not isinstance(text, str):
        yield _problem(name, f"expected text, found {type(text).__name__}", "send text")
    elif len(text) > limit:
        yield _problem(
            name, f"expected at most {limit} characters, found {len(text)}", "shorten it"
        )
    elif not _is_clean(text):
        yield _problem(name, "expected Unicode text without NUL", "leave those characters out")


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _problem(name: str, message: str, fix: str) -> Problem:
    return {"field": name, "message": message, "fix": fix}


def is_derived_tag(key: str) -> bool:
    """Say whether the registry itself computes the tag `key`. Source: R-051, requirements §1.6."""
    folded = key.lower()
    return folded.endswith("_tested") or folded in _DERIVED or folded.startswith(_DERIVED_PREFIXES)


def tag_problems(
    tags: Mapping[str, Any], most_chars: int = TAG_VALUE_MAX_CHARS
) -> Iterator[Problem]:
    """Yield what is wrong with tags whose values have at most `most_chars`.

    A value of None takes one off, which is always allowed.
    """
    for key, value in tags.items():
        name = f"tags.{key[:80]}"
        if not 1 <= len(key) <= TAG_KEY_MAX_CHARS or not key.isprintable():
            message = f"expected a key of 1 to {TAG_KEY_MAX_CHARS} printable characters"
            yield _problem(name, message, "choose another key")
        elif is_derived_tag(key):
            yield _problem(
                name,
                "follows from evidence and decisions; it cannot be typed",
                "record the evidence, or choose another key",
            )
        elif value is not None and not isinstance(value, str):
            yield _problem(name, f"expected text, found {type(value).__name__}", "send text")
        elif value is not None and (len(value) > most_chars or not _is_clean(value)):
            message = f"expected Unicode text of at most {most_chars} characters"
            yield _problem(name, message, "shorten it, or put it into `extra` of the metadata")


def _version_tag_problems(tags: Mapping[str, Any]) -> Iterator[Problem]:
    return tag_problems(tags, VERSION_TAG_VALUE_MAX_CHARS)


def _size_problems(tags: Mapping[str, str]) -> Iterator[Problem]:
    found = sum(len(value) for value in tags.values())
    if found > VERSION_TAGS_MAX_CHARS:
        message = f"expected at most {VERSION_TAGS_MAX_CHARS} characters in all, found {found}"
        yield _problem("tags", message, "put large texts into a file of the version")


def _count_problems(tags: Mapping[str, str]) -> Iterator[Problem]:
    if len(tags) > TAGS_MAX:
        message = f"expected at most {TAGS_MAX} tags, found {len(tags)}"
        yield _problem("tags", message, "take some off")


def check_asset_state(state: AssetState) -> None:
    """Go on only if all of `state` may be said of an asset.

    Raises:
        BadBody: some may not; `problems` has all.
    """
    _refuse(list(_asset_state_problems(state)))


def _asset_state_problems(state: AssetState) -> Iterator[Problem]:
    yield from text_problems("owner", state.owner)
    if not state.owner.strip():
        yield _problem("owner", "somebody must answer for it", "name a person or a team")
    for name in ("backup_owner", "escalation_contact"):
        if getattr(state, name) is not None:
            yield from text_problems(name, getattr(state, name))
    yield from text_problems("description", state.description)
    yield from tag_problems(state.tags)
    yield from _count_problems(state.tags)


def check_version_state(state: VersionState) -> None:
    """Go on only if all of `state` may be said of a version.

    Raises:
        BadBody: some may not; `problems` has all.
    """
    problems = [*text_problems("description", state.description)]
    problems += _version_tag_problems(state.tags)
    _refuse([*problems, *_count_problems(state.tags)] or [*_size_problems(state.tags)])


def _refuse(problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see `problems`)" if problems[1:] else ""
        raise BadBody(f"`{first['field']}`: {first['message']}{more}", problems=problems)


def changed_asset_state(asset: Asset, change: Change) -> AssetState:
    """Return what is said of `asset` after `change`.

    Raises:
        BadBody: that may not be said; `problems` has all that is wrong.
    """
    now = asset.state
    values = {name: getattr(now, name) for name in AssetState.__slots__} | dict(change.fields)
    problems = [*text_problems("reason", change.reason)]
    values["tags"] = changed_tags(now.tags, change.tags)
    if values["risk_tier"] is not None:
        values["risk_tier"] = RiskTier(values["risk_tier"])
    for name in ("backup_owner", "escalation_contact"):
        values[name] = values[name] or None
    state = AssetState(**values)
    problems += [*tag_problems(change.tags), *_asset_state_problems_of(state)]
    _refuse(problems)
    return state


def _asset_state_problems_of(state: AssetState) -> Iterator[Problem]:
    """Everything but the single tags, which were there already or are checked with the change."""
    bare = AssetState(
        owner=state.owner,
        description=state.description,
        backup_owner=state.backup_owner,
        escalation_contact=state.escalation_contact,
    )
    yield from _asset_state_problems(bare)
    yield from _count_problems(state.tags)


def changed_version_state(now: VersionState, change: Change) -> VersionState:
    """Return what is said of a version after `change`.

    Raises:
        BadBody: that may not be said; `problems` has all that is wrong.
    """
    state = VersionState(
        description=change.fields.get("description", now.description),
        tags=changed_tags(now.tags, change.tags),
    )
    problems = [*text_problems("reason", change.reason), *_version_tag_problems(change.tags)]
    problems += text_problems("description", state.description)
    _refuse([*problems, *_count_problems(state.tags)] or [*_size_problems(state.tags)])
    return state


def changed_tags(tags: Mapping[str, str], change: Mapping[str, str | None]) -> dict[str, str]:
    """Return `tags` with `change` applied: a value sets, None takes off."""
    merged = {**tags, **change}
    return {key: value for key, value in sorted(merged.items()) if value is not None}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two states (as JSON), tags one by one: field to (before, after)."""
    changes = {
        name: (before[name], after[name])
        for name in before
        if name != "tags" and before[name] != after[name]
    }
    was, now = before["tags"], after["tags"]
    for key in sorted({*was, *now}):
        if was.get(key) != now.get(key):
            changes[f"tags.{key}"] = (was.get(key), now.get(key))
    return changes


def moment_after(last: dt.datetime | None, at: dt.datetime) -> dt.datetime:
    """Return `at`, or the microsecond after `last` if that is later.

    A request that waited for another's lock began before that one ended, and machines' clocks
    differ; revisions of one thing must still have times in their order, for histories and `as_of`.
    """
    return at if last is None else max(at, last + dt.timedelta(microseconds=1))
