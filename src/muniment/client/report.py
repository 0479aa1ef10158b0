"""What a verification found, step by step."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from muniment.core.errors import IntegrityError, MunimentError


class Standing(enum.StrEnum):
    """How far one thing can be relied on."""

    VERIFIED = "verified"  # checked here, against bytes and keys
    ASSERTED = "asserted"  # somebody says so; on record, but not checked
    MISSING = "missing"  # not there to be checked
    FAILED = "failed"  # checked, and it does not hold


#: What a verification is about, and the steps that say how it stands.
CLAIMS: Final[Mapping[str, frozenset[int]]] = {
    "bytes": frozenset({3, 4}),
    "signature": frozenset({6}),
    "provenance": frozenset({7}),
    "receipt": frozenset({1, 2}),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: which `step` of the verification, what, and how it stands.

    `error` is what broke, where something did. What is missing and not `required` fails nothing.
    """

    step: int
    what: str
    standing: Standing
    detail: str = ""
    error: MunimentError | None = None
    required: bool = True

    def as_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "step": self.step,
            "what": self.what,
            "standing": str(self.standing),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about `subject`, in the order of the steps."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> list[Finding]:
        """What does not hold, or is missing and was needed."""
        return [
            finding
            for finding in self.findings
            if finding.standing is Standing.FAILED
            or (finding.standing is Standing.MISSING and finding.required)
        ]

    @property
    def standings(self) -> dict[str, Standing]:
        """How bytes, signature, provenance and receipt stand, each in one word.

        Of bytes and receipt it is the worst that was found, of signature and provenance the best:
        one good one is enough, and one that does not hold is too many.
        """
        return {claim: self._standing(claim) for claim in CLAIMS}

    def _standing(self, claim: str) -> Standing:
        found = {finding.standing for finding in self.findings if finding.step in CLAIMS[claim]}
        worst_first = (Standing.FAILED, Standing.MISSING, Standing.ASSERTED, Standing.VERIFIED)
        best_first = (Standing.FAILED, Standing.VERIFIED, Standing.ASSERTED, Standing.MISSING)
        order = best_first if claim in {"signature", "provenance"} else worst_first
        return next((each for each in order if each in found), Standing.MISSING)

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """Return those of `wanted` (`signature`, …) that are not verified, in their order."""
        standings = self.standings
        return [claim for claim in wanted if standings[claim] is not Standing.VERIFIED]

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing that was needed is missing."""
        return not self.failures

    def raise_if_failed(self) -> None:
        """Return if everything holds.

        Raises:
            IntegrityError: the first thing that does not; of its own class where it has one.
        """
        if self.failures:
            first = self.failures[0]
            if isinstance(first.error, IntegrityError):
                raise first.error
            raise IntegrityError(f"step {first.step}, {first.what}: {first.detail}")

    def as_json(self) -> dict[str, object]:
        """Plain JSON values."""
        findings = [finding.as_json() for finding in self.findings]
        standings = {claim: str(standing) for claim, standing in self.standings.items()}
        return {
            "subject": self.subject, "ok": self.ok, "standings": standings, "findings": findings,
        }  # fmt: skip
