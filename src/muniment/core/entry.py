"""What one act looks like in the log: its envelope, the payload beside it, the leaf they make.

1. The payload, with a random `salt` among its members, is canonical JSON. Only its digest is in
   the envelope, so personal data can be erased without breaking a proof, and nobody can guess
   what was erased by trying digests.
2. The leaf of an unsigned entry is the envelope's canonical JSON.
3. A signed entry is an in-toto statement whose predicate is the envelope with the payload inline
   (`record_statement`); its leaf is made by `muniment.core.statement`. Where the predicate is of
   somebody else's type, the members that type asks for are the payload's `predicate`, and stand in
   the statement's predicate as well.

Source: design §5, rule 3.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from muniment.core.canon import canonical, loads_strict
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadJson, BadProof
from muniment.core.merkle import MAX_ENTRY_BYTES
from muniment.core.statement import statement

SCHEMA = "muniment/entry/v1"
#: Acts that only the record key may say: whoever writes into the database alone cannot forge them.
SIGNED_ACTS = frozenset(
    {
        "decision.approve",
        "decision.reject",
        "evidence.add",
        "version.attest",
        "version.register",
    }
)

_ACT = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_.-]*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SALT = re.compile(r"[0-9a-f]{32}")
_HEX = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def envelope(
    *,
    entry_id: uuid.UUID,
    at: dt.datetime,
    act: str,
    actor: Mapping[str, Any],
    subject: Mapping[str, str],
    digests: Iterable[Digest],
    payload_sha256: Digest,
) -> dict[str, Any]:
    """Return the envelope of one act, ready for `entry_leaf` or `record_statement`.

    `actor` has `kind` and `id`, and `claims` (texts by name) if an issuer vouched for what it is;
    `subject` has `kind`, `id` and `name`; `at` is aware and is
    written in UTC with microseconds. `payload_sha256` is of `payload_bytes(...)`.
    """
    return {
        "schema": SCHEMA,
        "id": str(entry_id),
        "time": time_text(at),
        "actor": {name: actor[name] for name in ("kind", "id", "claims") if name in actor},
        "act": act,
        "subject": {"kind": subject["kind"], "id": subject["id"], "name": subject["name"]},
        "digests": [str(digest) for digest in digests],
        "payload_sha256": payload_sha256.hex,
    }


def time_text(at: dt.datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, microseconds and `Z`: `2026-04-20T09:00:00.000000Z`.

    Raises:
        BadProof: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise BadProof(f"expected a time with a zone, found {at.isoformat()}")
    return at.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def payload_bytes(payload: Mapping[str, Any], salt: str) -> bytes:
    """Return the payload as it is stored and hashed: canonical JSON with the member `salt`.

    `salt` is 32 random lower-case hexadecimal digits, new for each entry.

    Raises:
        BadProof: `salt` is anything else, or `payload` has a `salt` of its own.
        BadJson: `payload` has no canonical form.
    """
    if "salt" in payload or not _SALT.fullmatch(salt):
        raise BadProof("expected a salt of 32 hexadecimal digits beside a payload without one")
    return canonical({**payload, "salt": salt})


def read_payload(data: bytes) -> dict[str, Any]:
    """Return the payload that `payload_bytes` wrote, without its salt.

    Raises:
        BadProof: it is not one, byte for byte.
    """
    payload = _read_canonical(data, "payload", max_bytes=None)
    salt = payload.pop("salt", None)
    if not (isinstance(salt, str) and _SALT.fullmatch(salt)):
        raise BadProof("expected a payload with a salt of 32 hexadecimal digits, found none")
    return payload


def entry_leaf(fields: Mapping[str, Any]) -> bytes:
    """Return the leaf of an unsigned entry: the envelope's canonical JSON.

    Raises:
        BadProof: `fields` is no envelope, or the leaf would be longer than 65 535 bytes.
    """
    leaf = canonical(check_envelope(dict(fields)))
    if len(leaf) > MAX_ENTRY_BYTES:
        raise BadProof(f"expected a leaf of at most {MAX_ENTRY_BYTES} bytes, found {len(leaf)}")
    return leaf


def read_entry_leaf(leaf: bytes) -> dict[str, Any]:
    """Return the envelope that `entry_leaf` wrote.

    Raises:
        BadProof: it is not one, byte for byte.
    """
    return check_envelope(_read_canonical(leaf, "leaf", max_bytes=MAX_ENTRY_BYTES))


def read_unsigned_leaf(leaf: bytes) -> dict[str, Any]:
    """Return the envelope of an entry that nobody signed.

    Raises:
        BadProof: it is not one, byte for byte, or it is of an act that must be signed.
    """
    fields = read_entry_leaf(leaf)
    if fields["act"] in SIGNED_ACTS:
        raise BadProof(f"expected `{fields['act']}` signed by the record key, found it unsigned")
    return fields


def record_statement(
    fields: Mapping[str, Any], payload: bytes, predicate_type: str
) -> dict[str, Any]:
    """Return the in-toto statement of a signed entry.

    Its subjects are the envelope's digests under the subject's name, or the payload's digest if
    there are none; its predicate is the envelope and, as `payload`, the payload with its salt.

    Raises:
        BadProof: `fields` is no envelope, or is the envelope of another payload.
    """
    checked = check_envelope(dict(fields))
    read_payload(payload)
    if digest_of(payload).hex != checked["payload_sha256"]:
        raise BadProof("expected the payload that payload_sha256 names, found another")
    digests = checked["digests"] or [checked["payload_sha256"]]
    name = checked["subject"]["name"]
    subjects = [(name, Digest.parse(digest)) for digest in digests]
    inline = loads_strict(payload)
    also = _also(inline.get("predicate", {}))
    return statement(subjects, predicate_type, {**also, **checked, "payload": inline})


def record_statement_bytes(
    fields: dict[str, Any],
    payload: bytes,
    predicate_type: str,
    salt: str,
    also: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """Return the canonical JSON of `record_statement` for who has just made its parts.

    `fields` is a checked envelope and `payload` is `payload_bytes(…, salt)`, whose digest it has:
    none of it is looked at again, and the payload is not written out a second time. `also` is the
    payload's member `predicate`, if it has one.

    Raises:
        BadProof: a member of `also` is one of the envelope's.
    """
    digests = fields["digests"] or [fields["payload_sha256"]]
    name = fields["subject"]["name"]
    subjects = [(name, Digest.parse(digest)) for digest in digests]
    # Inside a text, quotes are escaped: nothing but the member itself can read like this.
    predicate = {**_also(also), **fields, "payload": salt}
    whole = canonical(statement(subjects, predicate_type, predicate))
    before, mark, after = whole.partition(f'"payload":"{salt}"'.encode())
    assert mark
    return before + b'"payload":' + payload + after


def read_record_statement(value: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the envelope and the payload's bytes of a statement `record_statement` made.

    `value` is as `loads_strict` reads it.

    Raises:
        BadProof: it is not one, member for member.
    """
    predicate = value.get("predicate")
    if not (isinstance(predicate, dict) and isinstance(predicate.get("payload"), dict)):
        raise BadProof("expected a statement with an entry and its payload as predicate")
    also = predicate["payload"].get("predicate", {})
    known = {"payload", *(also if isinstance(also, dict) else ())}
    fields = {name: each for name, each in predicate.items() if name not in known}
    payload = canonical(predicate["payload"])
    expected = record_statement(fields, payload, str(value.get("predicateType")))
    if canonical(expected) != canonical(value):
        raise BadProof("expected the statement that this entry makes, found another")
    return fields, payload


