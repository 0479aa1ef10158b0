"""Requests for approval and what people say of them; decisions."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.client.approval_records import (
    ApprovalRequest,
    CompositeApprovals,
    Decision,
    Given,
    Resolved,
    ShownDecision,
    ShownRequest,
)
from muniment.client.evidence import CVI
from muniment.client.paging import all_items
from muniment.client.receipts import PATIENCE
from muniment.client.records import LogKeys, Page
from muniment.client.signatures import p256_of, registry_name, signed_by
from muniment.client.signing import OwnKey
from muniment.client.transport import Transport, api
from muniment.client.trust import as_trusted
from muniment.client.versions import Versions, version_path
from muniment.core.approvals import Condition, Said, approval_statement, frozen_sha256, sign
from muniment.core.errors import DigestMismatch, NotFound
from muniment.core.receipt import Receipt


class Approvals:
    """Calls about requests and what people say of them.

    `ref` is `[NAMESPACE/]NAME@1.2.0`, `…@alias`, or a composite's identifier (`cvi1-…`).
    """

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
        """Ask for a version or composite to be approved for an environment.

        The same again is the same request. `change` (routine, significant, substantial) says whose
        approval it takes.

        Raises:
            Conflict: something else is asked for it already.
            NotServed: it, or a version it pins, is retired or quarantined.
            BadComposite: it pins no version of this registry.
        """
        body = {
            "environment": environment,
            "change_class": change,
            "reason": reason,
            "reference": reference,
            "re_conformity_reference": re_conformity,
        }
        path = (
            api("composites", ref, "approval-requests")
            if ref.startswith(CVI)
            else version_path(self._versions.get(ref), "approval-requests")
        )
        return self._transport.send("POST", path, body, ApprovalRequest)

    def list_(
        self,
        *,
        version: str | None = None,
        composite: str | None = None,
        environment: str | None = None,
        state: str | None = None,
    ) -> list[ApprovalRequest]:
        """Requests the caller may see, newest first: all, of a version alone, or of a composite."""
        params = {
            "version": version, "composite": composite, "environment": environment, "state": state,
        }  # fmt: skip

        def page_at(cursor: str | None) -> Page[ApprovalRequest]:
            query = {**params, "cursor": cursor}
            return self._transport.get(api("approval-requests"), Page[ApprovalRequest], query)

        return list(all_items(page_at))

    def get(self, request: str, *, environment: str = "production") -> ShownRequest:
        """One request and how it stands: by its id, or the open one of a version or composite there.

        Raises:
            NotFound: there is none.
        """
        if "@" in request or request.startswith(CVI):
            whole = request.startswith(CVI)
            ref = request if whole else self._versions.get(request).ref
            of = {"composite": ref} if whole else {"version": ref}
            found = self.list_(environment=environment, state="open", **of)
            if not found:
                raise NotFound(
                    f"nobody asks for {ref} to be approved for {environment}; ask:"
                    f" `muniment request {ref} --to {environment}`"
                )
            request = found[0].id
        return self._transport.get(api("approval-requests", request), ShownRequest)

    def of_composite(self, identifier: str) -> CompositeApprovals:
        """For which environments a composite is approved, until when, and if not, why.

        Raises:
            NotFound: there is none, or you may not see all of it.
        """
        return self._transport.get(api("composites", identifier, "approvals"), CompositeApprovals)

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
        review_step: str | None = None,
        comment: str = "",
        conditions: Sequence[tuple[str, dt.date]] = (),
        key: OwnKey | None = None,
    ) -> Given:
        """Approve, reject or defer a request, in one role; or say that a step does not apply.

        `review_step` is the step of the review it does; without, the only one of the role, if there is
        just one. `decision` `not_applicable` says of an optional step that it does not, and `comment` why.

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
            "review_step": review_step,
            "comment": comment,
            "conditions": [{"text": text, "due": due.isoformat()} for text, due in conditions],
        }
        if key is not None:
            shown = self.get(request_id)
            registry = registry_name(self._transport, shown.registry)
            said = Said(
                **signed_by(self._transport, registry, role),
                request_id=uuid.UUID(shown.id),
                decision=decision,
                sign_off=sign_off,
                review_step=_step_for(shown, decision, role, review_step),
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
        done = self._transport.send("POST", path, {"resolution": resolution}, Resolved)
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
        composite: str | None = None,
        environment: str | None = None,
        outcome: str | None = None,
    ) -> list[Decision]:
        """Decisions the caller may see, newest first: all, on a version alone, or on a composite."""
        params = {
            "version": version, "composite": composite, "environment": environment,
            "outcome": outcome,
        }  # fmt: skip

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


def _step_for(shown: ShownRequest, decision: str, role: str, named: str | None) -> str | None:
    """Return the step that is named, or the only one the role does."""
    if named is not None or decision != "approve":
        return named
    mine = [one["name"] for one in shown.review_steps if role in one["roles"]]
    return mine[0] if len(mine) == 1 else None


def _signed_word(shown: ShownRequest, said: Said, key: OwnKey) -> Mapping[str, Any]:
    found = frozen_sha256(shown.frozen).hex
    if found != shown.frozen_sha256:
        raise DigestMismatch(
            f"the registry shows a document with the digest {found} and says it is"
            f" {shown.frozen_sha256}: nothing was signed"
        )
    return sign(approval_statement(shown.frozen, said), key.sign, p256_of(key))
