"""What people sign when they approve, reject or defer, or grant an exception.

Who reviews is shown a document in which all that can change is frozen; its SHA-256 over canonical
JSON is the subject of what they sign, so that they sign exactly what they saw. Of a composite, its CVI
and the files of its members are subjects too. A statement is the
same for the same words: who checks one makes it again from what it says, and compares the bytes.

Source: R-105, R-112…R-117; trust.md §2; in-toto Statement v1.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.canon import canonical, loads_strict
from muniment.core.composite import parse_cvi
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadProof, BadRequest
from muniment.core.statement import (
    PAYLOAD_TYPE,
    Sign,
    bundle_of,
    pae,
    read_bundle,
    statement,
    verify_p256,
)

APPROVAL_TYPE: Final = "https://muniment.dev/attestation/approval/v1"
EXCEPTION_TYPE: Final = "https://muniment.dev/attestation/exception/v1"
#: Who asked or made it: for a review step of their own, and never for the quorum.
AUTHOR: Final = "author"
ROLES: Final = ("technical", "platform", "product", "security", "governance", "legal", AUTHOR)
#: Says of an optional review step why it does not apply; approves nothing.
NOT_APPLICABLE: Final = "not_applicable"
CHOICES: Final = ("approve", "reject", "defer", NOT_APPLICABLE)
SIGN_OFFS: Final = ("entry-verified", "metrics-reviewed", "production-approved")
#: By whose key: the person's own, or the registry's for a session it authenticated.
KEY, REGISTRY = "key", "registry"
TEXT_MAX_CHARS: Final = 2000
CONDITIONS_MAX: Final = 20
#: More pieces of evidence are not listed one by one: what is signed names them all anyway.
EVIDENCE_LISTED: Final = 50

_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
REVIEW_STEP: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_RULE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be done by the end of a day (UTC) for an approval to go on."""

    text: str
    due: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What every signature says: to which registry, by whom, when, under which key.

    `nonce` is 32 hexadecimal digits, used once; `at` is in whole seconds.
    """

    registry: str
    person: uuid.UUID
    role: str
    at: dt.datetime
    nonce: str
    signed_by: str = KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Signed):
    """One person's word on a request; `review_step` is the step of the review that it does."""

    request_id: uuid.UUID
    decision: str
    sign_off: str | None = None
    review_step: str | None = None
    comment: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver(Signed):
    """An exception to a rule: for one version in one environment, until the end of a day (UTC)."""

    rule: str
    version_id: uuid.UUID
    ref: str
    manifest: Digest
    environment: str
    until: dt.date
    reason: str
    control: str


def frozen_sha256(document: Mapping[str, Any]) -> Digest:
    """Return the digest of what reviewers are shown.

    Raises:
        BadJson: it has no canonical form.
    """
    return digest_of(canonical(dict(document)))


def approval_statement(document: Mapping[str, Any], said: Said) -> dict[str, Any]:
    """Return what a person signs about a frozen document.

    Raises:
        BadJson: the document has no canonical form.
        BadComposite, BadDigest: it is of a composite that is none.
    """
    evidence = document["evidence"]
    listed = evidence if len(evidence) <= EVIDENCE_LISTED else []
    predicate = {
        **_signed_json(said),
        "requestId": str(said.request_id),
        "decision": said.decision,
        "meaning": said.sign_off,
        "comment": said.comment,
        "conditions": [{"text": one.text, "due": one.due.isoformat()} for one in said.conditions],
        "policy": {"digest": {"sha256": document["policy_sha256"]}},
        "evidence": [
            {"uri": f"urn:uuid:{one['id']}", "digest": {"sha256": one["sha256"]}} for one in listed
        ],
        **({} if said.review_step is None else {"reviewStep": said.review_step}),
    }
    return statement(_subjects(document), APPROVAL_TYPE, predicate)


def _subjects(document: Mapping[str, Any]) -> list[tuple[str, Digest]]:
    """What is signed about: the document, and of a composite its root and its members' manifests."""
    frozen, environment = frozen_sha256(document), document["environment"]
    if "composite" not in document:
        return [(f"{document['version']['ref']} for {environment}", frozen)]
    cvi = document["composite"]["cvi"]
    members = [(one["ref"], Digest.parse(one["manifest_sha256"])) for one in document["members"]]
    return [(f"{cvi} for {environment}", frozen), (cvi, Digest(parse_cvi(cvi))), *members]


def exception_statement(waiver: Waiver) -> dict[str, Any]:
    """Return what a person signs to grant an exception."""
    predicate = {
        **_signed_json(waiver),
        "rule": waiver.rule,
        "versionId": str(waiver.version_id),
        "environment": waiver.environment,
        "until": waiver.until.isoformat(),
        "reason": waiver.reason,
        "compensatingControl": waiver.control,
    }
    return statement([(waiver.ref, waiver.manifest)], EXCEPTION_TYPE, predicate)


def _signed_json(said: Signed) -> dict[str, Any]:
    return {
        "approver": {"iss": said.registry, "sub": str(said.person)},
        "role": said.role,
        "decidedAt": second_text(said.at),
        "nonce": said.nonce,
        "signedBy": said.signed_by,
    }


def sign(said: Mapping[str, Any], key: Sign, public_der: bytes) -> dict[str, Any]:
    """Return a statement in a Sigstore bundle, signed by `key` (P-256, ASN.1 DER)."""
    body = canonical(dict(said))
    return bundle_of(body, key(pae(PAYLOAD_TYPE, body)), public_der)


