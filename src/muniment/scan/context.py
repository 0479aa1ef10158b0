"""What the validators of one file share: its findings so far, what they may still spend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from muniment.scan.catalogue import RULES
from muniment.scan.reader import OutOfBoundsError, Reader
from muniment.scan.records import DEFAULT_LIMITS, Finding, Limits, Place

#: Of how many streams of pickles a second opinion is asked.
PICKLED_KEPT = 100


@dataclass(slots=True)
class Totals:
    """What was spent so far of the limits, for one file and all that is in it.

    `pickled` are the streams of pickles that were met, at most `PICKLED_KEPT` of them.
    """

    inflated_bytes: int = 0
    members: int = 0
    pickles: int = 0
    executable: bool = False
    findings: list[Finding] = field(default_factory=list)
    pickled: list[Reader] = field(default_factory=list)


class StopScan(Exception):
    """What is scanned cannot be read further; its finding is already noted."""


class Context:
    """One file, or a member at some depth in it.

    `scan` scans any content: what is inside of something is given to it again.
    `siblings` are the paths of the other files of the same artifact, None if they are not known.
    """

    def __init__(
        self,
        name: str,
        *,
        limits: Limits = DEFAULT_LIMITS,
        siblings: frozenset[str] | None = None,
        totals: Totals | None = None,
        member: str = "",
        depth: int = 0,
        scan: Callable[[Reader, Context], None],
    ) -> None:
        self.name, self.limits, self.siblings = name, limits, siblings
        self.totals = Totals() if totals is None else totals
        self.member, self.depth = member, depth
        self.scan = scan

    @property
    def findings(self) -> list[Finding]:
        """All findings so far, of the whole file."""
        return self.totals.findings

    def found(self, rule: str, what: str, offset: int | None = None) -> None:
        """Note a finding.

        Raises:
            StopScan: there are as many as one file may have.
        """
        told = RULES[rule]
        place = Place(self.member, offset)
        self.findings.append(Finding(rule, told.severity, place, what, told.why, told.remedy))
        if len(self.findings) >= self.limits.findings:
            raise StopScan

    def stop(self, rule: str, what: str, offset: int | None = None) -> StopScan:
        """Note a finding after which nothing more can be read; raise what is returned."""
        self.found(rule, what, offset)
        return StopScan()

    def into(self, member: str) -> Context:
        """Return the context of something inside.

        Raises:
            StopScan: that would be too deep.
        """
        if self.depth >= self.limits.depth:
            raise self.stop("unscannable.limit", f"more than {self.limits.depth} layers of files")
        path = f"{self.member}!/{member}" if self.member else member
        return Context(
            member,
            limits=self.limits,
            siblings=None,
            totals=self.totals,
            member=path,
            depth=self.depth + 1,
            scan=self.scan,
        )

    def inflated(self, size_bytes: int) -> None:
        """Count bytes that came out of a decompression.

        Raises:
            StopScan: that was more than one file may make.
        """
        self.totals.inflated_bytes += size_bytes
        if self.totals.inflated_bytes > self.limits.inflated_bytes:
            raise self.stop(
                "archive.bomb", f"more than {self.limits.inflated_bytes} bytes unpacked"
            )

    def counted_member(self) -> None:
        """Count a member of an archive.

        Raises:
            StopScan: there are more than one file may have.
        """
        self.totals.members += 1
        if self.totals.members > self.limits.members:
            raise self.stop("archive.bomb", f"more than {self.limits.members} members")

    @contextlib.contextmanager
    def ending(self, rule: str = "unscannable.truncated") -> Iterator[None]:
        """Note what ends the reading of one part, and go on after it.

        What is cut off is a finding of `rule`. At the limit of findings the whole scan ends.
        """
        try:
            yield
        except OutOfBoundsError as error:
            self.found(rule, "it goes on after its end", error.offset)
        except StopScan:
            if len(self.findings) >= self.limits.findings:
                raise
