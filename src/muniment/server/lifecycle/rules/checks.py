"""The registry's own rules of promotions: what each reads of the facts, and says.

Source: requirements §1.2 (4, 6), §1.11; R-098, R-099, R-139, R-140.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from muniment.server.catalog.records import Lifecycle, RiskTier
from muniment.server.http.records import PrincipalKind
from muniment.server.lifecycle.records import Facts, Stage
from muniment.server.policy.records import Lacks, Outcome, RuleClass


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule found, before its id and class are put to it."""

    outcome: Outcome
    message: str
    remedy: str = ""
    lacks: Lacks | None = None


F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Rule(Generic[F]):
    """One check. `check` reads facts alone."""

    id: str
    rule_class: RuleClass
    title: str
    source: str
    check: Callable[[F], Said]
    always: bool = False


def _passed(message: str) -> Said:
    return Said(Outcome.PASSED, message)


def _not_applicable(why: str) -> Said:
    return Said(Outcome.NOT_APPLICABLE, why)


def _failed(message: str, remedy: str, lacks: Lacks = Lacks.NOTHING) -> Said:
    return Said(Outcome.FAILED, message, remedy, lacks)


def _new_beyond_development(facts: Facts) -> bool:
    return not (facts.leaving or facts.going_back or facts.stage == Stage.NONE)


def _way_back(facts: Facts) -> Said:
    if not facts.going_back or facts.stage != Stage.PRODUCTION:
        return _not_applicable("production does not go back")
    if facts.approved:
        return _passed("what production goes back to is approved now")
    return _failed(
        "what production would go back to is not approved now",
        "go back to one that is (`--to`); or take out what is there:"
        f" `muniment withdraw {'CVI' if facts.composite else 'VERSION'} --env {facts.environment} --reason …`",
        Lacks.APPROVAL,
    )


def _whole(facts: Facts) -> Said:
    if facts.leaving or facts.stage != Stage.PRODUCTION:
        return _not_applicable("nothing is deployed to production")
    if facts.composite is not None:
        return _passed("it is deployed whole, as a composite")
    if not facts.part_of:
        return _passed("production has no composite that its asset is part of")
    parts = ", ".join(facts.part_of)
    return _failed(
        f"its asset is part of the composite {parts}, which production has and which was approved whole:"
        f" a version alone does not take the place of {facts.part_of[0]}'s",
        f"promote a composite that has {facts.ref} in it (`muniment composite create SYSTEM --pin"
        f" {facts.ref} …`, then `muniment promote CVI --env {facts.environment}`); or go back whole:"
        f" `muniment rollback {facts.ref.rpartition('@')[0]} --env {facts.environment} --reason …`; or"
        f" take it out first: `muniment withdraw CVI --env {facts.environment} --reason …`",
    )


def _sharing(facts: Facts) -> Said:
    if facts.composite is None or facts.stage != Stage.PRODUCTION:
        return _not_applicable("no composite is deployed to production")
    if not facts.shared_with:
        return _passed("it takes no version from another system's composite")
    return _failed(
        f"it takes the place of another version of its asset, which {', '.join(facts.shared_with)} was"
        " approved with: that composite is another system's, and finds this version from now on",
        "give each system an asset of its own; or promote a composite of that system with this version",
    )


def _conditions(facts: Facts) -> Said:
    if not _new_beyond_development(facts) or facts.stage != Stage.PRODUCTION:
        return _not_applicable("nothing new is deployed to production")
    if not facts.overdue:
        return _passed("no condition of its approval is overdue")
    return _failed(
        f"conditions of its approval are overdue: {'; '.join(facts.overdue)}",
        "do what was promised and have it recorded; or ask for approval anew:"
        f" `muniment request {facts.asked} --to {facts.environment}`",
        Lacks.APPROVAL,
    )


def _pipeline(facts: Facts) -> Said:
    if facts.going_back:
        return _not_applicable("whoever may stop a version may go back")
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
        f"ask for it: `muniment request {facts.asked} --to {facts.environment}`; or let the pipeline"
        f" run `muniment promote {facts.asked} --env {facts.environment}`",
    )


def _permitted(facts: Facts) -> Said:
    if facts.executor_environments is None or facts.going_back:
        return _not_applicable("who executes it is not bound to environments")
    if facts.environment in facts.executor_environments:
        return _passed("the pipeline is trusted to promote to this environment")
    trusted = ", ".join(facts.executor_environments) or "none"
    return _failed(
        f"the pipeline is not trusted to promote to {facts.environment} (trusted for: {trusted})",
        f"an administrator permits it: `muniment trust add … --permit promote:{facts.environment}`",
    )


def _registered(facts: Facts) -> Said:
    if not _new_beyond_development(facts):
        return _not_applicable("nothing new is deployed beyond development")
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
    if not _new_beyond_development(facts):
        return _not_applicable("nothing new is deployed beyond development")
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
    if not _new_beyond_development(facts):
        return _not_applicable("nothing new is deployed beyond development")
    return _without(facts.gaps, facts, "the metadata due at this step is there")


def _documented(facts: Facts) -> Said:
    if not _new_beyond_development(facts) or facts.stage != Stage.PRODUCTION:
        return _not_applicable("nothing new is deployed to production")
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
RULES: Final[tuple[Rule[Facts], ...]] = (
    Rule(
        "PROM-001",
        RuleClass.CRITICAL_SAFETY,
        "A workload identity executes promotions to production",
        "R-139, R-140",
        _pipeline,
    ),
    Rule(
        "BACK-001",
        RuleClass.CRITICAL_SAFETY,
        "Production goes back only to what is approved now",
        "R-146, R-149",
        _way_back,
    ),
    Rule(
        "COMP-001",
        RuleClass.CRITICAL_SAFETY,
        "What runs as a composite is moved whole",
        "R-102, R-149, requirements §1.5",
        _whole,
    ),
    Rule(
        "COMP-002",
        RuleClass.ADVISORY,
        "What one composite has is not replaced by another system's",
        "R-149, requirements §1.5",
        _sharing,
    ),
    Rule(
        "APPR-003",
        RuleClass.CRITICAL_SAFETY,
        "Conditions of an approval are met by their day",
        "R-117",
        _conditions,
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


ALWAYS: Final = frozenset(rule.id for rule in RULES if rule.always)
