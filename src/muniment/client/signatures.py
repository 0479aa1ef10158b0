"""What every signature of a person says, whatever it is of."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from typing import Any

from muniment.client import trust
from muniment.client.principals import Principals
from muniment.client.records import LogKeys
from muniment.client.signing import OwnKey
from muniment.client.transport import Transport, api
from muniment.core.errors import BadProof, LogInconsistent

_P256_BYTES = 91


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


def signed_by(transport: Transport, registry: str, role: str) -> dict[str, Any]:
    """Return what every signature says: to whom, by whom, when, as what."""
    me = Principals(transport).whoami()
    return {
        "registry": registry,
        "person": uuid.UUID(str(me.id)),
        "role": role,
        "at": dt.datetime.now(dt.UTC).replace(microsecond=0),
        "nonce": secrets.token_hex(16),
    }


def p256_of(key: OwnKey) -> bytes:
    """Return the public key of an own key.

    Raises:
        BadProof: it is of another curve than people's keys here.
    """
    der = key.public_key_der
    if len(der) != _P256_BYTES:
        raise BadProof("expected an ECDSA P-256 key; make one with `muniment key create`")
    return der
