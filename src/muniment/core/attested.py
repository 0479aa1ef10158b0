"""Whether a signed statement about a model's files is verified or asserted, and why.

1. What contradicts the files is refused: a signature that does not verify, a file with another
   digest than the manifest has, a statement that contradicts itself or tells of something else.
2. It is *verified* if a known signer made it, and it covers every file (a model signature: but
   those that Model Signing leaves out of every signature).
3. Otherwise it is *asserted*, with the reason: unsigned, an unknown signer, a signer that may not
   speak for the builder, files left out.

Source: R-068, R-087, R-094; OpenSSF Model Signing v1.0; SLSA v1.0, Verifying artifacts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.digest import Digest
from muniment.core.envelope import Envelope
from muniment.core.errors import BadDigest, BadProof
from muniment.core.model_signing import read_model_signature, roots_of
from muniment.core.signers import Signer, SignerUse, Vouched, vouch
from muniment.core.statement import MODEL_SIGNING_TYPE

SLSA_TYPE: Final = "https://slsa.dev/provenance/"
_SHOWN: Final = 3
_PROBLEMS_MAX: Final = 100
_AGAIN: Final = "sign the files of this version, or add it to the version it was made of"


@dataclass(frozen=True, slots=True)
class Model:
    """What a statement should be about: a manifest's digest, and its files by path."""

    name: str
    manifest: Digest
    files: Mapping[str, Digest]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a statement comes to: `signer` None is nobody known; `uncovered` are files left out."""

    signer: str | None
    reason: str
    uncovered: tuple[str, ...] = ()
    identity: str | None = None

    @property
    def verified(self) -> bool:
        """Whether a known signer vouches for all of the files."""
        return self.signer is not None and not self.uncovered


def use_of(statement: Mapping[str, Any]) -> SignerUse | None:
    """Return what a signer must be believed for to vouch for `statement`; None: nothing here."""
    kind = statement.get("predicateType")
    if kind == MODEL_SIGNING_TYPE:
        return SignerUse.SIGNATURE
    if isinstance(kind, str) and kind.startswith(SLSA_TYPE):
        return SignerUse.PROVENANCE
    return None


def builder_of(statement: Mapping[str, Any]) -> str | None:
    """Return the builder that SLSA provenance names (v1, or v0.2), None if it names none."""
    predicate = _mapping(statement.get("predicate"))
    details = _mapping(predicate.get("runDetails")) or predicate
    found = _mapping(details.get("builder")).get("id")
    return found if isinstance(found, str) and found else None


def judge(
    statement: Mapping[str, Any],
    envelope: Envelope | None,
    model: Model,
    signers: Iterable[Signer],
    *,
    at: dt.datetime,
    file: Digest | None = None,
) -> Judged:
    """Judge a model signature or SLSA provenance; `envelope` is how it is signed.

    `file` is the digest of the file it stands in: a signature may lie beside what it signs.

    Raises:
        BadSignature: it brings a certificate or names a key that did not sign it.
        BadProof: it is neither, is malformed, or contradicts the model; `problems` says of each
            file how.
    """
    use = use_of(statement)
    if use is None:
        raise BadProof("expected a model signature or SLSA provenance, found another statement")
    builder = None
    if use is SignerUse.SIGNATURE:
        uncovered = _unsigned(statement, model, file)
    else:
        builder = builder_of(statement)
        uncovered = _not_built(statement, model)
    vouched = (
        Vouched(None, "nobody signed it")
        if envelope is None
        else vouch(envelope, signers, use=use, at=at, builder=builder)
    )
    return _judged(vouched, builder, uncovered, model)


def _judged(vouched: Vouched, builder: str | None, uncovered: list[str], model: Model) -> Judged:
    reason = vouched.reason
    if builder is not None and vouched.signer is not None:
        reason += f", for the builder {builder}"
    if uncovered:
        shown = ", ".join(f"`{path}`" for path in uncovered[:_SHOWN])
        more = f" and {len(uncovered) - _SHOWN} more" if len(uncovered) > _SHOWN else ""
        reason += f"; it leaves {len(uncovered)} of {len(model.files)} files out: {shown}{more}"
    return Judged(vouched.signer, reason, tuple(uncovered), vouched.identity)


def _unsigned(statement: Mapping[str, Any], model: Model, file: Digest | None) -> list[str]:
    """Return the files a model signature leaves out."""
    found = read_model_signature(statement).compare(model.files)
    problems = [
        {"field": path, "message": f"is signed as {was}, and is {now} in {model.name}"}
        for path, (was, now) in sorted(found.other.items())
    ]
    problems += [
        {"field": path, "message": f"is signed, and {model.name} has no such file"}
        for path in found.absent
    ]
    if problems:
        first = problems[0]
        raise BadProof(
            f"`{first['field']}` {first['message']}",
            problems=[{**one, "fix": _AGAIN} for one in problems[:_PROBLEMS_MAX]],
        )
    return found.uncovered(file, model.files)


def _not_built(statement: Mapping[str, Any], model: Model) -> list[str]:
    """Return the files that provenance does not tell of."""
    subjects = subjects_of(statement)
    if not subjects.isdisjoint({model.manifest} | roots_of(model.files)):
        return []
    missing = sorted(path for path, digest in model.files.items() if digest not in subjects)
    if len(missing) == len(model.files):
        raise BadProof(
            f"tells of neither {model.name} nor one of its files",
            problems=[{"field": "/subject", "message": "names other digests", "fix": _AGAIN}],
        )
    return missing


def subjects_of(statement: Mapping[str, Any]) -> set[Digest]:
    """Return the SHA-256 digests a statement is about."""
    listed = statement.get("subject")
    found = set()
    for each in listed if isinstance(listed, list) else ():
        digest = _mapping(_mapping(each).get("digest")).get("sha256")
        try:
            found.add(Digest.parse(digest if isinstance(digest, str) else ""))
        except BadDigest:
            continue
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
