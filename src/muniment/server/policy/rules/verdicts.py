"""From an engine's answers to a verdict. Whatever is not plainly an answer counts as failed.

1. A rule is asked at the steps of its annotations, and does not apply at others.
2. A rule answers `applies`, true or false, and `violations`, each `{"case": …, "args": […]}`; a rule
   with one case may leave `case` out. Text is made here, from the templates of its annotations, so
   that all engines say the same.
3. An exception that holds turns failed into waived, if the class and every case allow it.
4. Failed rules of class `critical_safety` or `waivable` are in the way; others never are.

Source: requirements §1.2 (5), §1.11; R-098, R-099, R-104, R-105.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.errors import BadJson
from muniment.server.policy.records import (
    Bundle,
    Case,
    Decision,
    Fault,
    Lacks,
    Outcome,
    Rule,
    RuleClass,
    RuleResult,
    Verdict,
    Violation,
)
from muniment.server.ports.policy_engine import EngineFailed

_FIELD: Final = re.compile(r"\{([0-9]{1,3})\}")
_MOST_ARGS, _MOST_CHARS, _MOST_VIOLATIONS = 16, 400, 1000
_ANSWER_MEMBERS: Final = frozenset({"case", "args"})
#: Programs that ask on a command line learn from these; the same as for `muniment promote`.
EXIT_ALLOW, EXIT_DENY, EXIT_EVIDENCE, EXIT_APPROVAL = 0, 3, 4, 5
_MEND: Final = "mend the rule, or the engine; until then nothing passes it"


def verdict(
    bundle: Bundle, answers: Mapping[str, Any], document: Mapping[str, Any], input_digest: str
) -> Verdict:
    """Return what the rules said. `answers`: by package, a value or the `EngineFailed` in its place."""
    results = tuple(_result(rule, answers, document) for rule in bundle.rules)
    found = Verdict(Decision.ALLOW, results, bundle.digest, input_digest)
    return Verdict(_decision(found), results, bundle.digest, input_digest)


def exit_code(found: Verdict) -> int:
    """Return 0 if it allows; 5 if only approval lacks, 4 if evidence could change it, else 3."""
    lacking = {one.lacks for one in found.failed}
    if not lacking:
        return EXIT_ALLOW
    if lacking == {Lacks.APPROVAL}:
        return EXIT_APPROVAL
    return EXIT_EVIDENCE if lacking <= {Lacks.APPROVAL, Lacks.EVIDENCE} else EXIT_DENY


def verdict_json(found: Verdict) -> dict[str, Any]:
    """Return a verdict as it is kept and shown: no more than follows from bundle and document."""
    return {
        "schema": "muniment.verdict.v1",
        "decision": found.decision.value,
        "policy_digest": found.policy_digest,
        "input_digest": found.input_digest,
        "results": [_result_json(one) for one in found.results],
    }


def verdict_bytes(found: Verdict) -> bytes:
    """Return a verdict in canonical JSON."""
    return canonical(verdict_json(found))


def _result_json(one: RuleResult) -> dict[str, Any]:
    return {
        "id": one.id,
        "class": one.rule_class.value,
        "outcome": one.outcome.value,
        "message": one.message,
        "remedy": one.remedy,
        "lacks": None if one.lacks is None else one.lacks.value,
        "fault": one.fault,
        "violations": [
            {"case": each.case, "args": list(each.args), "message": each.message}
            for each in one.violations
        ],
    }


def _decision(found: Verdict) -> Decision:
    lacking = {one.lacks for one in found.failed}
    if not lacking:
        return Decision.ALLOW
    return Decision.NEEDS_APPROVAL if lacking == {Lacks.APPROVAL} else Decision.DENY


def _result(rule: Rule, answers: Mapping[str, Any], document: Mapping[str, Any]) -> RuleResult:
    if document.get("step") not in rule.steps:
        return RuleResult(rule.id, rule.rule_class, Outcome.NOT_APPLICABLE, rule.not_applicable)
    answer: Any = answers.get(rule.package)
    fault = _fault(rule, answer)
    if fault is not None:
        return _faulty(rule, *fault)
    if not answer["applies"]:
        return RuleResult(rule.id, rule.rule_class, Outcome.NOT_APPLICABLE, rule.not_applicable)
    if not answer["violations"]:
        return RuleResult(rule.id, rule.rule_class, Outcome.PASSED, rule.passed)
    return _failed(rule, answer["violations"], document)


def _fault(rule: Rule, answer: Any) -> tuple[str, str] | None:
    """Return the code and the words of why an answer does not count; None if it does."""
    if isinstance(answer, EngineFailed):
        return answer.fault, answer.message
    if answer is None:
        return Fault.UNDEFINED, "it gave no answer"
    if not isinstance(answer, dict):
        return Fault.WRONG_SHAPE, "expected an answer with members"
    undefined = [name for name in ("applies", "violations") if name not in answer]
    if undefined:
        return Fault.UNDEFINED, f"`{undefined[0]}` is undefined"
    wrong = _wrong_answer(rule, answer["applies"], answer["violations"])
    return (Fault.WRONG_SHAPE, wrong) if wrong else None


def _wrong_answer(rule: Rule, applies: Any, listed: Any) -> str:
    if not isinstance(applies, bool):
        return "`applies` is neither true nor false"
    if not isinstance(listed, list) or len(listed) > _MOST_VIOLATIONS:
        return f"`violations` is no set of at most {_MOST_VIOLATIONS}"
    wrong = next(filter(None, (_wrong(rule, one) for one in listed)), "")
    return f"a violation {wrong}" if wrong else ""


def _faulty(rule: Rule, fault: str, why: str) -> RuleResult:
    return RuleResult(
        rule.id,
        rule.rule_class,
        Outcome.FAILED,
        f"the rule could not be asked: {_plain(why)}",
        _MEND,
        Lacks.NOTHING,
        (),
        str(fault),
    )


def _wrong(rule: Rule, one: Any) -> str:
    """Return what is wrong with the form of a violation; empty if nothing."""
    if not isinstance(one, dict) or set(one) - _ANSWER_MEMBERS or "args" not in one:
        return 'is not of the form {"case": …, "args": […]}'
    case = _case(rule, one)
    if case is None:
        return "is of a case that the annotations do not have"
    args = one["args"]
    if not isinstance(args, list) or len(args) > _MOST_ARGS or not all(map(_is_plain, args)):
        return "has arguments that are not text, whole numbers or truth values"
    fields = [int(field) for field in _FIELD.findall(case.message + case.remedy)]
    return "has fewer arguments than its text needs" if max(fields, default=-1) >= len(args) else ""


def _is_plain(arg: Any) -> bool:
    if not (arg is None or isinstance(arg, str | int)):
        return False
    try:
        canonical(arg)
    except BadJson:  # a number or a character that no JSON holds
        return False
    return True


def _case(rule: Rule, one: Mapping[str, Any]) -> Case | None:
    name = one.get("case", next(iter(rule.cases)) if len(rule.cases) == 1 else None)
    return rule.cases.get(name) if isinstance(name, str) else None


def _failed(
    rule: Rule, listed: Sequence[Mapping[str, Any]], document: Mapping[str, Any]
) -> RuleResult:
    order = list(rule.cases)
    found = {}
    for one in listed:
        case = _case(rule, one)
        assert case is not None  # `_wrong` saw to it
        found[order.index(case.name), canonical(one["args"])] = (case, one["args"])
    each = [found[key] for key in sorted(found)]
    violations = tuple(
        Violation(case.name, tuple(args), _render(case.message, args)) for case, args in each
    )
    remedies = dict.fromkeys(_render(case.remedy, args) for case, args in each)
    lacking = {case.lacks for case, _ in each}
    lacks = next(one for one in (Lacks.NOTHING, Lacks.EVIDENCE, Lacks.APPROVAL) if one in lacking)
    waived = all(case.waivable for case, _ in each) and _excepted(rule, document)
    return RuleResult(
        rule.id,
        rule.rule_class,
        Outcome.WAIVED if waived else Outcome.FAILED,
        "; ".join(one.message for one in violations),
        "; ".join(remedies),
        lacks,
        violations,
    )


def _excepted(rule: Rule, document: Mapping[str, Any]) -> bool:
    """Return whether an exception to this rule holds at the time of the document."""
    at = document.get("at", 0)
    return any(
        one["rule"] == rule.id and one["signature_valid"] and one["from"] <= at < one["until"]
        for one in document.get("exceptions", ())
    )


def _render(template: str, args: Sequence[Any]) -> str:
    return _FIELD.sub(lambda field: _plain(args[int(field[1])]), template)


def _plain(arg: object) -> str:
    """Return an argument in words, without characters that steer a terminal."""
    if arg is None or isinstance(arg, bool):
        return {None: "nothing", True: "yes", False: "no"}[arg]
    text = str(arg)
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= _MOST_CHARS else shown[: _MOST_CHARS - 1] + "…"


def read_verdict(fields: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `verdict_json` wrote."""
    return Verdict(
        Decision(fields["decision"]),
        tuple(_read_result(one) for one in fields["results"]),
        fields["policy_digest"],
        fields["input_digest"],
    )


def _read_result(one: Mapping[str, Any]) -> RuleResult:
    return RuleResult(
        one["id"],
        RuleClass(one["class"]),
        Outcome(one["outcome"]),
        one["message"],
        one["remedy"],
        None if one["lacks"] is None else Lacks(one["lacks"]),
        tuple(
            Violation(each["case"], tuple(each["args"]), each["message"])
            for each in one["violations"]
        ),
        one["fault"],
    )
