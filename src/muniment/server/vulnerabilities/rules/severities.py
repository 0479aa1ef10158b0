"""How bad an advisory says it is: from its CVSS vectors, else from its database's own word.

1. The highest score of all vectors of CVSS 4 and 3 counts; where there is none, that of CVSS 2.
2. Without a readable vector, the word the database uses (`MODERATE`) counts, without a score.
3. Without that it is `unknown`. A score of 0.0 is `none`; nothing else is.

Source: CVSS 4.0 §6, 3.1 §5 (rating scale); requirements §1.1 (R-089, R-092).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from muniment.server.vulnerabilities.records import Severity

_MAX_CHARS: Final = 1000
_WORDS: Final = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "IMPORTANT": Severity.HIGH,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "LOW": Severity.LOW,
}
_FLOORS: Final = (
    (9.0, Severity.CRITICAL),
    (7.0, Severity.HIGH),
    (4.0, Severity.MEDIUM),
    (0.1, Severity.LOW),
    (0.0, Severity.NONE),
)


@dataclass(frozen=True, slots=True)
class Rated:
    """A severity, and the score and vector it comes from, where there is one."""

    severity: Severity
    score: float | None = None
    vector: str | None = None


def rate(vectors: Iterable[str], word: str | None) -> Rated:
    """Return how bad vectors and a word say it is."""
    given = [one for one in vectors if len(one) <= _MAX_CHARS]
    for prefixed in (True, False):
        scored = [(_score(one), one) for one in given if one.startswith("CVSS:") is prefixed]
        known = [(score, one) for score, one in scored if score is not None]
        if known:
            score, vector = max(known)
            return Rated(of_score(score), score, vector)
    return Rated(_WORDS.get((word or "").upper(), Severity.UNKNOWN))


def of_score(score: float) -> Severity:
    """Return the severity of a score of 0.0 to 10.0."""
    return next(severity for floor, severity in _FLOORS if score >= floor)


def _score(vector: str) -> float | None:
    kind = CVSS4 if vector.startswith("CVSS:4") else CVSS3
    try:
        found = kind(vector) if vector.startswith("CVSS:") else CVSS2(vector)
        return float(found.base_score)
    except (CVSSError, ValueError, KeyError, TypeError, ArithmeticError):
        return None


def worst(rated: Iterable[Rated]) -> Rated:
    """Return the worst of several records of one vulnerability; one that says nothing adds nothing."""
    order = list(Severity)
    known = [one for one in rated if one.severity is not Severity.UNKNOWN]
    ranked = sorted(known, key=lambda one: (order.index(one.severity), -(one.score or 0.0)))
    return ranked[0] if ranked else Rated(Severity.UNKNOWN)
