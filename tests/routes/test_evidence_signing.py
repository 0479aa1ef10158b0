"""Signatures and provenance over HTTP: verified, asserted or refused; signers are governed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from muniment.core.digest import Digest, digest_of
from muniment.core.statement import model_signing_statement, public_key_pem, verify_bundle
from muniment.server.http.records import Role
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house, sha256
from tests.support.evidence import add, added, evidence_count
from tests.support.signing import (
    BUILDER,
    Authority,
    bundle_by,
    envelope_of,
    p256,
    pem_of,
    provenance_of,
)
from tests.support.sigstore import ISSUER, WORKFLOW, Sigstore

TREE = {"model.bin": b"weights", "config/a.json": b"{}"}
DIGESTS = {path: sha256(data) for path, data in TREE.items()}
ALICE: dict[str, Any] = {"name": "alice", "pem": pem_of(p256(1)), "uses": ["signature"]}
CI: dict[str, Any] = {
    "name": "ci", "pem": pem_of(p256(2)), "uses": ["provenance"], "builders": [BUILDER],
}  # fmt: skip
SIGNERS = "/api/v1/signers"


def as_file(value: Any) -> bytes:
    return json.dumps(value).encode()


SIGNED = as_file(bundle_by(model_signing_statement("thing", DIGESTS), p256(1)))


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        await opened.sender().registered(TREE)
        yield opened


async def believe(house: House, *signers: dict[str, Any]) -> None:
    for signer in signers:
        fine(await house.registry.as_(Role.ADMIN).post(SIGNERS, json=signer))


async def test_a_signature_is_asserted_until_its_signer_is_believed(house: House) -> None:
    sender = house.sender()
    [first] = await added(sender, {"model.sig": SIGNED})
    assert (first["kind"], first["assurance"], first["signer"]) == ("signature", "asserted", None)
    assert first["assurance_reason"] == "no signer known here made its signature"
    assert first["flags"] == ["unknown_signer"]
    await believe(house, ALICE)
    [second] = await added(sender, {"model.sig": SIGNED})
    assert (second["created"], second["assurance"], second["flags"]) == (True, "verified", [])
    assert second["signer"] == "signer:alice"
    [again] = await added(sender, {"model.sig": SIGNED})
    assert (again["created"], again["id"]) == (False, second["id"])
    answer = await house.registry.as_(Role.ADMIN).post(f"{SIGNERS}/alice/remove")
    assert fine(answer)["removed_at"]
    assert await evidence_count(house) == 2
    url = sender.url(version="1.0.0", rest=f"/evidence/{second['id']}")
    assert fine(await sender.client.get(url))["assurance"] == "verified"
    assert fine(await sender.client.get(f"{url}/reparse"))["same"] is True
    await house.check()


async def test_provenance_is_of_the_builder_its_signer_speaks_for(house: House) -> None:
    await believe(house, CI)
    sender = house.sender()
    manifest = Digest.parse(
        fine(await sender.client.get(sender.url(version="1.0.0")))["manifest_digest"]
    )
    [good] = await added(sender, {"p.json": as_file(envelope_of(provenance_of(manifest), p256(2)))})
    assert (good["kind"], good["assurance"], good["signer"]) == (
        "provenance",
        "verified",
        "signer:ci",
    )
    assert BUILDER in good["assurance_reason"]
    files = [Digest.parse(digest) for digest in DIGESTS.values()]
    [all_files] = await added(
        sender, {"all.json": as_file(bundle_by(provenance_of(*files), p256(2)))}
    )
    assert all_files["assurance"] == "verified"
    part = as_file(bundle_by(provenance_of(digest_of(b"weights")), p256(2)))
    bare = as_file(provenance_of(manifest))
    other = as_file(bundle_by(provenance_of(manifest, builder="https://x.example"), p256(2)))
    made = await added(sender, {"part.json": part, "bare.json": bare, "other.json": other})
    assert [one["assurance"] for one in made] == ["asserted"] * 3
    assert [one["flags"] for one in made] == [["uncovered"], ["unsigned"], ["unknown_signer"]]
    assert "leaves 1 of 2 files out: `config/a.json`" in made[0]["assurance_reason"]
    assert "may not speak for builder https://x.example" in made[2]["assurance_reason"]
    await house.check()


async def test_old_provenance_is_named_and_verified(house: House) -> None:
    await believe(house, CI)
    said = provenance_of(
        digest_of(b"weights"), digest_of(b"{}"), kind="https://slsa.dev/provenance/v0.2"
    )
    said["predicate"] = {
        "builder": {"id": BUILDER},
        "buildType": "https://ci.example/train/v1",
        "metadata": {"buildInvocationId": "7", "buildFinishedOn": "2026-05-31T10:05:00Z"},
        "materials": [{"uri": "git+https://git.example/fraud", "digest": {"sha1": "b" * 40}}],
    }
    [made] = await added(house.sender(), {"old.json": as_file(bundle_by(said, p256(2)))})
    assert made["assurance"] == "verified"
    assert made["produced_at"] == "2026-05-31T10:05:00Z"
    details = made["parsed"]["details"]
    assert details["predicate_type"].endswith("/v0.2")
    assert (details["builder"], details["invocation"]) == (BUILDER, "7")
    assert made["parsed"]["run"]["commit"] == "b" * 40


def forged(said: Any, number: int) -> bytes:
    """A bundle that names the key of `number` and is signed with another."""
    bundle = bundle_by(said, p256(number))
    bundle["dsseEnvelope"]["signatures"] = envelope_of(said, p256(99))["signatures"]
    return as_file(bundle)


async def test_what_contradicts_the_version_is_refused_and_named(house: House) -> None:
    await believe(house, ALICE, {**CI, "uses": ["provenance", "signature"]})
    sender = house.sender()
    other = model_signing_statement("thing", {**DIGESTS, "model.bin": sha256(b"evil")})
    cases = {
        "other.sig": (as_file(bundle_by(other, p256(1))), "other.sig model.bin"),
        "forged.sig": (forged(model_signing_statement("thing", DIGESTS), 1), "forged.sig"),
        "forged.json": (forged(provenance_of(digest_of(b"weights")), 2), "forged.json"),
        "strange.json": (as_file(bundle_by(provenance_of(digest_of(b"x")), p256(2))), "strange.json /subject"),
        "two.sig": (as_file({**json.loads(SIGNED), "verificationMaterial": 1}), "two.sig"),
    }  # fmt: skip
    for name, (data, field) in cases.items():
        answer = await add(sender, {name: data})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_evidence"), name
        assert answer.json()["problems"][0]["field"] == field
        assert answer.json()["problems"][0]["fix"]
    assert await evidence_count(house) == 0


async def test_a_certificate_of_a_believed_authority_verifies(house: House) -> None:
    authority = Authority(at=house.registry.deps.clock.now())
    signer = {
        "name": "corporate", "kind": "certificate", "pem": authority.pem,
        "uses": ["signature"], "identities": ["train"],
    }  # fmt: skip
    await believe(house, signer)
    leaf = authority.issue(p256(7), common="train")
    signed = bundle_by(model_signing_statement("thing", DIGESTS), p256(7), chain=[leaf])
    [made] = await added(house.sender(), {"model.sig": as_file(signed)})
    assert (made["assurance"], made["signer"]) == ("verified", "signer:corporate train")


# --- the registry's own signature -----------------------------------------------------------------


async def test_the_registry_signs_once_and_says_that_it_was_itself(house: House) -> None:
    sender = house.sender()
    url = sender.url(version="1.0.0", rest="/signature")
    first = await sender.client.post(url)
    assert first.status_code == 201
    made = first.json()
    assert (made["kind"], made["assurance"], made["signer"]) == (
        "signature",
        "verified",
        "registry",
    )
    assert made["file_name"] == "thing_1.0.0.registry.sig"
    again = await sender.client.post(url)
    assert (again.status_code, again.json()["id"]) == (200, made["id"])
    data = (
        await sender.client.get(sender.url(version="1.0.0", rest=f"/evidence/{made['id']}/file"))
    ).content
    said = verify_bundle(json.loads(data), house.keys.record.public_key_der)
    assert said == model_signing_statement("thing@1.0.0", DIGESTS)
    assert (
        await house.count(
            "SELECT count(*) FROM blob WHERE digest = $1", Digest.parse(made["digest"]).raw
        )
        == 1
    )
    await house.check()


async def test_a_version_without_files_cannot_be_signed(house: House) -> None:
    sender = house.sender()
    prompt = {"prompt": {"template": "Say it"}}
    answer = await sender.register(
        {}, name="say", create_asset={"kind": "prompt", "owner": "ada"}, metadata=prompt
    )
    fine(answer)
    answer = await sender.client.post(sender.url("say", "1.0.0", "/signature"))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_manifest")


# --- signers --------------------------------------------------------------------------------------


async def test_signers_are_added_once_listed_and_removed_for_good(house: House) -> None:
    admin = house.registry.as_(Role.ADMIN)
    first = await admin.post(SIGNERS, json=ALICE)
    again = await admin.post(SIGNERS, json=ALICE)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await admin.post(SIGNERS, json={**ALICE, "pem": CI["pem"]})
    assert (other.status_code, other.json()["code"]) == (409, "already_exists")
    listed = fine(await house.sender(Role.VIEWER).client.get(SIGNERS))["items"]
    assert [(one["name"], one["uses"]) for one in listed] == [("alice", ["signature"])]
    fine(await admin.post(f"{SIGNERS}/alice/remove"))
    assert (await admin.post(f"{SIGNERS}/alice/remove")).status_code == 404
    assert fine(await admin.get(SIGNERS))["items"] == []
    fine(await admin.post(SIGNERS, json={**ALICE, "pem": CI["pem"]}))
    every = fine(await admin.get(SIGNERS, params={"removed": "true"}))["items"]
    assert [one["removed_at"] is None for one in every] == [True, False]
    report = await house.check()
    assert report.counts["rows of signer"] == 2


async def test_only_administrators_say_who_is_believed(house: House) -> None:
    for role in (Role.PUBLISHER, Role.AUDITOR, Role.APPROVER_SECURITY):
        answer = await house.sender(role).client.post(SIGNERS, json=ALICE)
        assert answer.status_code == 403, role
    viewer = house.sender(Role.VIEWER)
    assert (
        await viewer.client.post(viewer.url(version="1.0.0", rest="/signature"))
    ).status_code == 403


async def test_all_that_keeps_somebody_from_being_a_signer_is_said_at_once(house: House) -> None:
    admin = house.registry.as_(Role.ADMIN)
    body = {"name": "Bad Name", "pem": "x", "uses": ["provenance"], "identities": ["y"]}
    answer = await admin.post(SIGNERS, json=body)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["problems"]] == [
        "name",
        "pem",
        "builders",
        "identities",
    ]
    assert await house.count("SELECT count(*) FROM signer") == 0


async def test_nothing_of_a_signer_can_be_changed(house: House, owner_db: PostgresDatabase) -> None:
    await believe(house, ALICE)
    for change in ("DELETE FROM signer", "UPDATE signer SET pem = 'x'", "TRUNCATE signer"):
        with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
            async with owner_db.transaction() as tx:
                await tx.execute(change)
    async with owner_db.transaction() as tx:
        await tx.execute("ALTER TABLE signer DISABLE TRIGGER remove_only")
        await tx.execute("UPDATE signer SET pem = $1", public_key_pem(b"another key"))
        await tx.execute("ALTER TABLE signer ENABLE TRIGGER remove_only")
    with pytest.raises(AssertionError, match="signer"):
        await house.check()


async def test_a_keyless_bundle_is_verified_by_its_log(house: House) -> None:
    sigstore, sender = Sigstore(), house.sender()
    said = provenance_of(*(Digest.parse(one) for one in DIGESTS.values()))
    file = as_file(sigstore.bundle(said))
    [first] = await added(sender, {"p.json": file})
    assert (first["assurance"], first["flags"]) == ("asserted", ["unknown_signer"])
    through = {
        "name": "actions", "kind": "sigstore", "pem": json.dumps(sigstore.trusted_root()),
        "uses": ["provenance"], "builders": [BUILDER], "identities": [WORKFLOW], "issuer": ISSUER,
    }  # fmt: skip
    refused = await house.registry.as_(Role.ADMIN).post(SIGNERS, json=through | {"issuer": ""})
    assert [one["field"] for one in refused.json()["problems"]] == ["issuer"]
    await believe(house, through)
    listed = fine(await house.registry.as_(Role.VIEWER).get(SIGNERS))["items"]
    assert [one["issuer"] for one in listed] == [ISSUER]
    [second] = await added(sender, {"p.json": file})
    assert (second["assurance"], second["signer"]) == ("verified", f"signer:actions {WORKFLOW}")
    assert "as its log says at 2026-06-01 00:03:00Z" in second["assurance_reason"]
    await house.check()
    fine(await house.registry.as_(Role.ADMIN).post(f"{SIGNERS}/actions/remove"))
    await house.check()
