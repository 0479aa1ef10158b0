"""One input document for a composite, from one for each of its members: the worst of each fact.

What fails for a member fails for the composite; nothing of one member makes up for another.

1. What any member does not have, the composite does not have: rules that need it fail.
2. Of what is a state, the worst counts; of what is wrong, all of it; of what is granted, what all have.
3. An SBOM, and provenance, is of the composite if each member's is of that member's own files and all
   that is asked of one holds for all. Else the first that is of other files is shown.
4. Authors are those of every member, and who registered the composite.
5. Evaluations and gates are the composite's own: what would run has to be tested as it would run.
6. `kind` is the lead's, the first member's. A rule that is for one kind alone is asked of that.

Source: requirements §0.5, §1.5, §1.11 (EVAL-003); R-102, R-149.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import BadComposite
from muniment.server.approvals.rules import evaluations
from muniment.server.approvals.rules.facts import overlaid

Document = Mapping[str, Any]
#: From the worst to the best: retired is for good, deprecated on its way out.
_LIFECYCLES: Final = ("retired", "deprecated", "draft", "candidate", "approved")
#: From the strictest: what may not be at all; what nobody classed, which is judged as high; the others.
_TIERS: Final = ("unacceptable", None, "high", "limited", "minimal")
_GRAVITY: Final = ("critical", "unknown", "high", "medium", "low", "none")
_FINDINGS_MAX, _OPEN_MAX = 1000, 10_000
_USES_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is a composite's own, not its members'.

    `root` is what its CVI stands for, 64 hexadecimal digits; `components` those evaluations depend on;
    `tested` its own evaluations and gates, oldest first.
    """

    cvi: str
    root: str
    system: str
    components: Mapping[str, str]
    registrants: Sequence[str]
    tested: evaluations.Known = ()


