"""The main job with blobs in a real S3: bytes go direct, are verified, and forgery is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from muniment import Client
from muniment.core.digest import digest_of
from tests.support.s3 import S3Server, s3
from tests.support.server_process import TOKEN, ServerProcess

__all__ = ["s3"]
pytestmark = pytest.mark.slow

PREFIX = "acceptance"
PART_BYTES = 5 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[ServerProcess]:
    environ = {
        "MUNIMENT_BLOB_URL": f"s3://{s3.bucket}/{PREFIX}",
        "MUNIMENT_BLOB_ENDPOINT": s3.endpoint,
        "MUNIMENT_BLOB_ACCESS_KEY": s3.access_key,
        "MUNIMENT_BLOB_SECRET_KEY": s3.secret_key,
        "MUNIMENT_BLOB_ALLOW_HTTP": "true",
        "MUNIMENT_PART_BYTES": "5MiB",
        "MUNIMENT_MAX_FILE_BYTES": "1GiB",
    }
    with ServerProcess(tmp_path_factory.mktemp("on-s3"), environ=environ) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of no byte, of few, and of three parts."""
    at = tmp_path_factory.mktemp("model")
    (at / "empty").write_bytes(b"")
    (at / "config.json").write_text('{"layers": 3}')
    (at / "größe").mkdir()
    (at / "größe" / "weights.bin").write_bytes(os.urandom(2 * PART_BYTES + 12_345))
    return at


@pytest.fixture(scope="module")
def client(server: ServerProcess, model: Path) -> Iterator[Client]:
    """Whoever registered `model` as `fraud@1.0.0`."""
    with Client(server.url, TOKEN) as client:
        client.register("fraud", version="1.0.0", artifact=model, kind="model", owner="ada")
        yield client


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def fsck(server: ServerProcess) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "muniment", "fsck", "--sample", "all"]
    return subprocess.run(
        [*command, "--data", str(server.data)],
        env=server.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_registered_comes_back_byte_for_byte(
    client: Client, server: ServerProcess, model: Path, tmp_path: Path
) -> None:
    client.download("fraud@1.0.0", tmp_path / "out", verify=True)
    assert contents(tmp_path / "out") == contents(model)
    assert client.verify("fraud@1.0.0").ok
    assert not (server.data / "blobs" / "sha256").exists(), "no blob is on this machine"


def test_a_file_is_sent_in_ranges_and_from_where_it_is_kept(
    client: Client, server: ServerProcess, model: Path
) -> None:
    weights = (model / "größe" / "weights.bin").read_bytes()
    url = f"{server.url}/api/v1/assets/default/fraud/versions/1.0.0/files/größe/weights.bin"
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}) as http:
        part = http.get(url, headers={"range": f"bytes={PART_BYTES - 5}-{PART_BYTES + 4}"})
        sent = http.get(url, params={"direct": "true"})
    assert (part.status_code, part.content) == (206, weights[PART_BYTES - 5 : PART_BYTES + 5])
    assert sent.status_code == 307
    assert httpx.get(sent.headers["location"]).content == weights, "no token of ours goes there"


def test_registering_again_sends_nothing_again(
    client: Client, server: ServerProcess, model: Path
) -> None:
    again = client.register("fraud", version="1.0.0", artifact=model)
    other = client.register("other", version="1.0.0", artifact=model, kind="model", owner="bob")
    assert (again.created, other.created) == (False, True)
    assert client.verify("other@1.0.0").ok


def test_fsck_finds_a_forged_byte_in_the_bucket(
    client: Client, server: ServerProcess, s3: S3Server, tmp_path: Path
) -> None:
    forged = tmp_path / "forged.bin"
    forged.write_bytes(b"what was registered")
    client.register("forged", version="1.0.0", artifact=forged, kind="model", owner="eve")
    clean = fsck(server)
    assert (clean.returncode, "everything agrees" in clean.stdout) == (0, True), clean
    store = S3Store(
        s3.bucket,
        endpoint=s3.endpoint,
        region="us-east-1",
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        client_options={"allow_http": True},
    )
    digest = digest_of(b"what was registered").hex
    key = f"{PREFIX}/sha256/{digest[:2]}/{digest[2:4]}/{digest}"
    obstore.put(store, key, b"what was Registered")
    found = fsck(server)
    assert found.returncode == 1
    assert digest in found.stdout
    assert not client.verify("forged@1.0.0").ok
    assert client.verify("fraud@1.0.0").ok
