"""The registry's own rules of new consumers, beside what the policy in force says at `bind`.

They have the ids of the rules of promotions that say the same, so those that hold always do here too.

Source: requirements §1.3, §1.11 (USE-001); R-127 to R-129; Regulation (EU) 2024/1689, Article 5.
"""

from __future__ import annotations

from typing import Final

from muniment.server.catalog.records import Lifecycle, RiskTier
from muniment.server.lifecycle import Rule, Said
from muniment.server.policy.records import Lacks, Outcome, RuleClass
from muniment.server.serving.records import Facts


def _passed(message: str) -> Said:
    return Said(Outcome.PASSED, message)


def _failed(message: str, remedy: str) -> Said:
    return Said(Outcome.FAILED, message, remedy, Lacks.NOTHING)


def _other(facts: Facts) -> str:
    return facts.replacement or "a version that is not"


def _not_retired(facts: Facts) -> Said:
    if facts.lifecycle != Lifecycle.RETIRED:
        return _passed("it is not retired")
    return _failed(f"{facts.ref} is retired: it is not handed out", f"use {_other(facts)}")


def _not_quarantined(facts: Facts) -> Said:
    if not facts.quarantined:
        return _passed("it is not quarantined")
    remedy = f"use another version until then; `muniment release {facts.ref} --reason …`"
    return _failed(f"{facts.ref} is quarantined: it is not handed out", remedy)


def _not_deprecated(facts: Facts) -> Said:
    if facts.lifecycle != Lifecycle.DEPRECATED:
        return _passed("it is not deprecated")
    message = f"{facts.ref} is deprecated: existing use goes on, new use does not begin"
    remedy = f"use {_other(facts)}; or `muniment reinstate {facts.ref} --reason …`"
    return _failed(message, remedy)


def _tier(facts: Facts) -> Said:
    if facts.risk_tier != RiskTier.UNACCEPTABLE:
        return _passed(f"risk tier: {facts.risk_tier or 'not said'}")
    return _failed(
        "its asset's risk tier is unacceptable: such a system is not put into use",
        "if the tier is wrong, correct it: `muniment asset edit NAME --risk-tier …`",
    )


def _executable_flagged(facts: Facts) -> Said:
    if not facts.executable:
        return Said(Outcome.NOT_APPLICABLE, "loading it runs no code that is in its files")
    return _failed(
        f"loading it may run code that is in its files ({', '.join(facts.formats)})",
        "load it where that does no harm; prefer a format that holds data only",
    )


#: In the order of the answer.
RULES: Final[tuple[Rule[Facts], ...]] = (
    Rule(
        "STATE-001",
        RuleClass.CRITICAL_SAFETY,
        "Retired versions get no consumers",
        "R-129",
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
        "FMT-001",
        RuleClass.ADVISORY,
        "Formats that run code are flagged",
        "R-010, R-095",
        _executable_flagged,
    ),
)
