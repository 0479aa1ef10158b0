"""What webhooks of our own format are told of, and how.

1. An event is an act of the ledger under its own name (`version.promote`). An act that moves aliases
   beside what else it does tells `alias.set` for each move as well.
2. A webhook asks for names, for all of a noun (`version.*`), or for everything (`*`).
3. Principals, roles, tokens, people's keys, webhooks themselves and corrections of the log are told
   to nobody.
4. A payload of more than 64 KiB is left out: the entry has it.
5. The message is Standard Webhooks' (`webhook-id`, `webhook-timestamp`, `webhook-signature`): `type`,
   `timestamp`, `data`. The same delivery has the same id and body in every attempt.

Source: R-153; Standard Webhooks 1.0.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.entry import time_text
from muniment.core.errors import BadJson
from muniment.server.federation.records import Envelope, Event, Message, Told, WebhookState
from muniment.server.federation.rules import sealing

NATIVE: Final = "muniment"
ALIAS_SET: Final = "alias.set"
TEST: Final = "webhook.test"
#: What there is to be told of; slices above and below may know more (rule 2 lets those through).
KNOWN: Final = (
    ALIAS_SET,
    "approval.approve",
    "approval.defer",
    "approval.expiring",
    "approval.not_applicable",
    "approval.refuse",
    "approval.reject",
    "asset.annotate",
    "asset.create",
    "asset.rename",
    "asset.tombstone",
    "blob.fail",
    "blob.heal",
    "comment.add",
    "comment.resolve",
    "condition.meet",
    "consumer.acknowledge",
    "consumer.bind",
    "consumer.end",
    "consumer.refuse",
    "decision.approve",
    "decision.reject",
    "evidence.add",
    "exception.grant",
    "exception.refuse",
    "exception.revoke",
    "namespace.create",
    "namespace.govern",
    "promotion.refuse",
    "request.open",
    "request.withdraw",
    "scan.record",
    "scrub.finish",
    "signer.add",
    "signer.remove",
    "version.abandon",
    "version.annotate",
    "version.deprecate",
    "version.hand_over",
    "version.promote",
    "version.quarantine",
    "version.register",
    "version.reinstate",
    "version.release",
    "version.reserve",
    "version.retire",
    "version.rollback",
    "version.tombstone",
    "version.withdraw",
    "vulnerabilities.import",
)
_UNTOLD: Final = frozenset({"entry", "principal", "role", "signing_key", "token", "webhook"})
#: Acts that may move aliases.
_MOVING: Final = ("asset.*", "version.*")
_PAYLOAD_MAX_BYTES: Final = 64 * 1024


class Native:
    """Our own format."""

    name = NATIVE

    def problems(self, state: WebhookState) -> Sequence[Mapping[str, str]]:
        """Return what is wrong with the events of a webhook."""
        patterns = {"*", *KNOWN, *(f"{one.partition('.')[0]}.*" for one in KNOWN)}
        return [
            {"field": "events", "message": f"there is no event {one[:80]!a}", "fix": _near(one)}
            for one in state.events
            if one not in patterns
        ]

    def acts(self, events: Sequence[str]) -> tuple[str, ...]:
        """Return the acts that events may follow from."""
        also = _MOVING if any(one in {ALIAS_SET, "alias.*"} for one in events) else ()
        return tuple(sorted({*events, *also}))

    def events_of(self, told: Told) -> Sequence[Event]:
        """Return the act itself, then each alias it moved."""
        entry = told.entry
        if entry.act.partition(".")[0] in _UNTOLD:
            return []
        events = [Event(entry.act, _data(told, entry.payload))]
        if entry.act != ALIAS_SET:
            moves = (entry.payload or {}).get("alias_moves", [])
            events += [Event(ALIAS_SET, _data(told, move)) for move in moves]
        return events

    def wants(self, events: Sequence[str], name: str) -> bool:
        """Say whether one of `events` is `name`, or a pattern that covers it."""
        return not {"*", name, f"{name.partition('.')[0]}.*"}.isdisjoint(events)

    def example(self, events: Sequence[str]) -> Event:  # noqa: ARG002 -- it is of none of them
        """Return an event that says it is a test."""
        return Event(TEST, {"message": "muniment tries this webhook; nothing was done"})

    def message(self, event: Event, envelope: Envelope) -> Message:
        """Return what is sent: signed with each secret that holds."""
        done_at = time_text(envelope.done_at)
        body = canonical({"type": event.name, "timestamp": done_at, "data": dict(event.data)})
        sent_at = int(envelope.sent_at.timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": str(envelope.id),
            "webhook-timestamp": str(sent_at),
        }
        keys = [sealing.key_of(secret) for secret in envelope.secrets]
        if keys:
            headers["webhook-signature"] = " ".join(
                sealing.signature(key, str(envelope.id), sent_at, body) for key in keys
            )
        return Message(headers, body)


def _near(event: str) -> str:
    near = difflib.get_close_matches(event, KNOWN, 1, 0.6)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}There are {', '.join(KNOWN)}; `version.*` is all of a noun, `*` everything"


def _data(told: Told, payload: Mapping[str, Any] | None) -> dict[str, Any]:
    entry = told.entry
    data: dict[str, Any] = {
        "entry_id": str(entry.id),
        "act": entry.act,
        "actor": {"kind": entry.actor.kind, "id": entry.actor.id},
        "subject": {
            "kind": entry.subject.kind,
            "id": entry.subject.id,
            "name": entry.subject.name,
        },
        "digests": [str(digest) for digest in entry.digests],
    }
    if told.asset is not None:
        data["asset"] = {
            "id": str(entry.subject.asset_id),
            "namespace": str(told.asset.namespace),
            "name": str(told.asset.name),
            "kind": told.kind,
        }
    if told.versions:
        data["versions"] = {
            one: {"number": version.number, "version": version.version}
            for one, version in told.versions.items()
        }
    if payload is None:
        return data | {"payload": None}
    if _fits(payload):
        return data | {"payload": dict(payload)}
    return data | {"payload": None, "left_out": True}


def _fits(payload: Mapping[str, Any]) -> bool:
    try:
        return len(canonical([[dict(payload)]])) <= _PAYLOAD_MAX_BYTES
    except BadJson:  # nested as deep as may be: there is no room around it
        return False


def version_ids(payload: Mapping[str, Any] | None, subject: tuple[str, str]) -> list[str]:
    """Return the ids of the versions an entry is about, as far as its subject and payload say."""
    kind, subject_id = subject
    found = [subject_id] if kind == "version" else []
    if payload is not None:
        moves = [payload, *payload.get("alias_moves", [])]
        named = [move.get(key) for move in moves for key in ("version_id", "previous_version_id")]
        found += [one for one in named if isinstance(one, str)]
    return sorted(set(found))


NATIVE_DIALECT: Final = Native()
