"""In-toto statements in DSSE envelopes or Sigstore bundles: provenance and model signatures.

What is signed is read here, not verified: `rules.vouching` says whether somebody known vouches for
it. Subjects must be the version's own digests.

Source: DSSE v1.0.2; in-toto attestation v1; Sigstore bundle v0.3; SLSA provenance v1 and v0.2;
OpenSSF Model Signing v1.0.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

from muniment.core.digest import Digest
from muniment.core.envelope import is_envelope, read_envelope
from muniment.core.errors import BadDigest, BadProof
from muniment.server.evidence.plugins import evaluations
from muniment.server.evidence.records import EvidenceKind, Flag, Parsed, Run, Unreadable
from muniment.server.evidence.rules.reading import (
    Document,
    clean,
    items_at,
    read,
    refusal,
    text_at,
    walk,
)

_STATEMENT: Final = "https://in-toto.io/Statement/"
_SLSA: Final = "https://slsa.dev/provenance/"
_OMS: Final = "https://model_signing/signature/"
_TYPE: Final = "application/vnd.in-toto+json"
_SUBJECTS_MAX: Final = 100_000


class _Attestation:
    """Reads a statement whose predicate type begins with `prefix`."""

    version = "2"
    takes_nonfinite = False

    def __init__(self, name: str, kind: EvidenceKind, prefix: str) -> None:
        self.name, self.kind, self._prefix = name, kind, prefix

    def recognises(self, document: Document) -> bool:
        """An envelope or bundle around a statement of that type, or the statement alone."""
        statement = _statement(document.value, document)
        return isinstance(statement, dict) and (
            text_at(statement, "predicateType") or ""
        ).startswith(self._prefix)

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read what the statement is about and who says it."""
        statement = _statement(document.value, document)
        subjects = tuple(_subjects(statement))
        if not subjects:
            return refusal(
                f"{document.name} /subject", "expected a subject with a SHA-256 digest, found none"
            )
        try:
            envelope = read_envelope(document.value) if is_envelope(document.value) else None
        except BadProof as error:
            return refusal(document.name, error.message, "add the file as its tool wrote it")
        signed = envelope is not None and bool(envelope.signatures)
        predicate = walk(statement, "predicate")
        run, details = (_slsa if self._prefix == _SLSA else _oms)(predicate)
        return Parsed(
            kind=self.kind,
            format=self.name,
            format_version=self.version,
            run=run,
            flags=frozenset() if signed else frozenset({Flag.UNSIGNED}),
            subjects=subjects,
            details={"predicate_type": text_at(statement, "predicateType"), "signed": signed}
            | details,
            statement=statement,
            envelope=envelope,
        )


def _envelope(value: Any) -> Any:
    """The DSSE envelope in a bundle, or the value itself if it is one."""
    if isinstance(walk(value, "dsseEnvelope"), dict):
        return walk(value, "dsseEnvelope")
    return (
        value
        if isinstance(walk(value, "payload"), str) and isinstance(walk(value, "signatures"), list)
        else None
    )


def _statement(value: Any, document: Document) -> Any:
    """The statement in an envelope, None where there is none that can be read."""
    if (text_at(value, "_type") or "").startswith(_STATEMENT):
        return value
    envelope = _envelope(value)
    if walk(envelope, "payloadType") != _TYPE:
        return None
    try:
        payload = base64.b64decode(str(walk(envelope, "payload")), validate=True)
    except (binascii.Error, ValueError):
        return None
    found = read(payload, f"{document.name} /payload", document.limits)
    if isinstance(found, Unreadable) or found.nonfinite or found.syntax != "json":
        return None
    return found.value


def _subjects(statement: Any) -> Iterator[Digest]:
    """The SHA-256 of each subject, and of each file a model signature lists."""
    digests = [
        walk(one, "digest", "sha256") for one in items_at(statement, "subject")[:_SUBJECTS_MAX]
    ]
    digests += [
        walk(one, "digest")
        for one in items_at(statement, "predicate", "resources")[:_SUBJECTS_MAX]
        if walk(one, "algorithm") == "sha256"
    ]
    for each in digests:
        try:
            yield Digest.parse(each if isinstance(each, str) else "")
        except BadDigest:
            continue


def _slsa(predicate: Any) -> tuple[Run, dict[str, Any]]:
    """Read SLSA provenance: v1, or v0.2 where the builder stands at the top."""
    old = walk(predicate, "builder") is not None
    builder = text_at(predicate, *(() if old else ("runDetails",)), "builder", "id")
    metadata = walk(predicate, "metadata") if old else walk(predicate, "runDetails", "metadata")
    materials = items_at(
        predicate, *(("materials",) if old else ("buildDefinition", "resolvedDependencies"))
    )
    started, finished, invocation = (
        ("buildStartedOn", "buildFinishedOn", "buildInvocationId")
        if old
        else ("startedOn", "finishedOn", "invocationId")
    )
    commits = [
        text_at(one, "digest", "gitCommit") or text_at(one, "digest", "sha1") for one in materials
    ]
    run = Run(
        tool_name=builder,
        started=evaluations.local_moment(walk(metadata, started)),
        ended=evaluations.local_moment(walk(metadata, finished)),
        commit=next((one for one in commits if one), None),
    )
    details = {
        "builder": builder,
        "build_type": text_at(predicate, *(() if old else ("buildDefinition",)), "buildType"),
        "invocation": text_at(metadata, invocation),
        "materials": [
            {
                "uri": text_at(one, "uri") or "",
                "digest": {
                    clean(k, 40): clean(v, 200) for k, v in (walk(one, "digest") or {}).items()
                },
            }
            for one in materials[:500]
            if isinstance(walk(one, "digest"), dict)
        ],
    }
    return run, {name: value for name, value in details.items() if value}


def _oms(predicate: Any) -> tuple[Run, dict[str, Any]]:
    resources = items_at(predicate, "resources")
    return Run(), {
        "files": len(resources),
        "method": text_at(predicate, "serialization", "method") or "",
    }


PROVENANCE: Final = _Attestation("slsa-provenance", EvidenceKind.PROVENANCE, _SLSA)
SIGNATURE: Final = _Attestation("model-signing", EvidenceKind.SIGNATURE, _OMS)
