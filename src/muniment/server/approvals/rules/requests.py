"""What a request freezes, and what of it is not so any more.

1. Frozen is all that reviewers see: the version's digests, its asset's risk tier, the policy in force,
   the class of the change, who asks, and every piece of evidence that somebody added. What the
   registry's own jobs add (scans, vulnerability matches) is judged anew each time instead. Of a
   composite: its manifest, all of that for each member, and its own evidence.
2. While a request is open, any difference makes it void: nobody can sign it, and it says what changed.
3. Once it is decided, later evidence and a later policy are judged by the rules as they are then; any
   other difference ends the approval.

Source: design §6 (promote); requirements §1.1 J, §0 (5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from muniment.core.errors import BadBody
from muniment.server.approvals.records import Changed, Place, Request, Wanted
from muniment.server.approvals.rules.matters import Matter
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.evidence.records import Evidence
from muniment.server.ledger.records import Actor

SCHEMA: Final = "muniment.approval-request.v1"
COMPOSITE_SCHEMA: Final = "muniment.composite-approval-request.v1"
_TEXT_MAX_CHARS: Final = 2000
_REFERENCE_MAX_CHARS: Final = 300
#: What the rules judge anew once a request is decided.
_JUDGED: Final = frozenset({"evidence", "policy_sha256", "version"})


def frozen(
    matter: Matter,
    *,
    wanted: Wanted,
    requester: Actor,
    place: Place,
    policy_digest: str,
    evidence: Mapping[str, Iterable[Evidence]],
) -> dict[str, Any]:
    """Return the document reviewers are shown, in which all that can change is fixed.

    `evidence` is that of each version by its id, and of a composite by its CVI.
    """
    of = _version(matter) if matter.composite is None else _composite(matter, matter.composite)
    return {
        **of,
        "environment": place.name,
        "change_class": wanted.change_class.value,
        "requester": requester.id,
        "reason": wanted.reason,
        "reference": wanted.reference,
        "re_conformity_reference": wanted.re_conformity,
        "policy_sha256": policy_digest.removeprefix("sha256:"),
        "evidence": _evidence_of(matter, evidence),
    }


def _version(matter: Matter) -> dict[str, Any]:
    version, asset = matter.version, matter.asset
    return {
        "schema": SCHEMA,
        "asset": {"id": str(asset.id), "kind": asset.kind.value},
        "risk_tier": _tier(asset),
        "version": _digests(version),
    }


def _composite(matter: Matter, composite: Composite) -> dict[str, Any]:
    return {
        "schema": COMPOSITE_SCHEMA,
        "composite": {
            "cvi": composite.cvi,
            "namespace": composite.namespace,
            "registered_by": composite.actor.id,
        },
        "manifest": dict(composite.manifest),
        "members": [
            {
                **_digests(version),
                "asset_id": str(asset.id),
                "kind": asset.kind.value,
                "risk_tier": _tier(asset),
            }
            for version, asset in matter.members
        ],
    }


def _digests(version: Version) -> dict[str, Any]:
    return {
        "id": str(version.id),
        "ref": version.name,
        "number": version.number,
        "manifest_sha256": version.manifest_digest.hex,
        "metadata_sha256": version.metadata_digest.hex,
    }


def _tier(asset: Asset) -> str | None:
    tier = asset.state.risk_tier
    return None if tier is None else tier.value


def _evidence_of(
    matter: Matter, evidence: Mapping[str, Iterable[Evidence]]
) -> list[dict[str, Any]]:
    """Return what people added: a composite's own first, then its members', each with whose it is."""
    alone = matter.composite is None
    names = {str(version.id): version.name for version, _ in matter.members}
    own = {} if matter.composite is None else {matter.composite.cvi: matter.composite.cvi}
    return [
        {"id": str(one.id), "kind": one.kind.value, "sha256": one.digest.hex}
        | ({} if alone else {"of": name})
        for key, name in {**own, **names}.items()
        for one in sorted(evidence.get(key, ()), key=lambda one: one.id)
        if one.actor.kind != "system"
    ]


def changed(
    before: Mapping[str, Any], now: Mapping[str, Any], *, decided: bool
) -> tuple[Changed, ...]:
    """Return what of a frozen document is not so any more, and matters."""
    found: list[Changed] = []
    for name in sorted(before.keys() | now.keys()):
        was, found_now = before.get(name), now.get(name)
        if was == found_now or (decided and name in _JUDGED):
            continue
        if name == "evidence":
            found.append(_evidence(was, found_now))
        elif name == "members":
            found += _members(was or (), found_now or (), decided=decided)
        else:
            found.append(Changed(name, was, found_now))
    return tuple(found)


def _members(was: Any, now: Any, *, decided: bool) -> Iterator[Changed]:
    """Return what differs of each member. What it is called is judged anew, as a version's name is."""
    before = {one["id"]: one for one in was}
    after = {one["id"]: one for one in now}
    for key in {**before, **after}:
        one, other = before.get(key, {}), after.get(key, {})
        ref = other.get("ref") or one.get("ref")
        if not one or not other:
            yield Changed(f"member {ref}", one.get("ref"), other.get("ref"))
            continue
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name) and not (decided and name == "ref"):
                yield Changed(f"{name} of {ref}", one.get(name), other.get(name))


