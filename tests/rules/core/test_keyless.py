"""Certificates that live minutes: what shows that one was used in time, and all that does not.

Sigstore's own library judges what the tests make; a bundle of its public instance is judged by us.
"""

from __future__ import annotations

import copy
import datetime as dt
import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from muniment.core.canon import canonical, from_base64, to_base64
from muniment.core.digest import digest_of
from muniment.core.envelope import read_envelope
from muniment.core.errors import BadProof
from muniment.core.keyless import issuer_of, read_trusted_root
from muniment.core.signers import Signer, SignerKind, SignerUse, Vouched, vouch
from tests.support.signing import BUILDER, NOW, p256, provenance_of
from tests.support.sigstore import ISSUER, LOGGED_AT, WORKFLOW, Sigstore

PUBLIC = Path(__file__).parents[2] / "samples" / "signed" / "sigstore-public-0.3.json"
SAID = provenance_of(digest_of(b"model"))
LATER = NOW + dt.timedelta(days=30)


def signer(root: dict[str, Any] | None = None, **changes: Any) -> Signer:
    said: dict[str, Any] = {
        "pem": json.dumps(root or Sigstore().trusted_root()), "identities": (WORKFLOW,), "issuer": ISSUER,
        "builders": (BUILDER,),
    }  # fmt: skip
    uses = frozenset({SignerUse.PROVENANCE})
    return Signer(name="actions", kind=SignerKind.SIGSTORE, uses=uses, **said | changes)


def judged(bundle: dict[str, Any], *signers: Signer) -> Vouched:
    return vouch(
        read_envelope(bundle),
        signers or [signer()],
        use=SignerUse.PROVENANCE,
        at=LATER,
        builder=BUILDER,
    )


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_a_log_says_when_it_was_used(kind: str) -> None:
    found = judged(Sigstore().bundle(SAID, kind=kind))
    assert (found.signer, found.identity) == ("actions", WORKFLOW)
    assert "2026-06-01 00:03:00Z" in found.reason
    prefix = signer(identities=("https://github.com/acme/fraud/*",))
    assert judged(Sigstore().bundle(SAID, kind=kind), prefix).signer == "actions"


def test_sigstore_itself_accepts_what_is_made_here(tmp_path: Path) -> None:
    sigstore, file = Sigstore(), tmp_path / "trusted_root.json"
    file.write_text(json.dumps(sigstore.trusted_root()))
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(file)))
    bundle = Bundle.from_json(json.dumps(sigstore.bundle(SAID)))
    verifier.verify_dsse(bundle, policy.Identity(identity=WORKFLOW, issuer=ISSUER))


def test_a_bundle_of_the_public_instance() -> None:
    stored = importlib.resources.files("sigstore") / "_store"
    [folder] = [each for each in stored.iterdir() if each.name.endswith("sigstore.dev")]
    root = (folder / "trusted_root.json").read_text()
    bundle = json.loads(PUBLIC.read_text())
    workflow = (
        "https://github.com/wolfv/sigstore-test/.github/workflows/action.yaml@refs/heads/main"
    )
    found = judged(bundle, signer(pem=root, identities=(workflow,)))
    assert (found.signer, found.identity) == ("actions", workflow)
    assert "2025-01-28 10:28:16Z" in found.reason
    assert judged(bundle).signer is None


Changed = Callable[[dict[str, Any]], None]


