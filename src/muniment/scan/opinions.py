"""What `picklescan` says of the same pickles: a second opinion, never the decision.

It reads long texts of bytes whole; it is given bytes that only claim their length instead.
"""

from __future__ import annotations

import functools
import io
from importlib import metadata
from typing import Final

from muniment.scan.catalogue import RULES
from muniment.scan.reader import Reader
from muniment.scan.records import FileReport, Finding, Opinion, Place, Severity, verdict_of

TOOL: Final = "picklescan"
_LONG: Final = 1 << 20


@functools.cache
def version() -> str | None:
    """Return the version of `picklescan`; None if it is not installed."""
    try:
        return metadata.version(TOOL)
    except metadata.PackageNotFoundError:
        return None


class _Claimed(bytes):
    """Bytes of which only the length is known."""

    claimed: int

    def __len__(self) -> int:
        return self.claimed


class _Stream(io.RawIOBase):
    """A reader as a file; what is read at once and is long is not really read."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._at = reader, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size_bytes}
        self._at = max(0, start[whence] + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._reader.size_bytes - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _LONG:
            long = _Claimed()
            long.claimed = wanted
            self._at += wanted
            return long
        found = self._reader.read(self._at, wanted)
        self._at += len(found)
        return found

    def readline(self, size: int | None = -1) -> bytes:
        del size
        head = self._reader.read(self._at, _LONG)
        end = head.find(b"\n") + 1 or len(head)
        self._at += end
        return head[:end]


def ask(pickles: list[Reader]) -> Opinion | None:
    """Return what `picklescan` says of `pickles` together; None if there are none, or it is not here."""
    told = version()
    if told is None or not pickles:
        return None
    # Only here: it is not installed everywhere, and slow to load.
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes  # noqa: PLC0415

    named: dict[SafetyLevel, set[str]] = {}
    failed = 0
    for one in pickles:
        result = scan_pickle_bytes(_Stream(one), "pickle")
        failed += bool(result.scan_err) or not result.scanned_files
        for name in result.globals:
            named.setdefault(name.safety, set()).add(f"{name.module}.{name.name}")
    if SafetyLevel.Dangerous in named:
        return Opinion(TOOL, told, "dangerous", _listed(named[SafetyLevel.Dangerous]))
    if failed:
        return Opinion(
            TOOL, told, "failed", f"it could not read {failed} of {len(pickles)} pickles"
        )
    if SafetyLevel.Suspicious in named:
        return Opinion(TOOL, told, "suspicious", _listed(named[SafetyLevel.Suspicious]))
    return Opinion(TOOL, told, "innocuous")


def failed(why: str) -> Opinion | None:
    """Return that the opinion could not be had; None if it would not have been asked."""
    told = version()
    return None if told is None else Opinion(TOOL, told, "failed", why[:200])


def _listed(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:10])[:500]
    return "".join(char if char.isprintable() else "?" for char in shown)


def joined(report: FileReport, opinion: Opinion) -> FileReport:
    """Return `report` with the opinion, and what follows from it.

    That it calls dangerous what we let pass is a finding; that it does not, or could not read what
    we refuse, is a note. That it finds allow-listed names suspicious says only that it does not
    know them.
    """
    ours_bad = any(one.rule.startswith("pickle.") for one in report.findings)
    if opinion.says == "dangerous" and not ours_bad:
        rule = "second-opinion.dangerous"
    elif opinion.says == "failed":
        rule = "second-opinion.failed"
    elif opinion.says == "innocuous" and ours_bad:
        rule = "second-opinion.differs"
    else:
        return _with(report, opinion, ())
    told = RULES[rule]
    what = f"{opinion.tool} {opinion.tool_version}: {opinion.says} {opinion.detail}".strip()
    note = Finding(rule, Severity(told.severity), Place(), what, told.why, told.remedy)
    return _with(report, opinion, (note,))


def _with(report: FileReport, opinion: Opinion, notes: tuple[Finding, ...]) -> FileReport:
    findings = (*report.findings, *notes)
    return FileReport(
        report.format,
        report.executable,
        verdict_of(findings, executable=report.executable),
        findings,
        (*report.opinions, opinion),
    )
