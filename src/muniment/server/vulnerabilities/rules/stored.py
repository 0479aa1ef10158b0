"""What was read from a record, as it is stored and digested."""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from muniment.core.digest import Digest, digest_of
from muniment.server.vulnerabilities.records import Advisory, Entry, Exploited, Severity


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    summary: str = ""
    modified: dt.datetime
    severity: Severity
    score: float | None = None
    vector: str | None = None
    entries: tuple[Entry, ...] = ()


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_BODY: Final = msgspec.json.Decoder(_Body)
_EXPLOITED: Final = msgspec.json.Decoder(Exploited)


def body_of(advisory: Advisory) -> bytes:
    """Return what is stored of an advisory beside its id, names and packages."""
    fields = msgspec.structs.asdict(
        _Body(
            summary=advisory.summary,
            modified=advisory.modified,
            severity=advisory.severity,
            score=advisory.score,
            vector=advisory.vector,
            entries=advisory.entries,
        )
    )
    return _ENCODER.encode(fields)


def advisory_from(osv_id: str, names: list[str], withdrawn: bool, body: str) -> Advisory:  # noqa: FBT001 -- a row
    """Read what `body_of` wrote."""
    found = _BODY.decode(body)
    return Advisory(
        id=osv_id,
        names=tuple(names),
        summary=found.summary,
        modified=found.modified,
        withdrawn=withdrawn,
        severity=found.severity,
        score=found.score,
        vector=found.vector,
        entries=found.entries,
    )


def packages_of(advisory: Advisory) -> list[str]:
    """Return the keys of the packages an advisory is about, sorted."""
    return sorted({one.package for one in advisory.entries})


def exploited_bytes(exploited: Exploited) -> bytes:
    """Return what is stored of a vulnerability known to be exploited."""
    return _ENCODER.encode(exploited)


def exploited_from(body: str) -> Exploited:
    """Read what `exploited_bytes` wrote."""
    return _EXPLOITED.decode(body)


def exploited_digest(exploited: Exploited) -> Digest:
    """Return the digest of a line of the catalogue."""
    return digest_of(exploited_bytes(exploited))
