"""What the rules say of a promotion: a pure function of facts, one result for each rule.

Later rules (policy bundles, approvals) are more rows of the same shape, given to `verdict` beside
`RULES`. Nothing here is ever called approved: that takes signed decisions.

1. A failed rule of class `critical_safety` or `waivable` denies; `advisory` is said and never in the way.
2. What only lacks approval needs approval; what lacks evidence, or cannot be, is denied.
3. Rules marked `always` hold in every mode of a namespace.

Source: requirements §1.2 (4, 6), §1.11; R-098, R-099, R-104, R-111, R-139, R-140.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import ApprovalPending, EvidenceMissing, Refused
from muniment.server.catalog.records import Lifecycle, RiskTier
from muniment.server.http.records import PrincipalKind
from muniment.server.lifecycle.records import (
    Decision,
    Facts,
    Lacks,
    Outcome,
    Refusal,
    RuleClass,
    RuleResult,
    Stage,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule found, before its id and class are put to it."""

    outcome: Outcome
    message: str
    remedy: str = ""
    lacks: Lacks | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One check. `check` reads facts alone."""

    id: str
    rule_class: RuleClass
    title: str
    source: str
    check: Callable[[Facts], Said]
    always: bool = False


def _passed(message: str) -> Said:
    return Said(Outcome.PASSED, message)


def _not_applicable(why: str) -> Said:
    return Said(Outcome.NOT_APPLICABLE, why)


def _failed(message: str, remedy: str, lacks: Lacks = Lacks.NOTHING) -> Said:
    return Said(Outcome.FAILED, message, remedy, lacks)


def _pipeline(facts: Facts) -> Said:
    if facts.stage != Stage.PRODUCTION:
        return _not_applicable(f"{facts.environment} does not count as production")
    vouched = facts.executor_environments is not None
    if facts.executor_kind == PrincipalKind.WORKLOAD and facts.executor_may and vouched:
        return _passed("a workload identity that may promote here executes it")
    who = f"a {facts.executor_kind}" if facts.executor_kind != PrincipalKind.WORKLOAD else "it"
    if facts.executor_kind == PrincipalKind.WORKLOAD and not vouched:
        who = "a workload whose CI system did not vouch for it (`muniment login --ci`)"
    return _failed(
        f"production is moved by a pipeline: a workload identity that the asset trusts to promote"
        f" there; {who} may not, whatever its roles",
        f"ask for it: `muniment request {facts.ref} --to {facts.environment}`; or let the pipeline"
        f" run `muniment promote {facts.ref} --env {facts.environment}`",
    )


def _permitted(facts: Facts) -> Said:
    if facts.executor_environments is None:
        return _not_applicable("who executes it is not bound to environments")
    if facts.environment in facts.executor_environments:
        return _passed("the pipeline is trusted to promote to this environment")
    trusted = ", ".join(facts.executor_environments) or "none"
    return _failed(
        f"the pipeline is not trusted to promote to {facts.environment} (trusted for: {trusted})",
        f"an administrator permits it: `muniment trust add … --permit promote:{facts.environment}`",
    )


def _registered(facts: Facts) -> Said:
    if facts.leaving or facts.stage == Stage.NONE:
        return _not_applicable("nothing is deployed beyond development")
    if facts.registration_vouched_for:
        return _passed("a pipeline that its CI system vouched for registered these files")
    return _failed(
        "it was registered by hand, so it is a draft: nobody but who registered it says where its"
        " files come from",
        "have a trusted pipeline register the same files as the same version"
        f" (`muniment register` in CI): that is added to {facts.ref}, nothing else changes",
        Lacks.EVIDENCE,
    )


def _not_retired(facts: Facts) -> Said:
    if facts.leaving:
        return _not_applicable("nothing is deployed")
    if facts.lifecycle == Lifecycle.RETIRED:
        return _failed(
            "it is retired, for good", "register its bytes as a new version and promote that"
        )
    return _passed("it is not retired")


def _not_quarantined(facts: Facts) -> Said:
    if facts.leaving:
        return _not_applicable("nothing is deployed")
    if facts.quarantined:
        return _failed(
            "it is quarantined", f"find out why, then `muniment release {facts.ref} --reason …`"
        )
    return _passed("it is not quarantined")


def _not_deprecated(facts: Facts) -> Said:
    if facts.leaving:
        return _not_applicable("nothing is deployed")
    if facts.lifecycle == Lifecycle.DEPRECATED:
        return _failed(
            "it is deprecated: existing use goes on, new use does not begin",
            f"promote what replaces it; or `muniment reinstate {facts.ref} --reason …`",
        )
    return _passed("it is not deprecated")


def _tier(facts: Facts) -> Said:
    if facts.leaving:
        return _not_applicable("nothing is deployed")
    if facts.risk_tier == RiskTier.UNACCEPTABLE:
        return _failed(
            "its asset's risk tier is unacceptable: such a system is not put into use",
            "if the tier is wrong, correct it: `muniment asset edit NAME --risk-tier …`",
        )
    return _passed(f"risk tier: {facts.risk_tier or 'not said'}")


def _executable_allowed(facts: Facts) -> Said:
    if facts.leaving or facts.stage == Stage.NONE:
        return _not_applicable("nothing is deployed beyond development")
    if not facts.executable:
        return _passed("loading it runs no code that is in its files")
    if facts.risk_tier == RiskTier.HIGH:
        return _failed(
            f"its files may run code when they are loaded ({', '.join(facts.formats)}), which a high"
            " risk tier does not allow",
            "register it in a format that holds data only, such as safetensors or ONNX",
        )
    return _passed("its files may run code when they are loaded, which its risk tier allows")


def _executable_flagged(facts: Facts) -> Said:
    if facts.leaving or not facts.executable:
        return _not_applicable("loading it runs no code that is in its files")
    return _failed(
        f"loading it may run code that is in its files ({', '.join(facts.formats)})",
        "prefer a format that holds data only, such as safetensors or ONNX",
    )


def _complete(facts: Facts) -> Said:
    if facts.leaving or facts.stage == Stage.NONE:
        return _not_applicable("nothing is deployed beyond development")
    return _without(facts.gaps, facts, "the metadata due at this step is there")


def _documented(facts: Facts) -> Said:
    if facts.leaving or facts.stage != Stage.PRODUCTION:
        return _not_applicable("nothing is deployed to production")
    return _without(
        facts.documentation_gaps, facts, "model card, intended use and limits are there"
    )


def _without(gaps: Sequence[str], facts: Facts, message: str) -> Said:
    if not gaps:
        return _passed(message)
    return _failed(
        f"due at this step and missing: {', '.join(gaps)}",
        f"`muniment show {facts.ref}` says how to supply each; metadata never changes, so register"
        " a new version with it",
        Lacks.EVIDENCE,
    )


#: What can be said from what is registered; in the order of the answer.
RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "PROM-001",
        RuleClass.CRITICAL_SAFETY,
        "A workload identity executes promotions to production",
        "R-139, R-140",
        _pipeline,
    ),
    Rule(
        "TRUST-001",
        RuleClass.CRITICAL_SAFETY,
        "A pipeline promotes only where the asset trusts it to",
        "R-139, requirements §5.3",
        _permitted,
        always=True,
    ),
    Rule(
        "TRUST-002",
        RuleClass.CRITICAL_SAFETY,
        "A version leaves draft by a registration that a CI system vouched for",
        "R-016, requirements §1.2 (9)",
        _registered,
    ),
    Rule(
        "STATE-001",
        RuleClass.CRITICAL_SAFETY,
        "Retired versions do not serve",
        "R-129, R-148",
        _not_retired,
        always=True,
    ),
    Rule(
        "STATE-002",
        RuleClass.CRITICAL_SAFETY,
        "Quarantined versions are not handed out",
        "R-091",
        _not_quarantined,
        always=True,
    ),
    Rule(
        "STATE-003",
        RuleClass.WAIVABLE,
        "Deprecated versions get no new use",
        "R-127, USE-001",
        _not_deprecated,
    ),
    Rule(
        "RISK-001",
        RuleClass.CRITICAL_SAFETY,
        "What is of unacceptable risk is not put into use",
        "Regulation (EU) 2024/1689, Article 5",
        _tier,
    ),
    Rule(
        "SEC-005",
        RuleClass.CRITICAL_SAFETY,
        "Formats that run code are allowed by risk tier",
        "R-095",
        _executable_allowed,
    ),
    Rule(
        "FMT-001",
        RuleClass.ADVISORY,
        "Formats that run code are flagged",
        "R-010, R-095",
        _executable_flagged,
    ),
    Rule(
        "META-001",
        RuleClass.WAIVABLE,
        "The metadata due at the step is complete",
        "R-018, R-050, R-056",
        _complete,
    ),
    Rule(
        "DOC-001",
        RuleClass.WAIVABLE,
        "Model card, intended use and limitations are complete",
        "R-050, R-057",
        _documented,
    ),
)
#: The fields of documentation, which DOC-001 speaks of.
DOCUMENTATION: Final = frozenset({"model_card", "intended_use", "limitations", "out_of_scope"})


def verdict(facts: Facts, rules: Sequence[Rule] = RULES) -> Verdict:
    """Return what `rules` say of `facts`: the same for the same facts, whenever it is asked."""
    results = tuple(_result(rule, facts) for rule in rules)
    whole = Verdict(Decision.ALLOW, results)
    lacking = {one.lacks for one in whole.failed}
    if not lacking:
        decision = Decision.ALLOW
    elif lacking == {Lacks.APPROVAL}:
        decision = Decision.NEEDS_APPROVAL
    else:
        decision = Decision.DENY
    always = {rule.id for rule in rules if rule.always}
    barred = tuple(one.id for one in whole.failed if one.id in always)
    return Verdict(decision, results, barred)


def _result(rule: Rule, facts: Facts) -> RuleResult:
    said = rule.check(facts)
    return RuleResult(rule.id, rule.rule_class, said.outcome, said.message, said.remedy, said.lacks)


def refusal_class(found: Verdict) -> type[Refused]:
    """Return the error that tells clients of a verdict that does not allow.

    What cannot be by anything that may be supplied comes first, then what evidence could change.
    """
    lacking = {one.lacks for one in found.failed}
    if lacking == {Lacks.APPROVAL}:
        return ApprovalPending
    if lacking <= {Lacks.APPROVAL, Lacks.EVIDENCE}:
        return EvidenceMissing
    return Refused


def words(found: Verdict) -> list[str]:
    """Return what is in the way, a line each, with what to do."""
    return [f"{one.id}: {one.message}; {one.remedy}" for one in found.failed]


def refusal_text(answer: Refusal) -> str:
    """Return a refusal in words: what, why, and what to do instead."""
    why = "; ".join(words(answer.verdict))
    return f"{answer.version.name} is not promoted to {answer.environment}: {why}"


def facts_json(facts: Facts) -> dict[str, Any]:
    """Return the facts as they are kept with the verdict."""
    found = dataclasses.asdict(facts)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in found.items()
    }


def facts_from(fields: Mapping[str, Any]) -> Facts:
    """Read what `facts_json` wrote."""
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Facts(**{**fields, **lists})


def verdict_json(found: Verdict) -> dict[str, Any]:
    """Return the verdict as it is kept and shown."""
    return {
        "decision": found.decision.value,
        "results": [
            {
                "id": one.id,
                "class": one.rule_class.value,
                "outcome": one.outcome.value,
                "message": one.message,
                "remedy": one.remedy,
                "lacks": None if one.lacks is None else one.lacks.value,
            }
            for one in found.results
        ],
    }
