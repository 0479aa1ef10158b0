"""Registering: every byte arrives once, interruptions go on, and what is wrong is said."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment import Client
from muniment.client import upload
from muniment.client.files import find_files
from muniment.client.progress import Progress
from muniment.client.upload import missing_parts
from muniment.core.errors import (
    BadManifest,
    BadMetadata,
    BadPath,
    DigestMismatch,
    NotFound,
    Unavailable,
    VersionConflict,
)
from tests.support.fake_registry import TOKEN, URL, FakeRegistry


def test_three_lines_register_a_directory(
    client: Client, registry: FakeRegistry, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.yaml").write_text("kind: model\nowner: ada\nmetrics:\n  auc: 0.93\n")
    made = client.register(
        "fraud-detector", version="1.0.0", artifact=model, metadata=tmp_path / "model.yaml"
    )
    assert (made.ref, made.number, made.file_count) == ("fraud-detector@1.0.0", 1, 4)
    for file in find_files(model):
        data = file.source.read_bytes()
        assert registry.blobs[hashlib.sha256(data).hexdigest()] == data
    assert registry.assets["fraud-detector"]["owner"] == "ada"
    assert registry.version(made.ref)["metadata"] == {"metrics": {"auc": 0.93}}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("risk_tier", r"client\.assets\.edit\(ref, risk_tier=…\)"),
        ("backup_owner", "put it into `metadata`, where it counts if the asset is made"),
        ("descripton", "register\\(\\) takes no descripton; .*description, dry_run"),
    ],
)
def test_an_option_that_would_be_dropped_is_refused_in_words(
    client: Client, registry: FakeRegistry, model: Path, option: str, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        client.register("a", version="1.0.0", artifact=model, kind="model", **{option: "high"})
    assert registry.count("POST", "") == registry.count("PUT", "") == 0


def test_large_files_go_in_parts_and_equal_files_once(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    # 3584 bytes in 1024-byte parts; config and copy are one blob; the empty file is one part
    assert registry.count("PUT", "/blobs/") == 4 + 1 + 1
    assert registry.count("POST", "/seal$") == 1  # what comes whole is sealed as it comes


def test_what_is_held_is_not_sent_again(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    sent = registry.count("PUT", "/blobs/")
    (model / "new").write_bytes(b"new")
    client.register("a", version="1.1.0", artifact=model)
    assert registry.count("PUT", "/blobs/") == sent + 1


def test_the_same_registration_again_gives_the_same_answer(client: Client, model: Path) -> None:
    first = client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    again = client.register("a", version="1.0.0", artifact=model)
    assert first.created
    assert not again.created
    assert first.manifest_digest == again.manifest_digest


def test_other_bytes_under_the_same_version_are_refused_with_both_digests(
    client: Client, model: Path
) -> None:
    first = client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    (model / "config.json").write_bytes(b"{}")
    with pytest.raises(VersionConflict) as caught:
        client.register("a", version="1.0.0", artifact=model)
    assert caught.value.extra["registered"] == first.manifest_digest
    assert caught.value.extra["found"] != first.manifest_digest


def test_a_broken_upload_goes_on_in_its_session(
    registry: FakeRegistry, model: Path, pauses: list[float]
) -> None:
    registry.fail_next("POST", "/seal$", 400, times=1)
    with Client(URL, TOKEN, transport=registry.transport(), retries=0) as client:
        client.assets.create("a", kind="model", owner="ada")
        with pytest.raises(Exception, match="broken"):
            client.register("a", version="1.0.0", artifact=model)
    sent = registry.count("PUT", "/blobs/")
    with Client(URL, TOKEN, transport=registry.transport()) as again:
        again.register("a", version="1.0.0", artifact=model)
    assert registry.count("POST", "/uploads$") == 1
    # only what had not arrived yet was sent again: at most all six parts in total
    assert registry.count("PUT", "/blobs/") <= max(sent, 6)
    assert registry.versions["a"][0]["file_count"] == 4


def test_a_session_that_ended_is_replaced(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    registry.fail_next("POST", "/versions$", 400)
    client.assets.create("a", kind="model", owner="ada")
    with pytest.raises(Exception, match="broken"):
        client.register("a", version="1.0.0", artifact=model)
    registry.uploads.clear()
    client.register("a", version="1.0.0", artifact=model)
    assert registry.count("POST", "/uploads$") == 2


def test_calls_are_repeated_after_broken_connections_and_busy_servers(
    client: Client, registry: FakeRegistry, model: Path, pauses: list[float]
) -> None:
    registry.fail_next("PUT", "/blobs/", httpx.ReadError("gone"))
    registry.fail_next("PUT", "/blobs/", httpx.Response(503, headers={"Retry-After": "7"}))
    registry.fail_next("POST", "/seal$", 502)
    registry.fail_next("POST", "/versions$", 504)
    client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    assert len(pauses) == 4
    assert 7.0 in pauses


def test_a_repeated_registration_carries_the_same_key(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    registry.fail_next("POST", "/versions$", 503)
    client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    tries = [call for call in registry.calls if call.url.path.endswith("/versions")]
    keys = {call.headers["Idempotency-Key"] for call in tries}
    assert len(tries) == 2
    assert len(keys) == 1


def test_parts_go_straight_to_the_store_when_it_offers_addresses(model: Path) -> None:
    registry = FakeRegistry(direct=True)
    with Client(URL, TOKEN, transport=registry.transport()) as client:
        client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    assert registry.count("PUT", "^/api/") == 0
    assert registry.versions["a"][0]["file_count"] == 4


def test_a_store_that_refuses_is_gone_around(model: Path) -> None:
    registry = FakeRegistry(direct=True)
    registry.fail_next("PUT", "^/upload-", 403, times=100)
    with Client(URL, TOKEN, transport=registry.transport()) as client:
        client.register("a", version="1.0.0", artifact=model, kind="model", owner="ada")
    assert registry.count("PUT", "^/api/") == 6


def test_a_file_that_changes_meanwhile_is_refused(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    weights = model / "deep" / "er" / "weights.bin"
    client.assets.create("a", kind="model", owner="ada")

    def touch(progress: Progress) -> None:
        if progress.stage == "upload" and progress.bytes_done:
            os.utime(weights, ns=(1, 1))

    with pytest.raises(DigestMismatch, match=r"weights\.bin.*changed"):
        client.register("a", version="1.0.0", artifact=model, on_progress=touch)
    assert registry.versions["a"] == []


def test_other_bytes_than_announced_are_told_by_the_file(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    client.assets.create("a", kind="model", owner="ada")
    registry.fail_next("POST", "/seal$", DigestMismatch(), times=9)
    with pytest.raises(DigestMismatch, match="changed while it was read"):
        client.register("a", version="1.0.0", artifact=model)


def test_symbolic_links_are_refused_all_at_once(client: Client, model: Path) -> None:
    (model / "link").symlink_to("config.json")
    (model / "deep" / "outside").symlink_to("/etc")
    with pytest.raises(BadPath, match="symbolic link") as caught:
        client.register("a", version="1.0.0", artifact=model)
    assert len(caught.value.problems) == 2


def test_nothing_is_not_an_artifact(client: Client, tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    with pytest.raises(BadManifest, match="at least one file"):
        client.register("a", version="1.0.0", artifact=tmp_path / "hollow")
    with pytest.raises(BadPath, match="does not exist"):
        client.register("a", version="1.0.0", artifact=tmp_path / "absent")


def test_several_sources_keep_their_names(model: Path, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("card")
    assert [file.path for file in find_files([model, tmp_path / "card.md"])] == [
        "card.md",
        "model/config.json",
        "model/deep/copy.json",
        "model/deep/er/weights.bin",
        "model/empty",
    ]
    assert [file.path for file in find_files(tmp_path / "card.md")] == ["card.md"]


def test_a_dry_run_sends_nothing(client: Client, registry: FakeRegistry, model: Path) -> None:
    client.assets.create("a", kind="model", owner="ada")
    found = client.register("a", version="1.0.0", artifact=model, dry_run=True)
    assert found.file_count == 4
    assert registry.count("POST", "/uploads") == 0
    assert registry.versions["a"] == []


def test_missing_fields_come_back_all_with_their_fixes(
    client: Client, registry: FakeRegistry, model: Path
) -> None:
    client.assets.create("a", kind="model", owner="ada")
    registry.missing_gaps = [
        {"field": "license", "why": "due for candidate", "fix": "add `license: MIT`"},
        {"field": "signature", "why": "due for candidate", "fix": "add it"},
    ]
    with pytest.raises(BadMetadata) as caught:
        client.register("a", version="1.0.0", artifact=model, require="candidate")
    assert [problem["field"] for problem in caught.value.problems] == ["license", "signature"]


def test_without_kind_an_unknown_asset_stays_unknown(client: Client, model: Path) -> None:
    with pytest.raises(NotFound):
        client.register("a", version="1.0.0", artifact=model)


def test_progress_ends_at_everything(client: Client, model: Path) -> None:
    seen: list[Progress] = []
    client.register(
        "a", version="1.0.0", artifact=model, kind="model", owner="ada", on_progress=seen.append
    )
    for stage in ("hash", "upload"):
        last = [progress for progress in seen if progress.stage == stage][-1]
        assert (last.bytes_done, last.files_done) == (last.bytes_total, last.files_total)


def test_an_unreachable_registry_says_so(pauses: list[float]) -> None:
    registry = FakeRegistry()
    registry.fail_next("GET", "whoami", httpx.ConnectError("refused"), times=9)
    with Client(URL, TOKEN, transport=registry.transport(), retries=2) as client:
        client.transport.sleep = pauses.append
        with pytest.raises(Unavailable, match="cannot reach"):
            client.whoami()
    assert len(pauses) == 2


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 700)), max_size=6),
    st.integers(1, 900),
)
def test_parts_cover_exactly_what_is_missing(
    size: int, spans: list[tuple[int, int]], part: int
) -> None:
    received = [(min(at, size), min(at + length, size)) for at, length in spans]
    have = {byte for start, end in received for byte in range(start, end)}
    parts = list(missing_parts(size, received, part))
    sent = [byte for start, end in parts for byte in range(start, end)]
    assert len(sent) == len(set(sent))
    assert have.isdisjoint(sent)
    assert have | set(sent) == set(range(size))
    assert all(end - start <= part for start, end in parts)


@pytest.mark.parametrize("slow", [0, 1 << 60])
def test_parts_go_in_order_or_on_a_slow_connection_side_by_side(
    client: Client,
    registry: FakeRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slow: int,
) -> None:
    monkeypatch.setattr(upload, "_SLOW_BYTES_A_SECOND", slow)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(range(250)) * 40)
    client.register("m", version="1.0.0", artifact=large, kind="model")
    offsets = [int(call.url.params["offset"]) for call in registry.calls if call.method == "PUT"]
    assert sorted(offsets) == list(range(0, 10_000, 1024))
    assert slow or offsets == sorted(offsets)
    assert registry.count("POST", "/seal$") == 1
    into = tmp_path / "into"
    client.download("m@1.0.0", into)
    assert (into / "large.bin").read_bytes() == large.read_bytes()
