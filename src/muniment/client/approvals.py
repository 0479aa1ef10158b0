"""Requests for approval, what people sign, decisions and exceptions."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from muniment.client import trust
from muniment.client.paging import all_items
from muniment.client.principals import Principals
from muniment.client.receipts import PATIENCE
from muniment.client.records import LogKeys, Page, Record
from muniment.client.signing import OwnKey
from muniment.client.transport import Transport, api
from muniment.client.trust import as_trusted
from muniment.client.versions import Versions, version_path
from muniment.core.approvals import (
    Condition,
    Said,
    Waiver,
    approval_statement,
    exception_statement,
    frozen_sha256,
    sign,
)
from muniment.core.digest import Digest
from muniment.core.errors import BadProof, DigestMismatch, LogInconsistent, NotFound
from muniment.core.receipt import Receipt

_P256_BYTES = 91


class ApprovalRequest(Record, frozen=True, kw_only=True):
    """A request; `state` is `open`, `approved`, `rejected`, `withdrawn` or `void`."""

    id: str
    version: str
    environment: str
    change_class: str
    state: str
    requester: dict[str, Any]
    opened_at: dt.datetime
    frozen_sha256: str
    reason: str = ""
    reference: str = ""
    re_conformity_reference: str = ""
    ended_at: dt.datetime | None = None
    ended_reason: str | None = None
    entry_id: str = ""


class Approval(Record, frozen=True, kw_only=True):
    """What a person said of a request; `counts` false: not now, and `why_not` says why."""

    id: str
    person_id: str
    role: str
    decision: str
    signed_by: str
    at: dt.datetime
    request_id: str = ""
    sign_off: str | None = None
    comment: str = ""
    key_id: str | None = None
    statement_sha256: str = ""
    entry_id: str = ""
    counts: bool = True
    why_not: str = ""
    conditions: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Decision(Record, frozen=True, kw_only=True):
    """What came of a request: `approved` until `expires_at`, or `rejected`."""

    id: str
    request_id: str
    version: str
    environment: str
    outcome: str
    decided_at: dt.datetime
    expires_at: dt.datetime | None = None
    frozen_sha256: str = ""
    entry_id: str = ""


class ShownDecision(Decision, frozen=True, kw_only=True):
    """A decision, whether it holds now and if not, why, and what its signed entry carries."""

    holds: bool
    reasons: list[dict[str, str]] = msgspec.field(default_factory=list)
    record: dict[str, Any] = msgspec.field(default_factory=dict)


class ShownRequest(ApprovalRequest, frozen=True, kw_only=True):
    """A request and how it stands; `frozen` is what is signed, for the registry `registry`."""

    registry: str
    frozen: dict[str, Any]
    void: bool = False
    changed: list[dict[str, Any]] = msgspec.field(default_factory=list)
    approvals: list[Approval] = msgspec.field(default_factory=list)
    comments: list[dict[str, Any]] = msgspec.field(default_factory=list)
    missing: list[dict[str, Any]] = msgspec.field(default_factory=list)
    verdict: dict[str, Any] | None = None
    own_key: bool = False
    decision: Decision | None = None


class Given(Record, frozen=True, kw_only=True):
    """A word that was taken: the decision that followed, or of which roles people are wanting."""

    approval: Approval
    decision: Decision | None = None
    missing: list[dict[str, Any]] = msgspec.field(default_factory=list)
    verdict: dict[str, Any] | None = None


class RuleException(Record, frozen=True, kw_only=True):
    """A waived rule; `state` is `holds`, `ended`, `revoked` or `key_revoked`."""

    id: str
    version: str
    environment: str
    rule: str
    until: dt.date
    person_id: str
    role: str
    signed_by: str
    state: str
    reason: str = ""
    control: str = ""
    granted_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    revoked_reason: str | None = None
    entry_id: str = ""


class _Granted(Record, frozen=True, kw_only=True):
    exception: RuleException
    decision: Decision | None = None


class _Resolved(Record, frozen=True, kw_only=True):
    comment: dict[str, Any]
    decision: Decision | None = None


class Approvals:
    """Calls about requests and what people say of them. `ref` is `[NAMESPACE/]NAME@1.2.0`, `…@alias`."""

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport = transport
        self._versions = versions

    def request(
        self,
        ref: str,
        environment: str,
        *,
        change: str = "substantial",
        reason: str = "",
        reference: str = "",
        re_conformity: str = "",
    ) -> ApprovalRequest:
        """Ask for a version to be approved for an environment. The same again is the same request.

        `change` (routine, significant, substantial) says whose approval it takes.

        Raises:
            Conflict: something else is asked for it already.
            NotServed: it is retired or quarantined.
        """
        body = {
            "environment": environment,
            "change_class": change,
            "reason": reason,
            "reference": reference,
            "re_conformity_reference": re_conformity,
        }
        path = version_path(self._versions.get(ref), "approval-requests")
        return self._transport.send("POST", path, body, ApprovalRequest)

    def list_(
        self,
        *,
        version: str | None = None,
        environment: str | None = None,
        state: str | None = None,
    ) -> list[ApprovalRequest]:
        """Requests the caller may see, newest first."""
        params = {"version": version, "environment": environment, "state": state}

        def page_at(cursor: str | None) -> Page[ApprovalRequest]:
            query = {**params, "cursor": cursor}
            return self._transport.get(api("approval-requests"), Page[ApprovalRequest], query)

        return list(all_items(page_at))

    def get(self, request: str, *, environment: str = "production") -> ShownRequest:
        """One request and how it stands: by its id, or the open one of a version and environment.

        Raises:
            NotFound: there is none.
        """
        if "@" in request:
            ref = self._versions.get(request).ref
            found = self.list_(version=ref, environment=environment, state="open")
            if not found:
                raise NotFound(
                    f"nobody asks for {ref} to be approved for {environment}; ask:"
                    f" `muniment request {ref} --to {environment}`"
                )
            request = found[0].id
        return self._transport.get(api("approval-requests", request), ShownRequest)

    def withdraw(self, request_id: str, *, reason: str = "") -> ApprovalRequest:
        """Take a request back: one's own, or as who governs the namespace."""
        path = api("approval-requests", request_id, "withdraw")
        return self._transport.send("POST", path, {"reason": reason}, ApprovalRequest)

    def give(
        self,
        request_id: str,
        decision: str,
        role: str,
        *,
        sign_off: str | None = None,
        comment: str = "",
        conditions: Sequence[tuple[str, dt.date]] = (),
        key: OwnKey | None = None,
    ) -> Given:
        """Approve, reject or defer a request, in one role.

        With `key` it is signed here, over what the registry shows now; without, the registry signs for
        this session, which a policy may not take for high risk.

        Raises:
            Refused: you may not; the attempt is in the log.
            LifecycleConflict: the request is not open, or void.
            DigestMismatch: the registry shows something else than it says is frozen.
        """
        body: dict[str, Any] = {
            "decision": decision,
            "role": role,
            "sign_off": sign_off,
            "comment": comment,
            "conditions": [{"text": text, "due": due.isoformat()} for text, due in conditions],
        }
        if key is not None:
            shown = self.get(request_id)
            registry = registry_name(self._transport, shown.registry)
            said = Said(
                **_signed(self._transport, registry, role),
                request_id=uuid.UUID(shown.id),
                decision=decision,
                sign_off=sign_off,
                comment=comment,
                conditions=tuple(Condition(text, due) for text, due in conditions),
            )
            body = {"bundle": _signed_word(shown, said, key)}
        path = api("approval-requests", request_id, "approvals")
        return self._transport.send("POST", path, body, Given)

    def comment(self, request_id: str, text: str) -> dict[str, Any]:
        """Remark on a request; while the remark is open, nothing is decided."""
        path = api("approval-requests", request_id, "comments")
        return self._transport.send("POST", path, {"text": text}, dict[str, Any])

    def resolve(
        self, request_id: str, comment_id: str, resolution: str
    ) -> tuple[dict[str, Any], Decision | None]:
        """Say how a comment was resolved; return it, and what was decided now."""
        path = api("approval-requests", request_id, "comments", comment_id, "resolve")
        done = self._transport.send("POST", path, {"resolution": resolution}, _Resolved)
        return done.comment, done.decision

    def meet(self, request_id: str, condition_id: str, note: str) -> dict[str, Any]:
        """Say that a condition of an approval was met, and how."""
        path = api("approval-requests", request_id, "conditions", condition_id, "meet")
        return self._transport.send("POST", path, {"note": note}, dict[str, Any])

    def expiring(self, *, days: int = 30) -> list[Decision]:
        """Approvals that end within so many days, the first to end first."""

        def page_at(cursor: str | None) -> Page[Decision]:
            query = {"days": days, "cursor": cursor}
            return self._transport.get(api("approvals", "expiring"), Page[Decision], query)

        return list(all_items(page_at))


