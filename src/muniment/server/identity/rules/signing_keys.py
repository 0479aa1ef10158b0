"""What a person's own key must be.

1. Only people have keys: whoever signs is a named human being (R-114).
2. It is an ECDSA P-256 key, and its owner has shown to have the private half.
3. It is one person's for good; a name is one key's while that holds.

Source: trust.md §8; R-112, R-114.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from muniment.core.canon import from_base64
from muniment.core.errors import AlreadyExists, BadBody, BadProof, BadSignature, Conflict
from muniment.core.own_keys import NAME, check_possession, read_own_key
from muniment.server.identity.records import SigningKey

MOST_KEYS: Final = 20


def read_new_key(principal_id: uuid.UUID, name: str, pem: str, proof: str) -> bytes:
    """Return the public key (DER) that somebody wants to be theirs.

    Raises:
        BadBody: the name, the key or the proof is none; `problems` has all that can be told.
    """
    problems = []
    if not NAME.fullmatch(name):
        message = "expected lower-case letters, digits, `.`, `_`, `-`, at most 63"
        problems.append({"field": "name", "message": message, "fix": "such as `laptop`"})
    public_der = b""
    try:
        public_der = read_own_key(pem)
    except BadProof as error:
        fix = "make one with `muniment key create`"
        problems.append({"field": "public_key", "message": error.message, "fix": fix})
    if public_der:
        try:
            check_possession(str(principal_id), public_der, from_base64(proof))
        except (BadProof, BadSignature):
            message = "does not show that the private key is yours"
            fix = "sign with that key, for your own id: `muniment key create` does"
            problems.append({"field": "proof", "message": message, "fix": fix})
    if problems:
        first = problems[0]
        raise BadBody(f"`{first['field']}`: {first['message']}", problems=problems)
    return public_der


def check_new(
    principal_id: uuid.UUID, name: str, same: SigningKey | None, own: Iterable[SigningKey]
) -> SigningKey | None:
    """Return the key that is there already, if it is just the one wanted; None if it may be made.

    `same` is the key of that digest, `own` the person's keys.

    Raises:
        Conflict: it is somebody else's, was revoked, has another name, or there are too many.
        AlreadyExists: another key of theirs has that name.
    """
    if same is not None:
        if same.principal_id != principal_id:
            raise Conflict("that key is another person's; make one of your own")
        if same.revoked_at is not None:
            raise Conflict("that key was revoked, for good; make another")
        if same.name != name:
            raise Conflict(f"that key is yours already, called `{same.name}`")
        return same
    live = [key for key in own if key.revoked_at is None]
    if any(key.name == name for key in live):
        raise AlreadyExists(
            f"you have a key called `{name}`; revoke it first (`muniment key revoke {name}`), or"
            " choose another name"
        )
    if len(live) >= MOST_KEYS:
        raise Conflict(f"you have {len(live)} keys already; revoke those you do not use")
    return None