def _also(members: Any) -> Mapping[str, Any]:
    if not isinstance(members, Mapping) or not members.keys().isdisjoint({*_RULES, "payload"}):
        raise BadProof("expected members of a predicate that are none of an entry's, found others")
    return members


def check_envelope(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` if they are an envelope.

    Raises:
        BadProof: they are not; `problems` names every member that is wrong.
    """
    wrong = sorted(
        {name for name, holds in _RULES.items() if not holds(fields.get(name))}
        | (fields.keys() - _RULES.keys())
    )
    if wrong:
        problems = [{"field": str(name), "message": "not as in an envelope"} for name in wrong]
        raise BadProof(f"expected an entry ({SCHEMA}), found wrong: {wrong}", problems=problems)
    return fields


def _read_canonical(data: bytes, what: str, *, max_bytes: int | None) -> dict[str, Any]:
    limit = {} if max_bytes is None else {"max_bytes": max_bytes}
    try:
        value = loads_strict(data, **limit)
        same = canonical(value) == data
    except BadJson as error:
        raise BadProof(f"the {what} cannot be read: {error.message}") from None
    if not (same and isinstance(value, dict)):
        raise BadProof(f"expected the {what} as a canonical JSON object, found another form")
    return value


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        return False
    try:
        return time_text(dt.datetime.fromisoformat(value)) == value
    except ValueError:
        return False


def _has_texts(value: object, names: set[str], may_be_empty: str = "") -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == names
        and all(isinstance(each, str) for each in value.values())
        and all(each or name == may_be_empty for name, each in value.items())
    )


def _is_actor(value: object) -> bool:
    if not isinstance(value, dict) or "claims" not in value:
        return _has_texts(value, {"kind", "id"})
    claims = value["claims"]
    named = {name: each for name, each in value.items() if name != "claims"}
    return (
        isinstance(claims, dict)
        and bool(claims)
        and _has_texts(named, {"kind", "id"})
        and (_has_texts(claims, set(claims)))
    )


_RULES: dict[str, Callable[[object], bool]] = {
    "schema": lambda value: value == SCHEMA,
    "id": lambda value: _matches(_UUID, value),
    "time": _is_time,
    "actor": _is_actor,
    "act": lambda value: _matches(_ACT, value),
    "subject": lambda value: _has_texts(value, {"kind", "id", "name"}, may_be_empty="name"),
    "digests": lambda value: (
        isinstance(value, list) and all(_matches(_DIGEST, each) for each in value)
    ),
    "payload_sha256": lambda value: _matches(_HEX, value),
}
