"""Verification, with the registry and without: what holds is said to hold, and nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from muniment import Client, verify
from muniment.client import check, trust
from muniment.client.receipts import save_receipt
from muniment.client.records import LogKeys
from muniment.client.report import Report, Standing
from muniment.core.digest import Digest
from muniment.core.errors import (
    BadProof,
    BadRequest,
    DigestMismatch,
    IntegrityError,
    LogBusy,
    LogInconsistent,
    NotAllowed,
)
from tests.support.fake_registry import URL, FakeLog, FakeRegistry

FILES = {"config.json": b"{}", "deep/weights.bin": bytes(range(256)) * 20}
REF = "fraud@1.0.0"


@pytest.fixture(autouse=True)
def stored(registry: FakeRegistry) -> None:
    registry.add_version("other@1.0.0", {"x": b"x"})
    registry.add_version(REF, FILES)
    registry.add_version("later@1.0.0", {"y": b"y"})


@pytest.fixture
def directory(client: Client, tmp_path: Path) -> Path:
    client.download(REF, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def receipt(client: Client, tmp_path: Path) -> Path:
    path = tmp_path / "fraud.receipt.json"
    save_receipt(client, client.get(REF), path)
    trust.pin(URL, client.log.keys())
    return path


def standings(report: Report) -> dict[str, str]:
    return {finding.what: str(finding.standing) for finding in report.findings}


def test_a_sound_version_is_verified_step_by_step(client: Client) -> None:
    report = client.verify(REF)
    assert report.ok
    assert [finding.step for finding in report.findings] == [1, 2, 3, 4, 4, 5, 6, 7]
    assert report.as_json()["ok"] is True
    found = standings(report)
    assert found.pop("record") == "asserted"
    assert found.pop("signature") == found.pop("provenance") == "missing"
    assert set(found.values()) == {"verified"}


@pytest.mark.parametrize("field", ["metadata", "metrics_at_registration", "number"])
def test_a_changed_row_is_found(client: Client, registry: FakeRegistry, field: str) -> None:
    registry.version(REF)[field] = 7 if field == "number" else {"auc": 0.99}
    report = client.verify(REF)
    assert [finding.what for finding in report.failures] == ["record"]
    assert f"`{field}`" in report.failures[0].detail


def test_another_act_on_a_version_is_no_registration(
    client: Client, registry: FakeRegistry
) -> None:
    digest = Digest.parse(registry.version(REF)["manifest_digest"])
    registry.log.append("version.annotate", REF, [digest], {})
    registry.forged["receipt"] = registry.log.receipt(len(registry.log.leaves) - 1)
    report = client.verify(REF)
    assert [finding.what for finding in report.failures] == ["manifest"]
    assert "erased" in next(one.detail for one in report.findings if one.step == 5)


def test_a_flipped_stored_byte_is_named(client: Client, registry: FakeRegistry) -> None:
    digest = registry.manifests[REF]["files"][1]["sha256"]
    registry.blobs[digest] = registry.blobs[digest][:-1] + b"?"
    report = client.verify(REF)
    assert [finding.what for finding in report.failures] == ["deep/weights.bin"]
    with pytest.raises(DigestMismatch, match="should be"):
        report.raise_if_failed()


def test_a_lost_file_is_missing(client: Client, registry: FakeRegistry) -> None:
    del registry.blobs[registry.manifests[REF]["files"][0]["sha256"]]
    assert standings(client.verify(REF))["config.json"] == "missing"


def test_a_forged_manifest_is_found(client: Client, registry: FakeRegistry) -> None:
    registry.forged["manifest"] = registry.manifests["other@1.0.0"]
    report = client.verify(REF)
    assert standings(report)["manifest"] == "failed"


def test_a_row_and_manifest_changed_together_still_miss_the_log(
    client: Client, registry: FakeRegistry
) -> None:
    other = registry.version("other@1.0.0")
    registry.manifests[REF] = registry.manifests["other@1.0.0"]
    registry.version(REF)["manifest_digest"] = other["manifest_digest"]
    report = client.verify(REF)
    assert standings(report)["manifest"] == "failed"
    assert not report.ok


def test_the_receipt_of_another_version_does_not_do(client: Client, registry: FakeRegistry) -> None:
    registry.forged["receipt"] = registry.log.receipt(1)
    report = client.verify(REF)
    assert "the receipt is of other@1.0.0" in report.failures[0].detail


def test_a_receipt_that_is_not_there_yet_is_missing(client: Client, registry: FakeRegistry) -> None:
    registry.fail_next("GET", "/receipt$", LogBusy(), times=9)
    assert standings(client.verify(REF))["receipt"] == "missing"


def test_a_malformed_receipt_fails(client: Client, registry: FakeRegistry) -> None:
    registry.forged["receipt"] = {"schema": "other"}
    report = client.verify(REF)
    assert standings(report)["receipt"] == "failed"
    with pytest.raises(IntegrityError, match="step 1"):
        report.raise_if_failed()


def test_a_log_key_that_changes_is_an_error(client: Client, registry: FakeRegistry) -> None:
    client.verify(REF)
    registry.log.key = FakeLog(seed=2).key
    with pytest.raises(LogInconsistent, match="other keys than were trusted"):
        client.verify(REF)


def test_keys_kept_before_do_when_the_registry_does_not_show_them(
    client: Client, registry: FakeRegistry
) -> None:
    registry.fail_next("GET", "/keys$", NotAllowed("not yours"))
    assert standings(client.verify(REF))["log key"] == "missing"
    check.trusted_keys(client)
    registry.fail_next("GET", "/keys$", NotAllowed("not yours"))
    assert client.verify(REF).ok


def test_a_local_directory_is_compared(client: Client, directory: Path) -> None:
    assert client.verify(REF, directory=directory).ok
    (directory / "config.json").write_bytes(b"[]")
    assert standings(client.verify(REF, directory=directory))["config.json"] == "failed"


def test_offline_a_receipt_and_its_files_hold(receipt: Path, directory: Path) -> None:
    report = verify.verify_receipt(receipt, directory=directory)
    assert report.ok
    assert report.subject == REF
    assert [finding.step for finding in report.findings] == [1, 2, 3, 4, 4]
    assert verify.verify_receipt(receipt.read_bytes()).ok


def test_offline_without_the_manifest_the_directory_is_enough(
    registry: FakeRegistry, receipt: Path, directory: Path
) -> None:
    value = json.loads(receipt.read_text())
    del value["manifest"]
    assert verify.verify_receipt(value, directory=directory).ok
    value["payload"] = None
    assert verify.verify_receipt(value, directory=directory).ok
    (directory / "config.json").write_bytes(b"[]")
    assert not verify.verify_receipt(value, directory=directory).ok
    assert verify.verify_receipt(value).ok


@pytest.mark.parametrize("change", ["flip", "shorten", "remove", "add", "link"])
def test_offline_every_change_of_a_file_is_named(
    receipt: Path, directory: Path, change: str
) -> None:
    weights = directory / "deep" / "weights.bin"
    if change == "flip":
        weights.write_bytes(b"X" + weights.read_bytes()[1:])
    elif change == "shorten":
        weights.write_bytes(weights.read_bytes()[1:])
    elif change == "remove":
        weights.unlink()
    elif change == "add":
        weights = directory / "deep" / "stray"
        weights.write_bytes(b"")
    else:
        weights = directory
        (directory / "link").symlink_to("config.json")
    report = verify.verify_receipt(receipt, directory=directory)
    named = weights.relative_to(directory).as_posix() if weights != directory else str(directory)
    assert [finding.what for finding in report.failures] == [named]


@pytest.mark.parametrize(
    "member", ["leaf", "payload", "index", "tree_size", "hashes", "checkpoint", "manifest"]
)
def test_offline_every_member_of_a_receipt_counts(receipt: Path, member: str) -> None:
    value = json.loads(receipt.read_text())
    value[member] = _other(value[member])
    report = verify.verify_receipt(value)
    assert not report.ok
    with pytest.raises(IntegrityError):
        report.raise_if_failed()


def _other(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return value[::-1]
    if isinstance(value, dict):
        return {**value, "files": value["files"][:1]}
    if "\n" in value:
        return (
            value.replace("\n5\n", "\n6\n") if "\n5\n" in value else value.replace("\n6\n", "\n5\n")
        )
    raw = bytearray(base64.b64decode(value))
    raw[5] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": "muniment/receipt/v1"}'])
def test_offline_what_is_no_receipt_fails_at_step_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    report = verify.verify_receipt(tmp_path / "r.json")
    assert [finding.step for finding in report.failures] == [1]
    assert not verify.verify_receipt(tmp_path / "absent.json").ok


def test_offline_without_trusted_keys_nothing_is_believed(
    receipt: Path, client: Client, tmp_path: Path
) -> None:
    keys = client.log.keys()
    trust.path().unlink()
    report = verify.verify_receipt(receipt)
    assert report.findings[-1].step == 2
    assert "muniment log keys --save" in report.findings[-1].detail
    assert verify.verify_receipt(receipt, trust.as_trusted(keys)).ok
    other = LogKeys(vkey=FakeLog(seed=2).key.vkey)
    assert not verify.verify_receipt(receipt, trust.as_trusted(other)).ok
    (tmp_path / "key.txt").write_text(keys.vkey + "\n")
    (tmp_path / "key.json").write_text(json.dumps(keys.as_json()))
    for name in ("key.txt", "key.json"):
        read = trust.as_trusted(trust.read_keys(tmp_path / name))
        assert verify.verify_receipt(receipt, read).ok == (name == "key.json")


def test_damaged_key_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("{")
    with pytest.raises(BadProof, match="muniment log keys"):
        trust.read_keys(tmp_path / "bad")
    with pytest.raises(BadProof, match="PEM"):
        trust.as_trusted(LogKeys(vkey="x", record_key_pem="no"))
    trust.path().parent.mkdir(parents=True)
    trust.path().write_text("[]")
    with pytest.raises(BadRequest, match="trusted keys"):
        trust.load()


def test_several_registries_are_trusted_side_by_side(receipt: Path) -> None:
    trust.pin(
        "https://other.example", LogKeys(vkey=FakeLog(seed=2, origin="other.example").key.vkey)
    )
    assert verify.verify_receipt(receipt).ok
    assert len(trust.load()) == 2


def test_standing_is_text() -> None:
    assert str(Standing.VERIFIED) == "verified"