class Decisions:
    """Calls about decisions."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list_(
        self,
        *,
        version: str | None = None,
        environment: str | None = None,
        outcome: str | None = None,
    ) -> list[Decision]:
        """Decisions the caller may see, newest first."""
        params = {"version": version, "environment": environment, "outcome": outcome}

        def page_at(cursor: str | None) -> Page[Decision]:
            query = {**params, "cursor": cursor}
            return self._transport.get(api("decisions"), Page[Decision], query)

        return list(all_items(page_at))

    def get(self, decision_id: str) -> ShownDecision:
        """One decision, and whether it holds now."""
        return self._transport.get(api("decisions", decision_id), ShownDecision)

    def export(self, decision_id: str, keys: LogKeys) -> dict[str, Any]:
        """The decision as a Sigstore bundle with its place in the log, checked with these keys.

        Raises:
            LogBusy: the log has not included it within several seconds.
            BadProof, BadSignature: it does not hold.
        """
        params = {"wait_ms": int(PATIENCE.total_seconds() * 1000)}
        path = api("decisions", decision_id, "receipt")
        found = self._transport.get(path, dict[str, Any], params)
        return Receipt.parse(found).sigstore_bundle(as_trusted(keys))


class Exceptions:
    """Calls about exceptions to rules."""

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport = transport
        self._versions = versions

    def grant(
        self,
        rule: str,
        ref: str,
        environment: str,
        *,
        until: dt.date,
        reason: str,
        control: str,
        role: str = "security",
        key: OwnKey | None = None,
    ) -> tuple[RuleException, Decision | None]:
        """Waive a rule for a version in an environment, through a day; return what was decided now too.

        `control` is what is done instead. With `key` it is signed here.

        Raises:
            Refused: you may not, or nobody may (`critical_safety`); the attempt is in the log.
        """
        version = self._versions.get(ref)
        body: dict[str, Any] = {
            "environment": environment,
            "role": role,
            "rule": rule,
            "until": until.isoformat(),
            "reason": reason,
            "control": control,
        }
        if key is not None:
            registry = registry_name(self._transport)
            waiver = Waiver(
                **_signed(self._transport, registry, role),
                rule=rule,
                version_id=uuid.UUID(version.id or ""),
                ref=version.ref,
                manifest=Digest.parse(version.manifest_digest),
                environment=environment,
                until=until,
                reason=reason,
                control=control,
            )
            signed = sign(exception_statement(waiver), key.sign, _p256(key))
            body = {"environment": environment, "bundle": signed}
        done = self._transport.send("POST", version_path(version, "exceptions"), body, _Granted)
        return done.exception, done.decision

    def list_(self, *, version: str | None = None, ended: bool = False) -> list[RuleException]:
        """Exceptions that hold, newest first; `ended` adds those that hold no more."""

        def page_at(cursor: str | None) -> Page[RuleException]:
            query = {"version": version, "ended": "true" if ended else None, "cursor": cursor}
            return self._transport.get(api("exceptions"), Page[RuleException], query)

        return list(all_items(page_at))

    def revoke(self, exception_id: str, *, reason: str) -> RuleException:
        """Have an exception hold no more."""
        path = api("exceptions", exception_id, "revoke")
        return self._transport.send("POST", path, {"reason": reason}, RuleException)


def registry_name(transport: Transport, said: str | None = None) -> str:
    """Return what a registry is called: as it was when its keys were first trusted here, else as it says.

    Raises:
        LogInconsistent: it says otherwise now: what is signed for it could be meant for another.
    """
    known = trust.load().get(transport.url)
    if known is None:
        return said or _name_in(transport.get(api("log", "keys"), LogKeys))
    name = _name_in(known)
    if said not in {None, name}:
        raise LogInconsistent(
            f"`{transport.url}` calls itself {said}, and was {name} when its keys were first trusted"
            " here: nothing was signed"
        )
    return name


def _name_in(keys: LogKeys) -> str:
    return keys.vkey.partition("+")[0]


def _signed(transport: Transport, registry: str, role: str) -> dict[str, Any]:
    """Return what every signature says: to whom, by whom, when, as what."""
    me = Principals(transport).whoami()
    return {
        "registry": registry,
        "person": uuid.UUID(str(me.id)),
        "role": role,
        "at": dt.datetime.now(dt.UTC).replace(microsecond=0),
        "nonce": secrets.token_hex(16),
    }


def _signed_word(shown: ShownRequest, said: Said, key: OwnKey) -> Mapping[str, Any]:
    found = frozen_sha256(shown.frozen).hex
    if found != shown.frozen_sha256:
        raise DigestMismatch(
            f"the registry shows a document with the digest {found} and says it is"
            f" {shown.frozen_sha256}: nothing was signed"
        )
    return sign(approval_statement(shown.frozen, said), key.sign, _p256(key))


def _p256(key: OwnKey) -> bytes:
    der = key.public_key_der
    if len(der) != _P256_BYTES:
        raise BadProof("expected an ECDSA P-256 key; make one with `muniment key create`")
    return der
