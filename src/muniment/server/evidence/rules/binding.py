"""What evidence depends on, and whether that still holds.

1. A version or composite consists of behavioural components, each with a digest. A change of any
   of them may change what the thing does.
2. Evidence is bound, when it is recorded, to those components its kind depends on.
3. It is stale for whatever has other ones: computed each time it is asked, never stored.
4. It is stale, too, once it is older than a caller (a policy) allows.

Source: R-080, R-082.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.model_signing import roots_of
from muniment.server.catalog.records import Version
from muniment.server.composites import behaviour, digests_of
from muniment.server.composites.records import Composite
from muniment.server.evidence.records import (
    About,
    Change,
    Evidence,
    EvidenceKind,
    Freshness,
)

_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
_FILES: Final = frozenset({"model", "adapter", "prompt"})
_BEHAVIOUR: Final = _FILES | {
    "base", "prompt.template", "config", "router", "retrieval-index", "tools", "guardrail",
    "provider-model",
}  # fmt: skip

#: The components each kind of evidence depends on, by the part of their name before `:`.
DEPENDS: Final[Mapping[EvidenceKind, frozenset[str]]] = {
    EvidenceKind.SBOM: _FILES | {"code", "env"},
    EvidenceKind.EVALUATION: _BEHAVIOUR,
    EvidenceKind.PROVENANCE: _FILES,
    EvidenceKind.SIGNATURE: _FILES,
    EvidenceKind.SCAN: _FILES,
    EvidenceKind.GATE: _BEHAVIOUR,
    EvidenceKind.VULNERABILITIES: _FILES | {"code", "env"},
    EvidenceKind.VEX: _FILES | {"code", "env"},
    EvidenceKind.OTHER: _BEHAVIOUR | {"env"},
}


def about_version(
    version: Version, files: Iterable[Digest] = (), *, paths: Mapping[str, Digest] | None = None
) -> About:
    """Return `version` as something evidence can be about.

    `files` are the digests of its files; `paths` maps their paths to them, for what tells of each.
    """
    known = paths or {}
    return About(
        kind="version",
        id=str(version.id),
        name=version.name,
        asset_id=version.asset_id,
        components=components_of(version),
        digests=frozenset({version.manifest_digest, *files, *known.values(), *roots_of(known)}),
        files=known,
    )


def about_composite(composite: Composite) -> About:
    """Return a composite as something evidence can be about: its components as its manifest has them."""
    digests = [text for text in digests_of(composite.manifest) if text.startswith("sha256:")]
    return About(
        kind="composite",
        id=composite.cvi,
        name=composite.system,
        asset_id=None,
        components=behaviour(composite.manifest),
        digests=frozenset(Digest.parse(text) for text in digests if _is_sha256(text)),
    )


def _is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def components_of(version: Version) -> dict[str, str]:
    """Return the behavioural components of a version, by name.

    Its files under its kind (`model`, `adapter`, `prompt`); of a prompt its text
    (`prompt.template`) and its settings (`config`); of an adapter its base models
    (`base:NAME`); its environment (`env`), where one is recorded.
    """
    metadata = version.metadata
    found = {version.kind.value: str(version.manifest_digest)}
    prompt = metadata.get("prompt")
    if prompt is not None:
        settings = prompt.get("settings")
        found["prompt.template"] = _digest_of({k: v for k, v in prompt.items() if k != "settings"})
        if settings:
            found["config"] = _digest_of(settings)
    if version.kind.value == "adapter":
        for base in metadata.get("base_models", ()):
            found[f"base:{base['name']}"] = base.get("digest") or base.get("version") or "unknown"
    lock = metadata.get("environment", {}).get("lock_digest")
    if lock:
        found["env"] = lock
    return found


def _digest_of(value: Any) -> str:
    return str(digest_of(canonical(value)))


def bound(kind: EvidenceKind, components: Mapping[str, str]) -> dict[str, str]:
    """Return those of `components` that evidence of `kind` depends on."""
    depends = DEPENDS[kind]
    return {
        name: digest
        for name, digest in sorted(components.items())
        if name.partition(":")[0] in depends
    }


def changes(kind: EvidenceKind, was: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    """Return how the components evidence was bound to differ from those of what it is asked about."""
    current = bound(kind, now)
    return [
        Change(name, was.get(name), current.get(name))
        for name in sorted({*was, *current})
        if was.get(name) != current.get(name)
    ]


def made_at(evidence: Evidence) -> dt.datetime:
    """Return since when evidence ages: when its run ended, but never after it was recorded."""
    if evidence.produced_at is None:
        return evidence.recorded_at
    return min(evidence.produced_at, evidence.recorded_at)


def of_version(
    evidence: Evidence,
    version: Version,
    at: dt.datetime,
    max_age: dt.timedelta | None = None,
) -> Freshness:
    """Say whether `evidence` tells of `version` at a moment."""
    return freshness(
        evidence.kind,
        evidence.bound,
        components_of(version),
        made_at=made_at(evidence),
        at=at,
        max_age=max_age,
    )


def of_composite(
    evidence: Evidence,
    composite: Composite,
    at: dt.datetime,
    max_age: dt.timedelta | None = None,
) -> Freshness:
    """Say whether `evidence` tells of `composite` at a moment: of what else it is, or too old, it does not."""
    return freshness(
        evidence.kind,
        evidence.bound,
        behaviour(composite.manifest),
        made_at=made_at(evidence),
        at=at,
        max_age=max_age,
    )


def freshness(
    kind: EvidenceKind,
    was: Mapping[str, str],
    now: Mapping[str, str],
    *,
    made_at: dt.datetime,
    at: dt.datetime,
    max_age: dt.timedelta | None = None,
) -> Freshness:
    """Say whether evidence made at `made_at` tells, at `at`, of what consists of `now`.

    `made_at` is when the run ended where that is known, else when the evidence was recorded.
    """
    expires = None if max_age is None else made_at + max_age
    expired = expires if expires is not None and expires <= at else None
    return Freshness(tuple(changes(kind, was, now)), expired)
