"""What a signer must be, and how the table of signers follows from the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.envelope import read_public_key
from muniment.core.errors import BadProof
from muniment.core.keyless import read_trusted_root
from muniment.core.signers import Signer, SignerKind, SignerUse, read_authorities
from muniment.server.evidence.records import KnownSigner
from muniment.server.evidence.rules.reading import problem
from muniment.server.evidence.rules.vouching import REGISTRY
from muniment.server.ledger.records import Fields, Key, Recorded

ADD: Final = "signer.add"
REMOVE: Final = "signer.remove"
NAME_MAX_CHARS: Final = 63
_PREFIX_CHARS: Final = 12
_READ: Final[Mapping[SignerKind, Callable[[str], object]]] = {
    SignerKind.KEY: read_public_key,
    SignerKind.CERTIFICATE: read_authorities,
    SignerKind.SIGSTORE: read_trusted_root,
}
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
        _READ[signer.kind](signer.pem)
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
    yield from _named_problems(signer)


def _named_problems(signer: Signer) -> Iterator[dict[str, Any]]:
    """Yield what is wrong with whose certificates are meant."""
    if (signer.kind is not SignerKind.KEY) != bool(signer.identities):
        yield problem(
            "identities",
            "expected the names its certificates may be in exactly where it is no key",
            "an authority issues certificates to many: say whose are believed",
        )
    if (signer.kind is SignerKind.SIGSTORE) != bool(signer.issuer):
        yield problem(
            "issuer",
            "expected the issuer of ID tokens exactly where the signer is known through Sigstore",
            "such as https://token.actions.githubusercontent.com",
        )
    if signer.kind is SignerKind.SIGSTORE and any(
        len(one.rstrip("*")) < _PREFIX_CHARS for one in signer.identities if one.endswith("*")
    ):
        yield problem(
            "identities",
            "expected a `*` after what only they can have, found one that nearly anybody fits",
            "name the repository: https://github.com/OWNER/REPOSITORY/*",
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
        **({"issuer": signer.issuer} if signer.issuer else {}),
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
