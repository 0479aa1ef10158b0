"""What a verification found, step by step."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from muniment.core.errors import IntegrityError, MunimentError


class Standing(enum.StrEnum):
    """How far one thing can be relied on."""

    VERIFIED = "verified"  # checked here, against bytes and keys
    ASSERTED = "asserted"  # somebody says so; on record, but not checked
    MISSING = "missing"  # not there to be checked
    FAILED = "failed"  # checked, and it does not hold


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: which `step` of the verification, what, and how it stands.

    `error` is what broke, where something did.
    """

    step: int
    what: str
    standing: Standing
    detail: str = ""
    error: MunimentError | None = None

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
        """What does not hold, or is missing."""
        broken = (Standing.FAILED, Standing.MISSING)
        return [finding for finding in self.findings if finding.standing in broken]

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
        return {"subject": self.subject, "ok": self.ok, "findings": findings}
