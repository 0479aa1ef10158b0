"""Signers: whose signatures of models and provenance a registry believes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api
from muniment.core.errors import BadProof
from muniment.core.signers import Signer, SignerKind, SignerUse


class SignerRecord(Record, frozen=True, kw_only=True):
    """A signer as a registry has it: a public key (`key`), or an authority (`certificate`).

    Of `sigstore`, `pem` is a trusted root.
    """

    id: str = ""
    name: str
    kind: str = "key"
    pem: str
    uses: list[str] = msgspec.field(default_factory=list)
    builders: list[str] = msgspec.field(default_factory=list)
    identities: list[str] = msgspec.field(default_factory=list)
    issuer: str = ""
    added_at: dt.datetime | None = None
    removed_at: dt.datetime | None = None


class SignerCalls:
    """Calls about signers; to add and remove needs the role `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add(
        self,
        name: str,
        pem: str,
        *,
        uses: Sequence[str],
        kind: str = "key",
        builders: Sequence[str] = (),
        identities: Sequence[str] = (),
        issuer: str = "",
    ) -> SignerRecord:
        """Believe a signer from now on, for `signature`, `provenance` or both. Repeatable.

        `builders` are the builder ids whose provenance it may sign, a `*` at the end standing for any
        rest; `identities` the names that certificates of an authority may be in.
        Of kind `sigstore`, `pem` is a trusted root and `issuer` whose ID tokens the names are of.

        Raises:
            BadBody: it cannot be one; `problems` says all that is wrong.
            AlreadyExists: another has that name.
        """
        body = {
            "name": name,
            "kind": kind,
            "pem": pem,
            "uses": list(uses),
            "builders": list(builders),
            "identities": list(identities),
            "issuer": issuer,
        }
        return self._transport.send("POST", api("signers"), body, SignerRecord)

    def list_(self, *, removed: bool = False) -> list[SignerRecord]:
        """Whose signatures are believed, by name; `removed` adds who was."""
        params = {"removed": "true" if removed else None}
        return self._transport.get(api("signers"), Page[SignerRecord], params).items

    def remove(self, name: str) -> SignerRecord:
        """Believe a signer no more; what it vouched for stays recorded as it was.

        Raises:
            NotFound: there is none of that name.
        """
        return self._transport.send("POST", api("signers", name, "remove"), None, SignerRecord)


def as_signers(records: Iterable[SignerRecord]) -> list[Signer]:
    """Return signers in the form the verifier takes; those that were removed are left out.

    Raises:
        BadProof: one is of a kind, or for a use, that this release does not know.
    """
    try:
        return [
            Signer(
                name=each.name,
                kind=SignerKind(each.kind),
                pem=each.pem,
                uses=frozenset(map(SignerUse, each.uses)),
                builders=tuple(each.builders),
                identities=tuple(each.identities),
                issuer=each.issuer,
            )
            for each in records
            if each.removed_at is None
        ]
    except ValueError as error:
        raise BadProof(f"the list of signers cannot be read here: {error}") from error


def read_signers(file: Path) -> list[Signer]:
    """Read what `muniment signer list --json` printed.

    Raises:
        BadProof: the file holds something else.
    """
    try:
        return as_signers(msgspec.json.decode(file.read_bytes(), type=list[SignerRecord]))
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"cannot read signers from `{file}` ({error}); make it with `muniment signer list --json`"
        raise BadProof(msg) from error