def end_of(day: dt.date) -> dt.datetime:
    """Return when a day is over, in UTC."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def second_text(at: dt.datetime) -> str:
    """Return an aware time in UTC in whole seconds: `2026-04-20T09:00:00Z`."""
    return at.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


# --- reading -------------------------------------------------------------------------------------


def verified(bundle: Mapping[str, Any], public_der: bytes) -> dict[str, Any]:
    """Return the statement in a bundle whose signature by a key holds; it is canonical JSON.

    Raises:
        BadProof: it is no such bundle.
        BadSignature: it was not signed by that key.
    """
    body, signature = read_bundle(bundle)
    verify_p256(pae(PAYLOAD_TYPE, body), signature, public_der)
    return read_statement(bundle)


def read_statement(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statement in a bundle, whose signature is not looked at.

    Raises:
        BadProof: it is none, or not in canonical JSON.
    """
    body, _ = read_bundle(bundle)
    try:
        found = loads_strict(body)
        same = canonical(found) == body
    except BadRequest as error:
        raise BadProof(f"the signed statement cannot be read: {error.message}") from None
    if not same or not isinstance(found, dict):
        raise BadProof("expected a statement in canonical JSON, found another form")
    return found


def read_said(found: Mapping[str, Any]) -> Said:
    """Return what an approval's statement says; whether that is all it says is not looked at.

    Raises:
        BadProof: it is none; the message names what is wrong.
    """
    predicate = _predicate(found, APPROVAL_TYPE)
    conditions = predicate.get("conditions")
    if not isinstance(conditions, list) or len(conditions) > CONDITIONS_MAX:
        raise BadProof(f"expected a list of at most {CONDITIONS_MAX} `conditions`")
    sign_off = predicate.get("meaning")
    return Said(
        **_signed_of(predicate),
        request_id=_uuid(predicate, "requestId"),
        decision=_one_of(predicate, "decision", CHOICES),
        sign_off=None if sign_off is None else _one_of(predicate, "meaning", SIGN_OFFS),
        review_step=_step(predicate),
        comment=_text(predicate, "comment"),
        conditions=tuple(map(_condition, conditions)),
    )


def read_waiver(found: Mapping[str, Any]) -> Waiver:
    """Return what an exception's statement says; whether that is all it says is not looked at.

    Raises:
        BadProof: it is none; the message names what is wrong.
    """
    predicate = _predicate(found, EXCEPTION_TYPE)
    subjects = found.get("subject")
    subject = subjects[0] if isinstance(subjects, list) and subjects else None
    digest = subject.get("digest") if isinstance(subject, Mapping) else None
    if not isinstance(subject, Mapping) or not isinstance(digest, Mapping):
        raise BadProof("expected a version with its digest as `subject`")
    try:
        manifest = Digest.parse(digest.get("sha256", ""))
    except BadRequest:
        raise BadProof("expected the SHA-256 of a version's manifest as `subject`") from None
    rule = _text(predicate, "rule")
    if not _RULE.fullmatch(rule):
        raise BadProof("expected the id of a rule as `rule`")
    return Waiver(
        **_signed_of(predicate),
        rule=rule,
        version_id=_uuid(predicate, "versionId"),
        ref=_text(subject, "name"),
        manifest=manifest,
        environment=_text(predicate, "environment"),
        until=_date(predicate, "until"),
        reason=_text(predicate, "reason"),
        control=_text(predicate, "compensatingControl"),
    )


def _predicate(found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    predicate = found.get("predicate")
    if found.get("predicateType") != kind or not isinstance(predicate, Mapping):
        raise BadProof(f"expected a statement of the type {kind}, found another")
    return predicate


def _signed_of(predicate: Mapping[str, Any]) -> dict[str, Any]:
    approver = predicate.get("approver")
    if not isinstance(approver, Mapping):
        raise BadProof("expected who signs as `approver`")
    nonce, at = _text(predicate, "nonce"), _text(predicate, "decidedAt")
    if not _NONCE.fullmatch(nonce):
        raise BadProof("expected 32 hexadecimal digits as `nonce`")
    if not _TIME.fullmatch(at):
        raise BadProof("expected a time in whole seconds (UTC) as `decidedAt`")
    try:
        decided_at = dt.datetime.fromisoformat(at)
    except ValueError:
        raise BadProof("expected a time that exists as `decidedAt`") from None
    return {
        "registry": _text(approver, "iss"),
        "person": _uuid(approver, "sub"),
        "role": _one_of(predicate, "role", ROLES),
        "at": decided_at,
        "nonce": nonce,
        "signed_by": _one_of(predicate, "signedBy", (KEY, REGISTRY)),
    }


def _step(predicate: Mapping[str, Any]) -> str | None:
    if "reviewStep" not in predicate:
        return None
    found = _text(predicate, "reviewStep")
    if not REVIEW_STEP.fullmatch(found):
        raise BadProof("expected the name of a review step as `reviewStep`")
    return found


def _condition(value: Any) -> Condition:
    if not isinstance(value, Mapping):
        raise BadProof("expected objects as `conditions`")
    return Condition(_text(value, "text"), _date(value, "due"))


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or len(found) > TEXT_MAX_CHARS:
        raise BadProof(f"expected text of at most {TEXT_MAX_CHARS} characters as `{name}`")
    return found


def _one_of(value: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    found = _text(value, name)
    if found not in known:
        raise BadProof(f"expected one of {', '.join(known)} as `{name}`")
    return found


def _uuid(value: Mapping[str, Any], name: str) -> uuid.UUID:
    text = _text(value, name)
    try:
        found = uuid.UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise BadProof(f"expected an id as `{name}`")
    return found


def _date(value: Mapping[str, Any], name: str) -> dt.date:
    text = _text(value, name)
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text or found >= dt.date.max:
        raise BadProof(f"expected a date (2026-09-01) as `{name}`")
    return found