def _evidence(was: Any, now: Any) -> Changed:
    """Return only the evidence that is on one side."""
    only_was = [one for one in was or () if one not in (now or ())]
    only_now = [one for one in now or () if one not in (was or ())]
    return Changed("evidence", only_was, only_now)


def in_words(changes: Iterable[Changed]) -> str:
    """Say what changed."""
    said = []
    for one in changes:
        if one.what == "evidence":
            kinds = ", ".join(each["kind"] for each in one.now or one.was)
            said.append(f"evidence was {'added' if one.now else 'taken away'} ({kinds})")
        elif one.what == "policy_sha256":
            said.append("another policy is in force")
        else:
            said.append(f"`{one.what}` was {_short(one.was)} and is {_short(one.now)}")
    return "; ".join(said)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 -- a line


def same(request: Request, wanted: Wanted) -> bool:
    """Say whether an open request asks for just what is wanted."""
    return (
        request.environment,
        request.change_class,
        request.reason,
        request.reference,
        request.re_conformity,
    ) == (
        wanted.environment,
        wanted.change_class,
        wanted.reason,
        wanted.reference,
        wanted.re_conformity,
    )


def check_texts(**texts: str) -> None:
    """Go on only if these can be kept and shown; `reference` and `re_conformity` are one line.

    Raises:
        BadBody: they cannot; `problems` has all.
    """
    problems = [
        {"field": name, "message": wrong}
        for name, text in texts.items()
        for wrong in [_wrong(name, text)]
        if wrong
    ]
    if problems:
        first = problems[0]
        raise BadBody(f"`{first['field']}`: {first['message']}", problems=problems)


def _wrong(name: str, text: str) -> str:
    most = _REFERENCE_MAX_CHARS if name in {"reference", "re_conformity"} else _TEXT_MAX_CHARS
    if len(text) > most:
        return f"expected at most {most} characters, found {len(text)}"
    if any(not char.isprintable() and char not in "\n\t" for char in text):
        return "expected text without control characters"
    if most == _REFERENCE_MAX_CHARS and "\n" in text:
        return "expected one line"
    return ""


def check_due(**texts: str) -> None:
    """Go on only if each of these says something.

    Raises:
        BadBody: one is empty; `problems` has all.
    """
    problems = [
        {"field": name, "message": "is needed", "fix": f"send `{name}`"}
        for name, text in texts.items()
        if not text.strip()
    ]
    if problems:
        raise BadBody(f"`{problems[0]['field']}` is needed", problems=problems)
