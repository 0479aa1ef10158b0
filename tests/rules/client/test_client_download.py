"""Downloading: byte-identical, resumed, and never anywhere but below `into`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from muniment import Client
from muniment.client.paths import check_paths
from muniment.core.errors import BadManifest, BadPath, DigestMismatch, Unavailable
from tests.support.fake_registry import FakeRegistry

FILES = {"config.json": b"{}", "deep/weights.bin": bytes(range(256)) * 20, "empty": b""}
DIGESTS = {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}


@pytest.fixture(autouse=True)
def stored(registry: FakeRegistry) -> None:
    registry.add_version("risk/fraud detector@1.0.0", FILES)


REF = "risk/fraud detector@1.0.0"


def test_what_comes_out_is_what_went_in(client: Client, tmp_path: Path) -> None:
    into = tmp_path / "out"
    paths = client.download(REF, into)
    assert [path.relative_to(into).as_posix() for path in paths] == sorted(FILES)
    assert {path: (into / path).read_bytes() for path in FILES} == FILES
    assert sorted(p.name for p in into.rglob("*") if p.is_file()) == [
        "config.json",
        "empty",
        "weights.bin",
    ]


def test_files_that_are_there_are_kept(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    client.download(REF, tmp_path / "out")
    asked = registry.count("GET", "/files/")
    (tmp_path / "out" / "config.json").write_bytes(b"[]")
    client.download(REF, tmp_path / "out")
    assert registry.count("GET", "/files/") == asked + 1
    assert (tmp_path / "out" / "config.json").read_bytes() == b"{}"


def test_a_broken_stream_goes_on_where_it_broke(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    data = FILES["deep/weights.bin"]

    def breaks() -> Iterator[bytes]:
        yield data[:1000]
        raise httpx.ReadError("gone")

    registry.fail_next("GET", "/weights", httpx.Response(200, content=breaks()))
    client.download(REF, tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "weights.bin").read_bytes() == data
    ranges = [c.headers.get("Range") for c in registry.calls if c.url.path.endswith("weights.bin")]
    assert ranges == [None, "bytes=1000-"]


def test_an_interrupted_run_goes_on_in_the_next(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    data = FILES["deep/weights.bin"]
    place = tmp_path / "out" / "deep"
    place.mkdir(parents=True)
    part = place / f".weights.bin.{DIGESTS['deep/weights.bin'][:16]}.part"
    part.write_bytes(data[:3000])
    client.download(REF, tmp_path / "out")
    call = next(c for c in registry.calls if c.url.path.endswith("weights.bin"))
    assert call.headers["Range"] == "bytes=3000-"
    assert not part.exists()


def test_a_server_without_ranges_is_understood(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    data = FILES["deep/weights.bin"]
    place = tmp_path / "out" / "deep"
    place.mkdir(parents=True)
    part = place / f".weights.bin.{DIGESTS['deep/weights.bin'][:16]}.part"
    part.write_bytes(data[:3000])
    registry.fail_next("GET", "/weights", httpx.Response(200, stream=httpx.ByteStream(data)))
    client.download(REF, tmp_path / "out")
    assert (place / "weights.bin").read_bytes() == data


def test_a_rotten_part_is_fetched_anew(client: Client, tmp_path: Path) -> None:
    place = tmp_path / "out" / "deep"
    place.mkdir(parents=True)
    part = place / f".weights.bin.{DIGESTS['deep/weights.bin'][:16]}.part"
    part.write_bytes(b"x" * 9000)
    client.download(REF, tmp_path / "out")
    assert (place / "weights.bin").read_bytes() == FILES["deep/weights.bin"]


def test_a_flipped_byte_names_the_file_and_is_not_kept(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    digest = DIGESTS["deep/weights.bin"]
    registry.blobs[digest] = b"X" + registry.blobs[digest][1:]
    with pytest.raises(DigestMismatch, match=r"deep/weights\.bin"):
        client.download(REF, tmp_path / "out")
    assert not (tmp_path / "out" / "deep" / "weights.bin").exists()


@pytest.mark.parametrize("extra", [b"more", b""])
def test_other_lengths_are_refused(
    client: Client, registry: FakeRegistry, tmp_path: Path, extra: bytes
) -> None:
    digest = DIGESTS["config.json"]
    registry.blobs[digest] = b"{}" + extra if extra else b"{"
    with pytest.raises((DigestMismatch, Unavailable), match=r"config\.json"):
        client.download(REF, tmp_path / "out")


@pytest.mark.parametrize(
    "path",
    ["../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "a\\b", "C:evil", "a\0b", "a\nb", ""],
)
def test_a_hostile_manifest_writes_nothing(
    client: Client, registry: FakeRegistry, tmp_path: Path, path: str
) -> None:
    registry.forged["manifest"] = {
        "files": [{"path": path, "sha256": DIGESTS["config.json"], "size_bytes": 2}]
    }
    with pytest.raises(BadPath):
        client.download(REF, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_manifest_than_registered_is_refused(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.forged["manifest"] = {
        "files": [{"path": "config.json", "sha256": DIGESTS["config.json"], "size_bytes": 2}]
    }
    with pytest.raises(DigestMismatch, match="manifest"):
        client.download(REF, tmp_path / "out")
    registry.forged["manifest"] = {"files": [{"path": "config.json"}]}
    with pytest.raises(BadManifest):
        client.download(REF, tmp_path / "out")


def test_a_symbolic_link_on_the_way_is_not_followed(client: Client, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "outside")
    with pytest.raises(BadPath, match="in the way"):
        client.download(REF, tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_symbolic_link_at_the_place_is_not_followed(client: Client, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").symlink_to(tmp_path / "victim")
    with pytest.raises(BadPath, match="symbolic link"):
        client.download(REF, tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("paths", [["a", "A"], ["é", "e\u0301"], ["a", "a/b"], ["A", "a/b/c"]])
def test_paths_that_collide_on_some_disk_are_refused(paths: list[str]) -> None:
    with pytest.raises(BadPath):
        check_paths(paths)


def test_verify_checks_the_receipt_first(
    client: Client, registry: FakeRegistry, tmp_path: Path
) -> None:
    receipt = registry.log.receipt(1)
    registry.forged["receipt"] = {**receipt, "index": 0}
    with pytest.raises(Exception, match=r"step 2|proof|leaf"):
        client.download(REF, tmp_path / "out", verify=True)
    assert not (tmp_path / "out").exists()
    registry.forged.clear()
    client.download(REF, tmp_path / "out", verify=True)
