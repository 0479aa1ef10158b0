"""The context of a file: what its run was made with, said from outside and signed by who ran it.

A tool's file alone is no evidence: most do not say which model, data, version or time they are of.
A context is an in-toto statement (`PREDICATE_TYPE`) about the file and the model, usually in a DSSE
envelope. In this order:

1. It must be of this very file (`original.sha256`), and of the version's own digests.
2. Signed by a key the registry trusts for that, evidence is verified; unsigned, or by an unknown
   key, it is asserted, and the unknown key is flagged.
3. A signature that names a trusted key and does not verify is refused.

Source: requirements §4.2 (rule zero); R-082.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from muniment.core.canon import from_base64
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadDigest, BadProof, BadSignature
from muniment.core.statement import PAYLOAD_TYPE, pae, public_key_pem, verify_p256
from muniment.server.evidence.records import Assurance, Attested, Dimension, Flag, Run, Unreadable
from muniment.server.evidence.rules.reading import (
    Document,
    Limits,
    clean,
    count_at,
    items_at,
    problem,
    read,
    refusal,
    text_at,
    walk,
)

PREDICATE_TYPE: Final = "https://muniment.dev/attestation/evidence-context/v1"
SCHEMA: Final = "muniment/evidence/v1"
MAX_BYTES: Final = 1 << 20
_CI: Final = (
    "issuer",
    "repository",
    "repository_id",
    "run_id",
    "run_attempt",
    "ref",
    "sha",
    "workflow",
    "environment",
)


def parse_context(
    data: bytes,
    name: str,
    of: Digest,
    subjects: frozenset[Digest],
    keys: Sequence[bytes] = (),
) -> Attested | Unreadable:
    """Read the context called `name` of the file `of`, which must be about one of `subjects`.

    `keys` are the P-256 public keys (SubjectPublicKeyInfo) that may vouch for runs.
    """
    document = read(data, name, Limits(max_bytes=MAX_BYTES))
    if isinstance(document, Unreadable):
        return document
    if document.nonfinite:
        return refusal(document.nonfinite[0], "expected a finite number, found NaN or an infinity")
    try:
        signed = _signer(document.value, keys)
        inner = _payload(document)
    except (BadProof, BadSignature) as error:
        return refusal(
            name, error.message, "sign the context again, with the key the registry trusts"
        )
    if isinstance(inner, Unreadable):
        return inner
    problems = list(_problems(inner.value, name, of, subjects))
    if problems:
        return Unreadable(tuple(problems))
    predicate = _predicate(inner.value)
    said = walk(predicate, "dimension")
    known = said in {each.value for each in Dimension}
    return Attested(
        run=_run(predicate, subjects),
        assurance=Assurance.VERIFIED if signed else Assurance.ASSERTED,
        signer=signed,
        digest=digest_of(data),
        flags=frozenset({Flag.UNKNOWN_SIGNER})
        if signed is None and _envelope(document.value)
        else frozenset(),
        dimension=Dimension(said) if known else None,
    )


def _envelope(value: Any) -> Any:
    """The DSSE envelope, in a bundle or alone; None where there is none."""
    inner = walk(value, "dsseEnvelope")
    value = inner if isinstance(inner, dict) else value
    return value if isinstance(walk(value, "payload"), str) and walk(value, "signatures") else None


def _payload(document: Document) -> Document | Unreadable:
    envelope = _envelope(document.value)
    if envelope is None:
        return document
    return read(from_base64(envelope["payload"]), f"{document.name} /payload", document.limits)


def _signer(value: Any, keys: Sequence[bytes]) -> str | None:
    """Return the name of the trusted key that signed the envelope; None where none did.

    Raises:
        BadProof: the envelope is malformed.
        BadSignature: it names a trusted key that did not sign it.
    """
    envelope = _envelope(value)
    if envelope is None:
        return None
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise BadProof(f"expected the payload type {PAYLOAD_TYPE}, found another")
    message = pae(PAYLOAD_TYPE, from_base64(envelope["payload"]))
    hint = text_at(value, "verificationMaterial", "publicKey", "hint")
    for signature in items_at(envelope, "signatures")[:16]:
        made = from_base64(walk(signature, "sig"))
        for key in keys:
            try:
                verify_p256(message, made, key)
            except BadSignature:
                if hint == _hint(key):
                    raise
                continue
            return f"key:{digest_of(key)}"
    return None


def _hint(key: bytes) -> str:
    return hashlib.sha256(public_key_pem(key).encode()).hexdigest()


def _predicate(value: Any) -> Any:
    return walk(value, "predicate") if isinstance(walk(value, "predicate"), dict) else value


def _problems(
    value: Any, name: str, of: Digest, subjects: frozenset[Digest]
) -> Iterator[dict[str, Any]]:
    predicate = _predicate(value)
    if predicate is not value and walk(value, "predicateType") != PREDICATE_TYPE:
        yield problem(f"{name} /predicateType", f"expected {PREDICATE_TYPE}")
    if walk(predicate, "schema") != SCHEMA:
        yield problem(
            f"{name} /schema", f"expected {SCHEMA}, found {clean(walk(predicate, 'schema'), 80)!r}"
        )
        return
    original = walk(predicate, "original", "sha256")
    if _digests([original]) != {of}:
        yield problem(
            f"{name} /original/sha256",
            f"expected the digest of the file ({of.hex}), found {clean(original, 80)!r}",
            "make the context of the file as it is sent",
        )
    named = _digests(items_at(predicate, "subject", "digests"))
    named |= _digests([walk(one, "digest", "sha256") for one in items_at(value, "subject")]) - {of}
    if named.isdisjoint(subjects):
        yield problem(
            f"{name} /subject",
            "expected the digest of the version or of one of its files, found "
            + (", ".join(sorted(map(str, named))[:3]) or "none"),
            "run the tool on this version, and name its digest in the context",
        )
    for each in ("started", "ended"):
        if _moment(walk(predicate, "run", each)) is None:
            yield problem(f"{name} /run/{each}", "expected a time with a zone (RFC 3339)")


def _digests(values: Sequence[Any]) -> set[Digest]:
    found = set()
    for value in values:
        try:
            found.add(Digest.parse(value))
        except BadDigest:
            continue
    return found


def _moment(value: Any) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at.astimezone(dt.UTC) if at.tzinfo else None


def _run(predicate: Any, subjects: frozenset[Digest]) -> Run:
    models = sorted(_digests(items_at(predicate, "subject", "digests")) & subjects)
    ci = {each: said for each in _CI if (said := text_at(predicate, "run", "ci", each))}
    return Run(
        tool_name=text_at(predicate, "tool", "name"),
        tool_version=text_at(predicate, "tool", "version"),
        model=text_at(predicate, "subject", "cvi") or text_at(predicate, "subject", "name"),
        model_digest=str(models[0]) if models else None,
        dataset=text_at(predicate, "dataset", "ref"),
        dataset_digest=_dataset_digest(predicate),
        n=count_at(predicate, "dataset", "n"),
        started=_moment(walk(predicate, "run", "started")),
        ended=_moment(walk(predicate, "run", "ended")),
        judge=text_at(predicate, "judge", "model"),
        config_digest=text_at(predicate, "config", "digest") or text_at(predicate, "config_digest"),
        commit=text_at(predicate, "run", "ci", "sha"),
        ci=ci or None,
    )


def _dataset_digest(predicate: Any) -> str | None:
    digest = walk(predicate, "dataset", "digest")
    if not isinstance(digest, dict):
        return text_at(predicate, "dataset", "digest")
    return next(
        (f"{clean(name, 40)}:{clean(value, 160)}" for name, value in sorted(digest.items())), None
    )