def entry_of(bundle: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


def logged_otherwise(change: Callable[[dict[str, Any]], Any]) -> Changed:
    """Have the log itself take another body: what it says then is of something else."""

    def changed(bundle: dict[str, Any]) -> None:
        body = json.loads(from_base64(entry_of(bundle)["canonicalizedBody"]))
        change(body)
        entry = Sigstore().entry(canonical(body), body["kind"], LOGGED_AT)
        bundle["verificationMaterial"]["tlogEntries"] = [entry]

    return changed


def set_at(*path: Any, value: Any) -> Changed:
    def changed(bundle: dict[str, Any]) -> None:
        at: Any = entry_of(bundle)
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return changed


def gone(*path: Any) -> Changed:
    def changed(bundle: dict[str, Any]) -> None:
        at: Any = entry_of(bundle)
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return changed


def made_by(**parts: Any) -> Changed:
    return lambda bundle: bundle.update(Sigstore(**parts).bundle(SAID))


OTHER_PEM = to_base64(
    b"-----BEGIN CERTIFICATE-----\n"
    + "\n".join(json.loads(PUBLIC.read_text())["verificationMaterial"]["certificate"]["rawBytes"]
                [at : at + 64] for at in range(0, 2300, 64)).encode()
    + b"\n-----END CERTIFICATE-----\n"
)  # fmt: skip
ATTACKS: dict[str, tuple[Changed, str]] = {
    "no entry": (lambda b: b["verificationMaterial"].update(tlogEntries=[]), "no entry"),
    "another log": (made_by(log=p256(60)), "does not name"),
    "another authority": (made_by(authority=p256(61)), "no authority"),
    "no promise to log the certificate": (made_by(sct=False), "promised to log"),
    "another log of certificates": (made_by(certificate_log=p256(62)), "promised to log"),
    "used after it ended": (
        lambda b: b.update(Sigstore().bundle(SAID, at=NOW + dt.timedelta(hours=1))), "no authority",
    ),
    "used before it began": (
        lambda b: b.update(Sigstore().bundle(SAID, at=NOW - dt.timedelta(hours=1))), "no authority",
    ),
    "before the log's key": (
        lambda b: b.update(Sigstore().bundle(SAID, at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))), "not valid",
    ),
    "another time": (set_at("integratedTime", value="1780272181"), "did not sign"),
    "another index": (set_at("logIndex", value="42"), "did not sign"),
    "another promise": (
        set_at("inclusionPromise", "signedEntryTimestamp", value=to_base64(b"0" * 70)), "did not sign",
    ),
    "no promise": (gone("inclusionPromise"), "signed no time"),
    "no time": (gone("integratedTime"), "signed no time"),
    "another tree": (set_at("inclusionProof", "treeSize", value="2"), "another tree"),
    "another root": (set_at("inclusionProof", "rootHash", value=to_base64(b"0" * 32)), "another tree"),
    "a place it has not": (set_at("inclusionProof", "logIndex", value="1"), "does not hold"),
    "more hashes": (set_at("inclusionProof", "hashes", value=[to_base64(b"0" * 32)]), "does not hold"),
    "far more hashes": (set_at("inclusionProof", "hashes", value=[""] * 65), "too many"),
    "a checkpoint nobody signed": (
        lambda b: set_at("inclusionProof", "checkpoint", "envelope", value=entry_of(b)["inclusionProof"][
            "checkpoint"]["envelope"].replace("rekor.example - 1", "rekor.example - 2"))(b), "sign the checkpoint",
    ),
    "no checkpoint": (gone("inclusionProof", "checkpoint"), "cannot be read"),
    "a checkpoint of one line": (
        set_at("inclusionProof", "checkpoint", "envelope", value="x\n\n"), "cannot be read",
    ),
    "another statement": (
        logged_otherwise(lambda body: body["spec"]["payloadHash"].update(value="0" * 64)), "another statement",
    ),
    "another signature": (
        logged_otherwise(lambda body: body["spec"]["signatures"][0].update(signature=to_base64(b"x"))),
        "another signature",
    ),
    "another certificate": (
        logged_otherwise(lambda body: body["spec"]["signatures"][0].update(verifier=OTHER_PEM)),
        "another certificate",
    ),
    "another kind": (logged_otherwise(lambda body: body.update(kind="rfc3161")), "not read here"),
    "no body": (gone("canonicalizedBody"), "cannot be read"),
    "numbers that are none": (set_at("logIndex", value="x"), "cannot be read"),
    "times no clock has": (set_at("integratedTime", value="9" * 30), "does not hold"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_shows_nothing(name: str) -> None:
    change, said = ATTACKS[name]
    bundle = copy.deepcopy(Sigstore().bundle(SAID))
    change(bundle)
    found = judged(bundle)
    assert found.signer is None
    assert said in found.reason, found.reason


def test_whose_it_is() -> None:
    bundle = Sigstore().bundle(SAID)
    for other in (
        signer(issuer="https://accounts.example"), signer(identities=(WORKFLOW + "x",)),
        signer(identities=("https://github.com/acme/fraudulent/*",)),
    ):  # fmt: skip
        found = judged(bundle, other)
        assert found.signer is None
        assert "nobody who is believed" in found.reason
    # One after the other: the one it is of is found.
    assert judged(bundle, signer(issuer="https://accounts.example"), signer()).signer == "actions"
    root = Sigstore().trusted_root()
    root["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-05-01T00:00:00Z"
    assert "not valid when it signed" in judged(bundle, signer(root)).reason
    root = Sigstore().trusted_root()
    root["certificateAuthorities"][0]["validFor"]["end"] = "2026-05-01T00:00:00Z"
    assert "no authority" in judged(bundle, signer(root)).reason
    unlogged = Sigstore(sct=False)
    root = unlogged.trusted_root() | {"ctlogs": []}
    assert judged(unlogged.bundle(SAID), signer(root)).signer == "actions"


def test_a_promise_is_enough_where_no_inclusion_was_proved() -> None:
    bundle = copy.deepcopy(Sigstore().bundle(SAID))
    del entry_of(bundle)["inclusionProof"]
    assert judged(bundle).signer == "actions"


def test_an_authority_whose_certificate_nobody_can_read_is_passed_over() -> None:
    bundle, root = Sigstore().bundle(SAID), Sigstore().trusted_root()
    unread = copy.deepcopy(root["certificateAuthorities"][0])
    unread["certChain"]["certificates"] = [{"rawBytes": to_base64(b"no certificate")}]
    both = root | {"certificateAuthorities": [unread, *root["certificateAuthorities"]]}
    assert judged(bundle, signer(both)).signer == "actions"
    alone = root | {"certificateAuthorities": [unread]}
    assert "no authority" in judged(bundle, signer(alone)).reason


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "x", '{"mediaType": 7}', " " * 70_000,
        json.dumps({**Sigstore().trusted_root(), "tlogs": []}),
        json.dumps({**Sigstore().trusted_root(), "certificateAuthorities": [{}]}),
        json.dumps(Sigstore().trusted_root()).replace("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
    ],
)  # fmt: skip
def test_what_is_no_trusted_root(text: str) -> None:
    with pytest.raises(BadProof):
        read_trusted_root(text)


def test_who_vouched_for_whoever_got_it() -> None:
    assert issuer_of(Sigstore().certificate()) == ISSUER
    assert issuer_of(Sigstore().root_certificate()) is None


def certificate_with(raw: bytes) -> x509.Certificate:
    """A certificate that says who vouched in these bytes."""
    name = x509.Name([])
    said = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), raw)
    return (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(p256(51).public_key())
        .serial_number(9)
        .not_valid_before(NOW)
        .not_valid_after(LATER)
        .add_extension(said, critical=False)
        .sign(p256(51), hashes.SHA256())
    )


@pytest.mark.parametrize(
    ("raw", "issuer"),
    [
        (b"\x0c\x03abc", "abc"),
        (b"\x0c\x81\x80" + b"a" * 128, "a" * 128),
        (b"\x04\x03abc", None),
        (b"\x0c\x05abc", None),
        (b"\x0c\x81\x05abc", None),
        (b"\x0c\x01\xff", None),
        (b"\x0c", None),
    ],
)
def test_how_an_issuer_is_written(raw: bytes, issuer: str | None) -> None:
    assert issuer_of(certificate_with(raw)) == issuer


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(entry_of(Sigstore().bundle(SAID)))), _json)
def test_whatever_an_entry_says_is_an_answer(member: str, value: Any) -> None:
    bundle = copy.deepcopy(BUNDLE)
    if entry_of(bundle)[member] == value:
        return
    entry_of(bundle)[member] = value
    found = judged(bundle)
    assert found.signer is None or member in {"inclusionProof", "kindVersion"}


BUNDLE = Sigstore().bundle(SAID)
