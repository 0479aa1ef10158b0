"""Who signed, and who says where files came from: judged by the client, whatever the registry says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from muniment import Client
from muniment.client import signing, trust
from muniment.client.receipts import save_receipt
from muniment.client.report import Report
from muniment.client.signers import as_signers, read_signers
from muniment.core.digest import Digest
from muniment.core.errors import BadProof, NotAllowed
from muniment.core.statement import model_signing_statement, sign_bundle
from tests.support.fake_evidence_routes import evidence_of
from tests.support.fake_registry import URL, FakeRegistry
from tests.support.signing import (
    BUILDER,
    bundle_by,
    envelope_of,
    p256,
    pem_of,
    private_pem,
    provenance_of,
)

Run = Callable[..., Any]
REF = "fraud@1.0.0"
FILES = {"config.json": b"{}", "deep/weights.bin": b"weights"}
ALICE = {"name": "alice", "pem": pem_of(p256(1)), "uses": ["signature"]}
CI = {"name": "ci", "pem": pem_of(p256(2)), "uses": ["provenance"], "builders": [BUILDER]}


@pytest.fixture(autouse=True)
def stored(registry: FakeRegistry) -> None:
    registry.add_version(REF, FILES)
    registry.signers = [ALICE, CI]


@pytest.fixture
def manifest(registry: FakeRegistry) -> Digest:
    return Digest.parse(registry.version(REF)["manifest_digest"])


def signature(client: Client, number: int = 1) -> bytes:
    listed = client.artifacts.manifest(client.get(REF))
    return json.dumps(signing.sign_files(REF, listed, signing.OwnKey(p256(number)))).encode()


def provenance(manifest: Digest, number: int = 2, **more: Any) -> bytes:
    return json.dumps(envelope_of(provenance_of(manifest, **more), p256(number))).encode()


def said(report: Report) -> tuple[str, str, str, str]:
    found = report.standings
    return found["bytes"], found["signature"], found["provenance"], found["receipt"]


def test_nothing_signed_is_missing_and_fails_nothing(client: Client) -> None:
    report = client.verify(REF)
    assert report.ok
    assert said(report) == ("verified", "missing", "missing", "verified")
    assert report.lacking(["signature", "bytes", "provenance"]) == ["signature", "provenance"]


def test_all_four_are_verified(client: Client, registry: FakeRegistry, manifest: Digest) -> None:
    evidence_of(registry, "signature", "model.sig", signature(client))
    evidence_of(registry, "provenance", "p.json", provenance(manifest))
    report = client.verify(REF)
    assert said(report) == ("verified",) * 4
    assert report.as_json()["standings"] == dict.fromkeys(report.standings, "verified")
    assert [one.detail for one in report.findings if one.step > 5] == [
        "signed with the key of alice",
        f"signed with the key of ci, for the builder {BUILDER}",
    ]
    assert not report.lacking(["signature", "provenance"])


def test_the_registrys_own_signature_is_judged_by_the_key_trusted_here(
    client: Client, registry: FakeRegistry
) -> None:
    listed = {path: digest.hex for path, digest in (
        (one.path, one.digest) for one in client.artifacts.manifest(client.get(REF)))}  # fmt: skip
    record = registry.log.record
    made, _ = sign_bundle(model_signing_statement(REF, listed), record.sign, record.public_key_der)
    evidence_of(registry, "signature", "registry.sig", json.dumps(made).encode())
    report = client.verify(REF)
    assert report.standings["signature"] == "verified"
    assert "key of registry" in next(one.detail for one in report.findings if one.step == 6)


def test_whom_nobody_here_knows_is_asserted(
    client: Client, registry: FakeRegistry, manifest: Digest
) -> None:
    evidence_of(registry, "signature", "model.sig", signature(client, 9))
    evidence_of(registry, "provenance", "bare.json", json.dumps(provenance_of(manifest)).encode())
    report = client.verify(REF)
    assert (report.ok, said(report)[1:3]) == (True, ("asserted", "asserted"))
    evidence_of(registry, "signature", "again.sig", signature(client))
    assert client.verify(REF).standings["signature"] == "verified"
    assert client.verify(REF, signers=[]).standings["signature"] == "asserted"


def test_one_that_does_not_hold_is_too_many(
    client: Client, registry: FakeRegistry, manifest: Digest
) -> None:
    evidence_of(registry, "signature", "model.sig", signature(client))
    other = model_signing_statement(REF, {"config.json": "0" * 64})
    for data in (  # wrong files, of another kind, of no kind, broken
        json.dumps(bundle_by(other, p256(1))).encode(),
        provenance(manifest),
        b"[]",
        b"{",
        json.dumps({"dsseEnvelope": 1}).encode(),
    ):
        registry.evidence = registry.evidence[:1]
        evidence_of(registry, "signature", "evil.sig", data)
        report = client.verify(REF)
        assert not report.ok
        assert (report.standings["signature"], report.failures[0].what) == ("failed", "evil.sig")


def test_other_bytes_than_listed_fail(client: Client, registry: FakeRegistry) -> None:
    item = evidence_of(registry, "signature", "model.sig", signature(client))
    registry.evidence[0] = (item, signature(client, 5))
    evidence_of(registry, "signature", "copy.sig", b"x")
    registry.evidence[1][0]["digest"] = item["digest"]  # the same file again is judged once
    report = client.verify(REF)
    assert [one.what for one in report.failures] == ["model.sig"]
    assert "expected sha256:" in report.failures[0].detail


@pytest.mark.parametrize("path", ["/api/v1/signers", "/evidence"])
def test_who_may_not_see_evidence_is_told_so(
    client: Client, registry: FakeRegistry, path: str
) -> None:
    registry.fail_next("GET", path + "$", NotAllowed("no"), times=2)
    report = client.verify(REF)
    assert report.ok
    assert said(report)[1:3] == ("missing", "missing")
    assert all("can be had: no" in one.detail for one in report.findings if one.step > 5)


# --- without a network ------------------------------------------------------------------------------


@pytest.fixture
def offline(client: Client, manifest: Digest, tmp_path: Path) -> Path:
    """A directory with all that somebody else would be given."""
    client.download(REF, tmp_path / "model")
    save_receipt(client, client.get(REF), tmp_path / "r.json")
    trust.pin(URL, client.log.keys())
    (tmp_path / "model.sig").write_bytes(signature(client))
    (tmp_path / "p.json").write_bytes(provenance(manifest))
    listed = [one.as_json() for one in client.signers.list_()]
    (tmp_path / "signers.json").write_text(json.dumps(listed, default=str))
    return tmp_path


def test_offline_all_four_are_verified_from_files(offline: Path, run: Run) -> None:
    receipt = ("verify", str(offline / "r.json"), "--offline", "--dir", str(offline / "model"))
    files = ("--signature", str(offline / "model.sig"), "--provenance", str(offline / "p.json"))
    believed = ("--signers", str(offline / "signers.json"))
    required = ("--require", "signature", "--require", "provenance")
    done = run(*receipt, *files, *believed, *required)
    assert done.exit_code == 0, done.output
    assert (
        "Bytes verified, signature verified, provenance verified, receipt verified" in done.output
    )
    done = run(*receipt, *files, *required)
    assert done.exit_code == 4
    assert "Required and not verified: signature, provenance" in done.output
    found = json.loads(run(*receipt, *required, "--json").stdout)
    assert found["standings"]["signature"] == "missing"
    assert found["lacking"] == ["signature", "provenance"]
    (offline / "model.sig").write_bytes(b"{}")
    done = run(*receipt, *files, *believed, *required)
    assert (done.exit_code, "FAILED" in done.output) == (1, True)
    done = run(*receipt, "--signature", str(offline / "absent"), *believed)
    assert (done.exit_code, "cannot be read" in done.output) == (1, True)
    assert run(*receipt, "--require", "luck").exit_code == 2
    assert run("verify", REF, *files).exit_code == 2


def test_offline_without_a_manifest_nothing_can_be_compared(offline: Path, run: Run) -> None:
    document = json.loads((offline / "r.json").read_text())
    document.pop("manifest", None)
    (offline / "bare.json").write_text(json.dumps(document))
    done = run("verify", str(offline / "bare.json"), "--signature", str(offline / "model.sig"))
    assert done.exit_code == 1
    assert "give the files with `--dir`" in done.output


# --- keys and signers -------------------------------------------------------------------------------


def test_private_keys_of_the_curves_of_model_signing_are_read(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        key = ec.derive_private_key(10**30, curve)
        file.write_bytes(private_pem(key))
        assert signing.read_key(file).key.curve.name == curve.name
        assert signing.read_key(file, "not needed").sign(b"m")
    file.write_bytes(private_pem(p256(), "secret"))
    assert signing.needs_password(file)
    assert signing.read_key(file, "secret").sign(b"m")
    for password, message in ((None, "MUNIMENT_KEY_PASSWORD"), ("wrong", "cannot read")):
        with pytest.raises(BadProof, match=message):
            signing.read_key(file, password)
    for other in (
        ec.derive_private_key(10**30, ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
    ):
        file.write_bytes(private_pem(other))
        with pytest.raises(BadProof, match="P-256, P-384 or P-521"):
            signing.read_key(file)
    for read in (signing.needs_password, signing.read_key):
        with pytest.raises(BadProof, match="cannot read"):
            read(tmp_path / "absent")


def test_lists_of_signers_are_read_and_those_removed_left_out(tmp_path: Path) -> None:
    file = tmp_path / "signers.json"
    ended = {**ALICE, "name": "ended", "removed_at": "2026-01-01T00:00:00Z"}
    file.write_text(json.dumps([ALICE, CI, ended]))
    assert [one.name for one in read_signers(file)] == ["alice", "ci"]
    for text in ("{", json.dumps([{**ALICE, "kind": "magic"}]), json.dumps([{"name": "x"}])):
        file.write_text(text)
        with pytest.raises(BadProof, match="signers"):
            read_signers(file)
    with pytest.raises(BadProof, match="muniment signer list"):
        read_signers(tmp_path / "absent")
    assert as_signers([]) == []
