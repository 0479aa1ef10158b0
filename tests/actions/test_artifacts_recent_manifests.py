"""Files of a manifest are found without reading it anew, and never from a manifest that changed."""

from __future__ import annotations

import pytest

from muniment.core.digest import digest_of
from muniment.core.errors import IntegrityError
from muniment.server.artifacts import store
from muniment.server.artifacts.reads import RecentManifests
from muniment.server.artifacts.records import File, Manifest
from muniment.server.artifacts.rules import manifest
from muniment.server.ports.db import Database, Tx


class CountingTx:
    """A transaction that counts what it is asked for."""

    def __init__(self, inner: Tx) -> None:
        self._inner, self.count = inner, 0

    def __getattr__(self, name: str) -> object:
        self.count += 1
        return getattr(self._inner, name)


def a_manifest(name: str, file_count: int) -> Manifest:
    digest = digest_of(name.encode())
    return manifest.make(File(f"{name}/{number}", 1, digest) for number in range(file_count))


async def asked(db: Database, recent: RecentManifests, one: Manifest, path: str) -> int:
    """Find a file of `one`, which must be there, and return the statements that took."""
    async with db.transaction(read_only=True) as tx:
        counting = CountingTx(tx)
        found = await recent.find_file(counting, one.digest, path)  # type: ignore[arg-type]
    assert found == next(file for file in one.files if file.path == path)
    return counting.count


async def test_a_manifest_is_read_once(db: Database) -> None:
    one, recent = a_manifest("a", 3), RecentManifests(10)
    async with db.transaction() as tx:
        await store.insert_manifest(tx, one)
    assert [await asked(db, recent, one, f"a/{number}") for number in (0, 1, 2)] == [1, 0, 0]
    async with db.transaction(read_only=True) as tx:
        assert await recent.find_file(tx, one.digest, "a/3") is None


async def test_those_used_last_are_kept(db: Database) -> None:
    a, b, c = (a_manifest(name, 4) for name in "abc")
    recent = RecentManifests(8)
    async with db.transaction() as tx:
        for one in (a, b, c):
            await store.insert_manifest(tx, one)
    assert [await asked(db, recent, one, f"{one.files[0].path}") for one in (a, b, a)] == [1, 1, 0]
    assert await asked(db, recent, c, "c/0") == 1  # b had to go
    assert [await asked(db, recent, one, one.files[0].path) for one in (a, c, b)] == [0, 0, 1]


async def test_what_is_larger_than_all_that_is_kept_is_read_each_time(db: Database) -> None:
    small, large, recent = a_manifest("s", 2), a_manifest("l", 9), RecentManifests(8)
    async with db.transaction() as tx:
        await store.insert_manifest(tx, small)
        await store.insert_manifest(tx, large)
    assert await asked(db, recent, small, "s/0") == 1
    assert [await asked(db, recent, large, "l/8") for _ in range(2)] == [1, 1]
    assert await asked(db, recent, small, "s/1") == 0


async def test_a_manifest_that_does_not_match_its_digest_is_not_kept(db: Database) -> None:
    one, recent = a_manifest("a", 1), RecentManifests(8)
    forged = Manifest(one.files, one.body.replace(b"a/0", b"b/0"), one.digest)
    async with db.transaction() as tx:
        await store.insert_manifest(tx, forged)
    async with db.transaction(read_only=True) as tx:
        for _ in range(2):
            with pytest.raises(IntegrityError, match="fsck"):
                await recent.find_file(tx, one.digest, "b/0")
