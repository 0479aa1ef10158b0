"""Whether the signed statement in a piece of evidence is verified or asserted: `core.attested`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from muniment.core.attested import Judged, Model, judge
from muniment.core.digest import Digest
from muniment.core.errors import BadProof, BadSignature
from muniment.core.signers import Signer
from muniment.server.catalog.records import Kind
from muniment.server.evidence.records import (
    About,
    Assurance,
    Check,
    EvidenceKind,
    Flag,
    Parsed,
    Unreadable,
)
from muniment.server.evidence.rules.reading import problem

#: What the registry's own signer is called.
REGISTRY: Final = "registry"
_SIGNED: Final = frozenset({EvidenceKind.SIGNATURE, EvidenceKind.PROVENANCE})
#: The components whose digest is that of the manifest.
_FILES: Final = frozenset(kind.value for kind in Kind)


def check_statement(
    parsed: Parsed,
    about: About,
    *,
    name: str,
    digest: Digest,
    signers: Sequence[Signer],
    at: dt.datetime,
) -> Check | Unreadable | None:
    """Judge the signed statement in the file called `name`, with `digest`, about a version.

    None if it is of a kind that nobody vouches for in this way.
    """
    if parsed.kind not in _SIGNED or parsed.statement is None:
        return None
    if about.kind != "version":
        return Check(Assurance.ASSERTED, None, _OF_VERSIONS, frozenset())
    manifest = next(one for part, one in about.components.items() if part in _FILES)
    model = Model(about.name, Digest.parse(manifest), about.files)
    try:
        judged = judge(parsed.statement, parsed.envelope, model, signers, at=at, file=digest)
    except (BadSignature, BadProof) as error:
        listed = error.problems or [{"message": error.message, "fix": _AGAIN}]
        return Unreadable(
            tuple(
                problem(f"{name} {each.get('field', '')}".strip(), each["message"], each["fix"])
                for each in listed
            )
        )
    return _check(judged, signed=bool(parsed.details["signed"]))


_OF_VERSIONS: Final = "who vouches is judged of versions: add it to the version it is of"
_AGAIN: Final = "have it made again from the files of this version"


def _check(judged: Judged, *, signed: bool) -> Check:
    flags = {Flag.UNCOVERED} if judged.uncovered else set()
    if signed and judged.signer is None:
        flags.add(Flag.UNKNOWN_SIGNER)
    return Check(
        assurance=Assurance.VERIFIED if judged.verified else Assurance.ASSERTED,
        signer=_signer(judged) if judged.verified else None,
        reason=judged.reason,
        flags=frozenset(flags),
    )


def _signer(judged: Judged) -> str:
    if judged.signer == REGISTRY:
        return REGISTRY
    return f"signer:{judged.signer}" + (f" {judged.identity}" if judged.identity else "")
