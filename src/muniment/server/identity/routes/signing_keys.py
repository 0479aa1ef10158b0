"""People's own keys over HTTP. Public keys are public: whoever may read something may list them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import AlreadyExists, Conflict, NotAllowed, NotFound
from muniment.core.statement import public_key_pem
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import EVERYTHING, Verb
from muniment.server.identity.actions import signing_keys as actions
from muniment.server.identity.records import CameIn, SigningKey
from muniment.server.identity.routes.bodies import by, id_of
from muniment.server.identity.store import signing_keys as store
from muniment.server.ports.db import Tx

_KEYS = "/api/v1/signing-keys"


class NewSigningKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that is to be the caller's own.

    `public_key` is PEM (ECDSA P-256). `proof` is base64 of a signature (ASN.1 DER) by that key over
    `muniment/signing-key/v1`, the caller's id, and SHA-256 of the PEM in hex, each followed by a line feed.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    public_key: Annotated[str, msgspec.Meta(max_length=1000)]
    proof: Annotated[str, msgspec.Meta(max_length=200)]


class SigningKeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A person's own public key; `key_sha256` is of its PEM. Once revoked, what it signed does not count.

    `came_in` is how the session that made it known came in (null: not known).
    """

    id: uuid.UUID
    principal_id: uuid.UUID
    name: str
    public_key: str
    key_sha256: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None
    revoked_by: uuid.UUID | None
    came_in: CameIn | None


class SigningKeysQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whose keys (everybody's, if it is not said), and whether revoked ones too."""

    principal_id: uuid.UUID | None = None
    revoked: bool = False
    limit: Limit = 50
    cursor: Cursor | None = None


class _AfterId(msgspec.Struct, frozen=True):
    id: uuid.UUID


def _body(key: SigningKey) -> SigningKeyBody:
    return SigningKeyBody(
        id=key.id,
        principal_id=key.principal_id,
        name=key.name,
        public_key=public_key_pem(key.public_key),
        key_sha256=key.key_sha256,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
        came_in=key.came_in,
    )


async def create_signing_key(call: Call, tx: Tx) -> Reply:
    """Make a key known as the caller's own."""
    body: NewSigningKeyBody = call.body
    key, new = await actions.create_key(
        tx, call.caller, name=body.name, pem=body.public_key, proof=body.proof, by=by(call)
    )
    return Reply(_body(key), status=201 if new else 200)


async def list_signing_keys(call: Call, tx: Tx) -> Reply:
    """List people's own keys, newest first."""
    query: SigningKeysQuery = call.query
    found = await store.list_keys(
        tx,
        principal_id=query.principal_id,
        revoked=query.revoked,
        after=read_cursor(query.cursor, _AfterId).id if query.cursor else None,
        limit=query.limit + 1,
    )
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([_body(each) for each in items], cursor))


async def revoke_signing_key(call: Call, tx: Tx) -> Reply:
    """Have a key count no more: one's own, or anybody's for an administrator."""
    key = await store.get_key(tx, id_of(call, "key_id"))
    if key.principal_id != call.caller.id and not call.may(Verb.ADMINISTER, EVERYTHING):
        raise NotAllowed("that key is another person's: its owner or an administrator revokes it")
    return Reply(_body(await actions.revoke_key(tx, key, by(call))))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_KEYS,
        id="create_signing_key",
        summary="Make a key known as one's own",
        handler=create_signing_key,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=NewSigningKeyBody,
        returns=SigningKeyBody,
        status=201,
        also=(200,),
        errors=(NotAllowed, Conflict, AlreadyExists),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_KEYS,
        id="list_signing_keys",
        summary="List people's own keys",
        handler=list_signing_keys,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=SigningKeysQuery,
        returns=Page[SigningKeyBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_KEYS + "/{key_id}/revoke",
        id="revoke_signing_key",
        summary="Have a key count no more",
        handler=revoke_signing_key,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        returns=SigningKeyBody,
        errors=(NotFound, NotAllowed),
        tag="identity",
    ),
]