def document(whole: Whole, members: Sequence[Document], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input document of a composite; `members` are those of its members, the lead first.

    All of them are about the same step, moment and environment, with nothing put over them. `extra` is
    put over the composite's, as over a version's.

    Raises:
        BadComposite: members prohibit more uses than can be told.
    """
    first = members[0]
    check_uses(whole.cvi, (one["asset"].get("prohibited_uses", ()) for one in members))
    known: dict[str, Any] = {
        "subject": _subject(whole, members),
        "asset": _asset(whole, members),
        "sbom": _sbom(whole, members),
        "provenance": _provenance(whole, members),
        "scan": _of_all("scan", members, _scan),
        "vulnerabilities": _of_all("vulnerabilities", members, _vulnerabilities),
        "evaluation": evaluations.evaluation(whole.tested),
        "gates": evaluations.gates(whole.tested),
        "documentation": _of_all("documentation", members, _documentation),
    }
    found = {name: first[name] for name in ("schema", "step", "at", "environment") if name in first}
    found |= {name: value for name, value in known.items() if value is not None}
    return overlaid(found, extra)


def strictest(tiers: Iterable[str | None]) -> str | None:
    """Return the strictest of some risk tiers: `unacceptable`, none at all, high, limited, minimal."""
    return min(tiers, key=_TIERS.index)


def check_uses(cvi: str, prohibited: Iterable[Iterable[str]]) -> None:
    """Go on only if all that members prohibit can be told: what is left out would be allowed.

    Raises:
        BadComposite: it is too much.
    """
    count = len(_union(prohibited))
    if count > _USES_MAX:
        raise BadComposite(
            f"the versions that {cvi} pins prohibit {count} uses together: at most {_USES_MAX} are judged;"
            " pin fewer, or register versions whose `prohibited_use_cases` are fewer"
        )


def _subject(whole: Whole, members: Sequence[Document]) -> dict[str, Any]:
    subjects = [one["subject"] for one in members]
    lifecycle = min((one["lifecycle"] for one in subjects), key=_LIFECYCLES.index)
    found = {
        "ref": whole.cvi,
        "kind": subjects[0]["kind"],
        "lifecycle": lifecycle,
        "quarantined": any(one.get("quarantined", False) for one in subjects),
        "artifact_sha256": whole.root,
        "components": evaluations.components(whole.components),
        "authors": _union([*(one.get("authors", ()) for one in subjects), whole.registrants]),
    }
    if all("generative" in one for one in subjects):
        found["generative"] = any(one["generative"] for one in subjects)
    return found


def _asset(whole: Whole, members: Sequence[Document]) -> dict[str, Any]:
    assets = [one["asset"] for one in members]
    found: dict[str, Any] = {
        "name": evaluations.name(whole.system),
        "risk_tier": strictest(one.get("risk_tier") for one in assets),
        "allowed_uses": [
            use
            for use in assets[0].get("allowed_uses", ())
            if all(use in one.get("allowed_uses", ()) for one in assets)
        ],
        "prohibited_uses": _union(one.get("prohibited_uses", ()) for one in assets),
    }
    for member in ("owner_active", "backup_owner_active"):
        active = [one.get(member) for one in assets]
        if False in active or None not in active:
            found[member] = False not in active
    since = [one["unowned_since"] for one in assets if "unowned_since" in one]
    return found | ({"unowned_since": min(since)} if since else {})


def _union(lists: Iterable[Iterable[Any]]) -> list[Any]:
    """Return all that is in some lists, each once, in their order."""
    found: dict[Any, Any] = {}
    for one in (each for list_ in lists for each in list_):
        found.setdefault(tuple(sorted(one.items())) if isinstance(one, Mapping) else one, one)
    return list(found.values())


# --- what is about files -------------------------------------------------------------------------


def _sbom(whole: Whole, members: Sequence[Document]) -> dict[str, Any] | None:
    def told(sboms: Sequence[Document]) -> dict[str, Any]:
        lacking = _union(one["missing_elements"] for one in sboms)
        return {"signed": all(one["signed"] for one in sboms), "missing_elements": lacking}

    return _about_files("sbom", whole, members, told)


def _provenance(whole: Whole, members: Sequence[Document]) -> dict[str, Any] | None:
    def told(found: Sequence[Document]) -> dict[str, Any]:
        signers = {one.get("signer") for one in found}
        allowed = {"signer_allowed": all(one["signer_allowed"] for one in found)}
        # Who signed is known where it is one for all: a rule that wants somebody fails for two.
        return allowed | ({"signer": signers.pop()} if len(signers) == 1 and signers != {None} else {})  # fmt: skip

    return _about_files("provenance", whole, members, told)


def _about_files(
    name: str,
    whole: Whole,
    members: Sequence[Document],
    told: Callable[[Sequence[Document]], dict[str, Any]],
) -> dict[str, Any] | None:
    found = [one[name] for one in members if name in one]
    if len(found) < len(members):
        return None
    others = [
        fact["subject_sha256"]
        for fact, one in zip(found, members, strict=True)
        if fact["subject_sha256"] != one["subject"]["artifact_sha256"]
    ]
    if whole.root in others:
        return None  # it would look like the composite's own
    return {"subject_sha256": others[0] if others else whole.root, **told(found)}


# --- the other facts -----------------------------------------------------------------------------


def _of_all(
    name: str, members: Sequence[Document], merged: Callable[[Sequence[Document]], dict[str, Any]]
) -> dict[str, Any] | None:
    """Return a fact of all members, None if one does not have it."""
    found = [one[name] for one in members if name in one]
    return None if len(found) < len(members) else merged(found)


def _scan(scans: Sequence[Document]) -> dict[str, Any]:
    findings = _union(one["findings"] for one in scans)
    return {
        # What is not told of was not read, for who reads this.
        "complete": all(one["complete"] for one in scans) and len(findings) <= _FINDINGS_MAX,
        "executable": any(one["executable"] for one in scans),
        "formats": _union(one.get("formats", ()) for one in scans),
        "findings": findings[:_FINDINGS_MAX],
    }


def _vulnerabilities(known: Sequence[Document]) -> dict[str, Any]:
    uncovered = _union(one.get("uncovered", ()) for one in known)
    found: dict[str, Any] = {
        "snapshot_at": min(one["snapshot_at"] for one in known),
        "open": sorted(_union(one["open"] for one in known), key=_gravest)[:_OPEN_MAX],
    }
    return found | ({"uncovered": uncovered} if uncovered else {})


def _gravest(one: Document) -> tuple[bool, int]:
    return not one.get("exploited", False), _GRAVITY.index(one["severity"])


def _documentation(known: Sequence[Document]) -> dict[str, Any]:
    return {"missing": _union(one["missing"] for one in known)}


# --- exceptions ----------------------------------------------------------------------------------


def waived_for_all(members: Sequence[Sequence[Document]], at: int) -> list[dict[str, Any]]:
    """Return the exceptions of a composite at `at`, from those of each of its members.

    A rule is waived for a composite if an exception to it holds for every member: from when the last of
    them began until the first of them ends.
    """
    rules = _union([one["rule"] for one in told] for told in members)
    return [
        {
            "rule": rule,
            "from": max(one["from"] for one in found),
            "until": min(one["until"] for one in found),
            "signature_valid": True,
            "reason": evaluations.text("; ".join(_union([one["reason"] for one in found]))),
        }
        for rule in rules
        for found in [_held_by_all(rule, members, at)]
        if found
    ]


def _held_by_all(rule: str, members: Sequence[Sequence[Document]], at: int) -> list[Document]:
    """Return an exception of each member that holds, nothing if one has none."""
    found = [one for told in members if (one := _longest(rule, told, at)) is not None]
    return found if len(found) == len(members) else []


def _longest(rule: str, told: Sequence[Document], at: int) -> Document | None:
    holding = [
        one
        for one in told
        if one["rule"] == rule and one["signature_valid"] and one["from"] <= at < one["until"]
    ]
    return max(holding, key=lambda one: one["until"], default=None)
