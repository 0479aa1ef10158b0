"""What a signer must be, and how the table of signers follows from the log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.envelope import read_public_key
from muniment.core.errors import BadProof
from muniment.core.signers import Signer, SignerKind, SignerUse, read_authorities
from muniment.server.evidence.records import KnownSigner
from muniment.server.evidence.rules.reading import problem
from muniment.server.evidence.rules.vouching import REGISTRY
from muniment.server.ledger.records import Fields, Key, Recorded

ADD: Final = "signer.add"
REMOVE: Final = "signer.remove"
NAME_MAX_CHARS: Final = 63
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def signer_problems(signer: Signer) -> Iterator[dict[str, Any]]:
    """Yield all that keeps somebody from being a signer."""
    if not _NAME.fullmatch(signer.name):
        yield problem(
            "name", "expected lower-case letters, digits, `.`, `_` and `-`, found another"
        )
    elif signer.name == REGISTRY:
        yield problem("name", f"`{REGISTRY}` is the registry itself", "choose another name")
    try:
        read = read_public_key if signer.kind is SignerKind.KEY else read_authorities
        read(signer.pem)
    except BadProof as error:
        yield problem("pem", error.message)
    if not signer.uses:
        yield problem("uses", "expected `signature`, `provenance` or both, found neither")
    if (SignerUse.PROVENANCE in signer.uses) != bool(signer.builders):
        yield problem(
            "builders",
            "expected the ids of the builders it may speak for exactly where it may vouch for"
            " provenance",
            "give the `builder.id` of its provenance, or leave provenance out",
        )
    if any(one.startswith("*") for one in signer.builders):
        yield problem("builders", "expected a `*` at the end of an id only: it stands for any rest")
    if (signer.kind is SignerKind.CERTIFICATE) != bool(signer.identities):
        yield problem(
            "identities",
            "expected the names its certificates may be in exactly where it is an authority",
            "an authority issues certificates to many: say whose are believed",
        )


def payload(known: KnownSigner) -> Fields:
    """Return the payload of `signer.add`."""
    signer = known.signer
    return {
        "name": signer.name,
        "kind": signer.kind.value,
        "pem": signer.pem,
        "uses": sorted(signer.uses),
        "builders": list(signer.builders),
        "identities": list(signer.identities),
        "added_at": time_text(known.added_at),
    }


def row(known: KnownSigner) -> tuple[Key, Fields]:
    """Return the row of a signer as the fold has it."""
    removed = None if known.removed_at is None else time_text(known.removed_at)
    return str(known.id), {**payload(known), "removed_at": removed}


def fold_signer(rows: dict[Key, Fields], entry: Recorded) -> None:
    """Apply `signer.add` and `signer.remove`."""
    if entry.payload is None:
        return
    if entry.act == ADD:
        rows[entry.subject.id] = {**entry.payload, "removed_at": None}
    elif entry.act == REMOVE:
        rows[entry.subject.id] = {
            **rows[entry.subject.id],
            "removed_at": entry.payload["removed_at"],
        }
