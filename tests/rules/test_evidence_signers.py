"""What a signer must be, and what evidence says of who vouches."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import uuid
from typing import Any

import pytest

from muniment.core.digest import digest_of
from muniment.core.signers import Signer, SignerKind, SignerUse
from muniment.core.statement import model_signing_statement
from muniment.server.evidence.plugins import parse
from muniment.server.evidence.records import (
    About,
    Assurance,
    Check,
    EvidenceKind,
    Flag,
    KnownSigner,
    Parsed,
    Unreadable,
)
from muniment.server.evidence.rules import signers, vouching
from muniment.server.ledger.records import Actor, Recorded, Subject
from tests.support.signing import (
    BUILDER,
    NOW,
    Authority,
    bundle_by,
    envelope_of,
    p256,
    pem_of,
    provenance_of,
)
from tests.support.sigstore import ISSUER, Sigstore

KEY: dict[str, Any] = {
    "name": "ci", "kind": SignerKind.KEY, "pem": pem_of(p256(1)), "uses": frozenset({SignerUse.SIGNATURE}),
}  # fmt: skip
PROVENANCE = frozenset({SignerUse.PROVENANCE})
AUTHORITY = {"kind": SignerKind.CERTIFICATE, "pem": Authority().pem}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []),
        ({"uses": PROVENANCE, "builders": (BUILDER,)}, []),
        ({**AUTHORITY, "identities": ("train",)}, []),
        ({"name": "A"}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 64}, ["name"]),
        ({"name": "registry"}, ["name"]),
        ({"pem": Authority().pem}, ["pem"]),
        ({"uses": frozenset()}, ["uses"]),
        ({"uses": PROVENANCE}, ["builders"]),
        ({"builders": (BUILDER,)}, ["builders"]),
        ({"uses": PROVENANCE, "builders": ("*",)}, ["builders"]),
        (AUTHORITY, ["identities"]),
        ({"identities": ("x",)}, ["identities"]),
        ({**AUTHORITY, "pem": "x", "name": "!"}, ["name", "pem", "identities"]),
    ],
)
def test_what_a_signer_must_be(change: dict[str, Any], fields: list[str]) -> None:
    found = list(signers.signer_problems(Signer(**{**KEY, **change})))
    assert [one["field"] for one in found] == fields


THROUGH = {
    **KEY, "kind": SignerKind.SIGSTORE, "pem": json.dumps(Sigstore().trusted_root()),
    "identities": ("https://github.com/acme/fraud/*",), "issuer": ISSUER,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []),
        ({"issuer": ""}, ["issuer"]),
        ({"identities": ()}, ["identities"]),
        ({"identities": ("*",)}, ["identities"]),
        ({"identities": ("https://*",)}, ["identities"]),
        ({"pem": KEY["pem"]}, ["pem"]),
        ({"kind": SignerKind.KEY, "pem": KEY["pem"]}, ["identities", "issuer"]),
    ],
)
def test_what_a_signer_through_sigstore_must_be(change: dict[str, Any], fields: list[str]) -> None:
    found = list(signers.signer_problems(Signer(**{**THROUGH, **change})))
    assert [one["field"] for one in found] == fields
    known = KnownSigner(uuid.UUID(int=9), Signer(**THROUGH), NOW, None)
    assert signers.payload(known)["issuer"] == ISSUER


def recorded(act: str, known: KnownSigner, payload: Any) -> Recorded:
    subject = Subject("signer", str(known.id), known.signer.name)
    return Recorded(uuid.UUID(int=1), NOW, act, Actor("person", "a"), subject, payload, 0)


def test_the_table_follows_from_the_log() -> None:
    known = KnownSigner(uuid.UUID(int=9), Signer(**KEY), NOW, None)
    rows: dict[str, Any] = {}
    signers.fold_signer(rows, recorded("signer.add", known, signers.payload(known)))
    assert dict([signers.row(known)]) == rows
    signers.fold_signer(rows, recorded("signer.add", known, None))
    signers.fold_signer(rows, recorded("asset.create", known, {}))
    later = NOW + dt.timedelta(days=1)
    removed = {"removed_at": "2026-06-02T00:00:00.000000Z"}
    signers.fold_signer(rows, recorded("signer.remove", known, removed))
    ended = KnownSigner(known.id, known.signer, NOW, later)
    assert dict([signers.row(ended)]) == rows


# --- what is said of who vouches -------------------------------------------------------------------

FILES = {"a": digest_of(b"a"), "b": digest_of(b"b")}
MANIFEST = digest_of(b"manifest")
ABOUT = About(
    "version", "1", "thing@1.0.0", None, {"model": str(MANIFEST), "env": str(digest_of(b"env"))},
    frozenset({MANIFEST, *FILES.values()}), FILES,
)  # fmt: skip
OMS = model_signing_statement("thing", {path: digest.hex for path, digest in FILES.items()})


def checked(value: Any, **more: Any) -> Check | Unreadable | None:
    data = json.dumps(value).encode()
    parsed = parse(data, "f")
    assert isinstance(parsed, Parsed), parsed
    known = [Signer(**{**KEY, **more})]
    return vouching.check_statement(
        parsed, ABOUT, name="f", digest=digest_of(data), signers=known, at=NOW
    )


def test_who_vouches_is_named() -> None:
    assert checked(bundle_by(OMS, p256(1))) == Check(
        Assurance.VERIFIED, "signer:ci", "signed with the key of ci"
    )
    found = checked(bundle_by(OMS, p256(1)), name="registry")
    assert isinstance(found, Check)
    assert found.signer == "registry"
    authority = Authority()
    leaf = authority.issue(p256(7), common="train")
    more = {"kind": SignerKind.CERTIFICATE, "pem": authority.pem, "identities": ("train",)}
    found = checked(bundle_by(OMS, p256(7), chain=[leaf]), **more)
    assert isinstance(found, Check)
    assert found.signer == "signer:ci train"


def test_why_nobody_vouches_is_a_flag_and_a_reason() -> None:
    part = provenance_of(FILES["a"])
    cases = [
        (bundle_by(OMS, p256(2)), {Flag.UNKNOWN_SIGNER}),
        (OMS, set()),
        (envelope_of(part), {Flag.UNCOVERED}),
        (envelope_of(part, p256(1)), {Flag.UNCOVERED}),
    ]
    for value, flags in cases:
        found = checked(value, uses=frozenset(SignerUse), builders=(BUILDER,))
        assert isinstance(found, Check)
        assert (found.assurance, found.signer) == (Assurance.ASSERTED, None)
        assert found.flags == flags
        assert found.reason


def test_a_contradiction_is_unreadable_and_named() -> None:
    other = model_signing_statement("thing", {"a": digest_of(b"x").hex, "c": digest_of(b"c").hex})
    found = checked(bundle_by(other, p256(1)))
    assert isinstance(found, Unreadable)
    assert [one["field"] for one in found.problems] == ["f a", "f c"]
    forged = bundle_by(OMS, p256(1))
    forged["dsseEnvelope"]["signatures"] = envelope_of(OMS, p256(2))["signatures"]
    found = checked(forged)
    assert isinstance(found, Unreadable)
    assert (found.problems[0]["field"], bool(found.problems[0]["fix"])) == ("f", True)


def test_other_kinds_have_nobody_to_vouch_for_them_here() -> None:
    plain = Parsed(kind=EvidenceKind.SBOM, format="x", format_version="1")
    bare = Parsed(kind=EvidenceKind.SIGNATURE, format="unknown", format_version="1")
    for parsed in (plain, bare):
        found = vouching.check_statement(
            parsed, ABOUT, name="f", digest=MANIFEST, signers=[], at=NOW
        )
        assert found is None


def test_who_vouches_is_judged_of_versions_alone() -> None:
    about = dataclasses.replace(ABOUT, kind="composite")
    data = json.dumps(bundle_by(OMS, p256(1))).encode()
    parsed = parse(data, "f")
    assert isinstance(parsed, Parsed)
    found = vouching.check_statement(
        parsed, about, name="f", digest=digest_of(data), signers=[Signer(**KEY)], at=NOW
    )
    assert isinstance(found, Check)
    assert (found.assurance, found.signer) == (Assurance.ASSERTED, None)
    assert "version" in found.reason
