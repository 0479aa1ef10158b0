"""A bundle in words: its rules as criteria for people, and how two bundles differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from muniment.server.policy.records import Bundle, Rule
from muniment.server.policy.rules import tables

#: What the classes mean to whoever wants something approved.
CLASSES: Final = {
    "critical_safety": "must hold; no exception, from anyone",
    "waivable": "must hold, or a signed exception that ends",
    "advisory": "said, never in the way",
    "automatic": "the registry acts on it by itself",
}


def criteria(bundle: Bundle) -> str:
    """Return the criteria of a bundle in Markdown: the rules, then the quorum if it has that table."""
    lines = [
        "# Approval criteria",
        "",
        f"Rendered from the policy bundle `{bundle.digest}`.",
        "",
        "| Rule | When | What is asked | Class | Source |",
        "|---|---|---|---|---|",
    ]
    for rule in bundle.rules:
        steps = ", ".join(rule.steps)
        cells = (rule.id, steps, rule.title, rule.rule_class.value, rule.source)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    used = sorted({rule.rule_class.value for rule in bundle.rules})
    lines += ["", *(f"- `{name}`: {CLASSES[name]}" for name in used)]
    lines += _quorum(bundle.data.get("quorum"))
    lines += _sign_offs(bundle.data.get("profiles"))
    lines += _review_steps(bundle.data.get("profiles"))
    for rule in bundle.rules:
        lines += _rule(rule)
    return "\n".join(lines) + "\n"


def criteria_json(bundle: Bundle) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "digest": bundle.digest,
        "rules": [rule_json(rule) for rule in bundle.rules],
        "data": bundle.data,
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return what a rule's annotations say."""
    found = dataclasses.asdict(rule)
    found["class"] = found.pop("rule_class").value
    found["steps"] = list(rule.steps)
    found["cases"] = [dataclasses.asdict(one) for one in rule.cases.values()]
    return found


def differences(before: Bundle, after: Bundle) -> list[dict[str, str]]:
    """Return how two bundles differ: `what` (a rule, data, fixtures …), `change`, and `detail`."""
    found = list(_rule_differences(before, after))
    for path in sorted({*before.files, *after.files}):
        if before.files.get(path) == after.files.get(path) or path.startswith("rules/"):
            continue
        detail = ", ".join(_changed(before.data, after.data)) if path == "data.json" else ""
        change = _change(before.files.get(path), after.files.get(path))
        found.append({"what": path, "change": change, "detail": detail})
    return found


def _rule_differences(before: Bundle, after: Bundle) -> list[dict[str, str]]:
    old = {rule.id: rule for rule in before.rules}
    new = {rule.id: rule for rule in after.rules}
    found = []
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            rule = one or other
            assert rule is not None
            found.append({"what": name, "change": _change(one, other), "detail": rule.title})
            continue
        was, now = rule_json(one), rule_json(other)
        changed = [key for key in was if was[key] != now[key]]
        if before.files[one.file] != after.files[other.file] and not changed:
            changed = ["expression"]
        if changed:
            found.append({"what": name, "change": "changed", "detail": ", ".join(changed)})
    return found


def _change(before: object, after: object) -> str:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"


def _changed(before: Any, after: Any, at: str = "") -> list[str]:
    """Return what differs in two values, `profiles.high.approval_days: 90 -> 30`."""
    if before == after:
        return []
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [f"{at}: {_short(before)} -> {_short(after)}"]
    found = []
    for name in sorted({*before, *after}):
        place = f"{at}.{name}" if at else name
        found += _changed(before.get(name), after.get(name), place)
    return found


def _short(value: Any) -> str:
    return "nothing" if value is None else str(value)[:120]


def _quorum(table: Any) -> list[str]:
    """Return the table of who has to approve, if it is one: tier, change class, role, count."""
    if not isinstance(table, Mapping) or not table:
        return []
    lines = ["", "## Who has to approve", "", "| Risk tier | Change | Roles |", "|---|---|---|"]
    for tier, changes in table.items():
        for change, roles in changes.items() if isinstance(changes, Mapping) else ():
            if not isinstance(roles, Mapping):
                continue
            said = ", ".join(f"{count} {role}" for role, count in roles.items())
            lines.append(f"| {_cell(tier)} | {_cell(change)} | {_cell(said)} |")
    return [*lines, "", "Distinct people, none of whom asked for it or made it."]


def _sign_offs(profiles: Any) -> list[str]:
    """Return the table of what roles sign off, if there is anything: tier, role, sign-off."""
    rows = [
        f"| {_cell(tier)} | {_cell(role)} | {_cell(str(sign_off))} |"
        for tier, profile in (profiles.items() if isinstance(profiles, Mapping) else ())
        for role, sign_off in _member(profile, "sign_offs").items()
    ]
    if not rows:
        return []
    head = ["", "## What is signed off", "", "| Risk tier | Role | Sign-off |", "|---|---|---|"]
    return [*head, *rows, "", "Of the roles that have to approve."]


def _review_steps(profiles: Any) -> list[str]:
    """Return the table of the steps of a review, if there are any: tier, step, roles, what is before it."""
    rows = []
    for tier, profile in profiles.items() if isinstance(profiles, Mapping) else ():
        for step in tables.review_steps(profile if isinstance(profile, Mapping) else {}):
            name = f"{step.name} (optional)" if step.optional else step.name
            cells = (tier, name, ", ".join(step.roles), ", ".join(step.after))
            rows.append(f"| {' | '.join(map(_cell, cells))} |")
    if not rows:
        return []
    head = [
        "",
        "## Steps of the review",
        "",
        "| Risk tier | Step | By | After |",
        "|---|---|---|---|",
    ]
    return [*head, *rows, "", "`author` is who asked for it or made it; that counts for no quorum."]


def _member(value: Any, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _rule(rule: Rule) -> list[str]:
    lines = ["", f"## {rule.id}: {rule.title}", ""]
    if rule.description:
        lines += [rule.description.strip(), ""]
    lines += ["| It fails when | What to do |", "|---|---|"]
    lines += [f"| {_cell(one.message)} | {_cell(one.remedy)} |" for one in rule.cases.values()]
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
