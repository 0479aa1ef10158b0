"""Whose signatures are believed, and the registry's own signature of a version."""

from __future__ import annotations

import dataclasses
import datetime as dt

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.entry import time_text
from muniment.core.errors import BadBody, NotFound
from muniment.core.signers import Signer as KnownAs
from muniment.core.signers import SignerKind, SignerUse
from muniment.core.statement import model_signing_statement, public_key_pem, sign_bundle
from muniment.server import ledger
from muniment.server.catalog.records import Version
from muniment.server.evidence import plugins, reads, store
from muniment.server.evidence.actions.recording import record
from muniment.server.evidence.records import (
    About,
    Check,
    Evidence,
    EvidenceKind,
    Kept,
    KnownSigner,
    New,
    Parsed,
)
from muniment.server.evidence.rules import signers, vouching
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer

_UNSAFE = str.maketrans("/@", "__")


async def add_signer(tx: Tx, signer: KnownAs, by: By) -> tuple[KnownSigner, bool]:
    """Believe a signer from now on; return it, and whether it is new.

    One of the same name that is the same in everything is returned as it is.

    Raises:
        BadBody: it cannot be one; `problems` says all that is wrong.
        AlreadyExists: another has that name. Nothing is written in either case.
    """
    problems = list(signers.signer_problems(signer))
    if problems:
        raise BadBody("the signer cannot be added: see `problems`", problems=problems)
    for known in await reads.signers(tx):
        if known.signer == signer:
            return known, False
    new = KnownSigner(by.new_id(), signer, by.at, None)
    await store.insert_signer(tx, new)
    await _log(tx, new, signers.ADD, signers.payload(new), by)
    return new, True


async def remove_signer(tx: Tx, name: str, by: By) -> KnownSigner:
    """Believe a signer no more, for good.

    Raises:
        NotFound: there is none of that name. Nothing is written.
    """
    known = next((one for one in await reads.signers(tx) if one.signer.name == name), None)
    if known is None or await store.remove_signer(tx, name, by.at) is None:
        raise NotFound(f"there is no signer {name[:80]!r}; see `muniment signer list`")
    await _log(tx, known, signers.REMOVE, {"removed_at": time_text(by.at)}, by)
    return dataclasses.replace(known, removed_at=by.at)


async def _log(tx: Tx, known: KnownSigner, act: str, payload: dict[str, object], by: By) -> None:
    entry = Entry(
        id=by.new_id(),
        at=by.at,
        act=act,
        actor=by.actor,
        subject=Subject("signer", str(known.id), known.signer.name),
        payload=payload,
    )
    await ledger.append(tx, entry)


def registry_signer(public_key_der: bytes) -> KnownAs:
    """Return the registry itself as a signer of models."""
    return KnownAs(
        name=vouching.REGISTRY,
        kind=SignerKind.KEY,
        pem=public_key_pem(public_key_der),
        uses=frozenset({SignerUse.SIGNATURE}),
    )


def sign(about: About, key: Signer, at: dt.datetime) -> tuple[New, bytes]:
    """Sign the files of a version with the registry's key; return the evidence to be, and its file.

    Nothing is written, and the file is not held yet (`keep`).

    Raises:
        BadManifest: it has no files to sign.
    """
    digests = {path: digest.hex for path, digest in about.files.items()}
    bundle, _ = sign_bundle(
        model_signing_statement(about.name, digests), key.sign, key.public_key_der
    )
    data = canonical(bundle)
    name = f"{about.name.translate(_UNSAFE)}.registry.sig"
    parsed = plugins.parse(data, name, kind=EvidenceKind.SIGNATURE)
    assert isinstance(parsed, Parsed), "what is written here is read here"
    known = [registry_signer(key.public_key_der)]
    check = vouching.check_statement(
        parsed, about, name=name, digest=digest_of(data), signers=known, at=at
    )
    assert isinstance(check, Check), "what is signed here is signed by us"
    new = New(
        about=about,
        file_name=name,
        digest=digest_of(data),
        size_bytes=len(data),
        parsed=parsed,
        check=check,
    )
    return new, data


def as_kept(new: New, kept: Kept) -> New:
    """Return evidence to be whose file the registry made and has held."""
    return dataclasses.replace(new, kept=kept)


async def record_signature(
    tx: Tx, version: Version, new: New, by: By, key: Signer
) -> tuple[Evidence, bool]:
    """Record the registry's signature of a version, unless there is one; return it, and whether new.

    Signatures of the same files differ each time, and one is enough: who comes second waits.
    """
    await store.lock_signature(tx, version.id)
    there = await reads.registry_signature(tx, version)
    return (there, False) if there is not None else await record(tx, new, by, key)
