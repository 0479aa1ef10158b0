"""Signers over HTTP: whose signatures of models and provenance the registry believes."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Final

import msgspec

from muniment.core.errors import AlreadyExists, BadBody, NotFound
from muniment.core.signers import Signer, SignerKind, SignerUse
from muniment.server import ledger
from muniment.server.evidence import actions, reads
from muniment.server.evidence.records import KnownSigner
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import By
from muniment.server.ports.db import Tx

_SIGNERS: Final = "/api/v1/signers"
_TAG: Final = "signers"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Texts = Annotated[list[_Text], msgspec.Meta(max_length=100)]


class SignerBody(msgspec.Struct, frozen=True, kw_only=True):
    """A signer: a public key, or an authority and the names its certificates may be in.

    Or, through Sigstore, a trusted root (as `pem`), the issuer of ID tokens and the names it vouches
    for. `builders` are the builder ids whose provenance it may sign.
    """

    id: uuid.UUID
    name: str
    kind: SignerKind
    pem: str
    uses: list[SignerUse]
    builders: list[str]
    identities: list[str]
    issuer: str
    added_at: dt.datetime
    removed_at: dt.datetime | None


class NewSignerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signer to believe. `pem`: its public key, or the certificates of the authority.

    Of kind `sigstore`: the trusted root (`trusted_root.json`), with `issuer` and `identities`, in which
    a `*` at the end stands for any rest.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    kind: SignerKind = SignerKind.KEY
    pem: Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
    uses: Annotated[list[SignerUse], msgspec.Meta(min_length=1, max_length=2)]
    builders: _Texts = []
    identities: _Texts = []
    issuer: Annotated[str, msgspec.Meta(max_length=500)] = ""


class SignersBody(msgspec.Struct, frozen=True):
    """Signers by name; those that were removed after those that were not."""

    items: list[SignerBody]


class SignersQuery(msgspec.Struct, frozen=True):
    """`removed` lists those too that are not believed any more."""

    removed: bool = False


def _body(known: KnownSigner) -> SignerBody:
    signer = known.signer
    return SignerBody(
        id=known.id,
        name=signer.name,
        kind=signer.kind,
        pem=signer.pem,
        uses=sorted(signer.uses),
        builders=list(signer.builders),
        identities=list(signer.identities),
        issuer=signer.issuer,
        added_at=known.added_at,
        removed_at=known.removed_at,
    )


async def list_signers(call: Call, tx: Tx) -> Reply:
    """List whose signatures are believed, and for what."""
    found = await reads.signers(tx, removed=call.query.removed)
    return Reply(SignersBody([_body(one) for one in found]))


async def add_signer(call: Call, tx: Tx) -> Reply:
    """Believe a signer from now on. The same again is answered alike."""
    body: NewSignerBody = call.body
    signer = Signer(
        name=body.name,
        kind=body.kind,
        pem=body.pem,
        uses=frozenset(body.uses),
        builders=tuple(body.builders),
        identities=tuple(body.identities),
        issuer=body.issuer,
    )
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    known, new = await actions.add_signer(tx, signer, by)
    return Reply(_body(known), status=201 if new else 200)


async def remove_signer(call: Call, tx: Tx) -> Reply:
    """Believe a signer no more; what it vouched for stays recorded as it was."""
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    return Reply(_body(await actions.remove_signer(tx, call.path["signer"], by)))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_SIGNERS,
        id="list_signers",
        summary="List whose signatures are believed",
        handler=list_signers,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=SignersQuery,
        returns=SignersBody,
        tag=_TAG,
    ),
    Operation(
        method="POST",
        path=_SIGNERS,
        id="add_signer",
        summary="Believe a signer",
        handler=add_signer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=NewSignerBody,
        returns=SignerBody,
        status=201,
        also=(200,),
        errors=(AlreadyExists, BadBody),
        tag=_TAG,
    ),
    Operation(
        method="POST",
        path=f"{_SIGNERS}/{{signer}}/remove",
        id="remove_signer",
        summary="Believe a signer no more",
        handler=remove_signer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=SignerBody,
        errors=(NotFound,),
        tag=_TAG,
    ),
]
