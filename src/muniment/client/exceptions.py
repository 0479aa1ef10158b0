"""Exceptions to rules: grant, list, revoke."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from muniment.client.approval_records import Decision, Granted, RuleException
from muniment.client.paging import all_items
from muniment.client.records import Page
from muniment.client.signatures import p256_of, registry_name, signed_by
from muniment.client.signing import OwnKey
from muniment.client.transport import Transport, api
from muniment.client.versions import Versions, version_path
from muniment.core.approvals import Waiver, exception_statement, sign
from muniment.core.digest import Digest


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
                **signed_by(self._transport, registry, role),
                rule=rule,
                version_id=uuid.UUID(version.id or ""),
                ref=version.ref,
                manifest=Digest.parse(version.manifest_digest),
                environment=environment,
                until=until,
                reason=reason,
                control=control,
            )
            signed = sign(exception_statement(waiver), key.sign, p256_of(key))
            body = {"environment": environment, "bundle": signed}
        done = self._transport.send("POST", version_path(version, "exceptions"), body, Granted)
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
