"""File work that does not lose data: plain functions that block, and `run` to call them off the loop.

`root` bounds how far up directories are synced when a new one was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from muniment.core.digest import Digest
from muniment.core.errors import BlobStoreDown, DiskFull

_P = ParamSpec("_P")
_T = TypeVar("_T")
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK = 4 << 20
_PAGE = 4096
_SYNCS_AT_ONCE = 8
_RESERVE_BYTES = 256 << 20
_DIRECT = getattr(os, "O_DIRECT", 0)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC


async def run(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run file work in a thread, and turn its errors into ours.

    Raises:
        DiskFull: there is no room, or the quota is used up.
        BlobStoreDown: any other error of the disk.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull(context={"reason": str(error)}) from error
        raise BlobStoreDown(context={"reason": str(error)}) from error


def boot_id() -> str:
    """Return what is the same until the machine starts again; else something used only once."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


def open_staged(path: Path, *, make: bool = True) -> int:
    """Open a staged file for reading and writing, made if it is not there; no link is followed."""
    if make:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
    try:
        flags = os.O_RDWR | _NO_LINK | (os.O_CREAT if make else 0)
        return os.open(path.name, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)


def check_way(path: Path, root: Path) -> Path:
    """Return `path`, if no folder between it and `root` is a symbolic link.

    Raises:
        BlobStoreDown: one is: what lies behind it is not the store's.
    """
    folder = path.parent
    while folder != root:
        if folder.is_symlink():
            raise BlobStoreDown(
                "a folder of the blob store is a symbolic link: move what it points to in its place",
                context={"folder": str(folder)},
            )
        folder = folder.parent
    return path


def is_at(handle: int, path: Path) -> bool:
    """Tell whether `path` still names the open file."""
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    opened = os.fstat(handle)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def open_sealed(path: Path) -> int | None:
    """Open a file for reading, or return None when there is none (or a folder)."""
    try:
        handle = os.open(path, os.O_RDONLY | _NO_LINK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def keep_reserve(handle: int, size_bytes: int) -> None:
    """Refuse to write what would take the last of the disk the open file is on.

    Uploads leave 256 MiB, or a sixteenth of a small disk, to what must still be written when they
    have filled it: tiles, checkpoints, and the database, if it is there too.

    Raises:
        OSError: `size_bytes` more would leave less (ENOSPC).
    """
    disk = os.fstatvfs(handle)
    reserve = min(_RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 16)
    if disk.f_bavail * disk.f_frsize < reserve + size_bytes:
        raise OSError(errno.ENOSPC, "what is left of the disk is kept for the log")


def write_at(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def write_block(handle: int, block: memoryview, offset: int) -> None:
    """Write all of a page-aligned `block` at `offset`, past the page cache where the disk can.

    Copying into the cache costs several times the CPU of the write, and pushes out what is read.
    Nobody else may use `handle` meanwhile.
    """
    done = 0
    if offset % _PAGE == 0 and _set_direct(handle, on=True):
        try:
            while (whole := (len(block) - done) // _PAGE * _PAGE) and done % _PAGE == 0:
                done += os.pwrite(handle, block[done : done + whole], offset + done)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a disk that wants it aligned in another way
                raise
        finally:
            _set_direct(handle, on=False)
    write_at(handle, block[done:], offset + done)


def _set_direct(handle: int, *, on: bool) -> bool:
    flags = fcntl.fcntl(handle, fcntl.F_GETFL) & ~_DIRECT
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | (_DIRECT if on else 0))
    except OSError:
        return False  # not on this disk
    return bool(_DIRECT)


def digest_of(handle: int) -> Digest:
    """Return the SHA-256 of a whole open file."""
    hasher, at = hashlib.sha256(), 0
    while chunk := os.pread(handle, _BLOCK, at):
        hasher.update(chunk)
        at += len(chunk)
    return Digest(hasher.digest())


def append(path: Path, text: str) -> None:
    """Append lines in one write.

    Raises:
        OSError: they were not written whole; the last line may be there in part.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK, 0o600)
    try:
        if os.write(handle, text.encode("ascii")) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)


def lines(path: Path) -> list[str]:
    """Return the complete lines of a file; none when it is not there."""
    text = (read_whole(path) or b"").decode("ascii", errors="replace")
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def size_of(path: Path) -> int | None:
    """Return the size of a plain file, or None when there is none."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_whole(path: Path) -> bytes | None:
    """Return the content of a file, or None when there is none."""
    handle = open_sealed(path)
    if handle is None:
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read()


def write_whole(path: Path, data: bytes, root: Path) -> None:
    """Write a file so that it has either its old content or the new, also after a power cut."""
    make_folder(path.parent, root)
    beside = path.parent / f".{path.name}.{secrets.token_hex(6)}"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
    try:
        try:
            write_at(handle, data, 0)
            os.fsync(handle)
        finally:
            os.close(handle)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_into_place(handle: int, path: Path, final: Path, root: Path) -> None:
    """Give a synced open file its final name, durably, and have nobody write it again."""
    make_folder(final.parent, root)
    path.replace(final)
    os.fchmod(handle, 0o444)  # after the move: what could not be moved can still be written
    sync_folder(final.parent)


def hold_together(beside: Path, contents: Mapping[Path, bytes], root: Path) -> None:
    """Write files under their names, durably, all of them with one wait for the disk where it can.

    They are written in the folder `beside`, which is removed, and then moved. What is there in the
    size it should have is left as it is.
    """
    missing = {path: data for path, data in contents.items() if size_of(path) != len(data)}
    written: list[tuple[int, Path, Path]] = []
    try:
        for number, (path, data) in enumerate(missing.items()):
            staged = beside / f"{number:08}"
            handle = open_staged(staged)
            written.append((handle, staged, path))
            keep_reserve(handle, len(data))
            write_at(handle, data, 0)
        # Several wait at a time: a file system that keeps a journal then writes it once for them all.
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as syncing:
            list(syncing.map(os.fsync, [handle for handle, _, _ in written]))
        changed: set[Path] = set()
        for handle, staged, path in written:
            _make_folder_unsynced(path.parent, root, changed)
            staged.replace(path)
            os.fchmod(handle, 0o444)
            changed.add(path.parent)
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as syncing:
            list(syncing.map(sync_folder, changed))
    finally:
        for handle, _, _ in written:
            os.close(handle)
        remove_tree(beside)


def _make_folder_unsynced(folder: Path, root: Path, changed: set[Path]) -> None:
    """Make a folder below `root`; those that a name was added to are noted in `changed`."""
    if folder == root or folder.is_dir():
        return
    _make_folder_unsynced(folder.parent, root, changed)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    changed.add(folder.parent)


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder below `root`; those that are new are synced into their parents."""
    if folder.is_dir():
        return
    if folder != root:
        make_folder(folder.parent, root)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file; nothing happens when there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        path.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, also while somebody adds to it; of a link, only the link."""
    for attempts_left in reversed(range(10)):
        try:
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
        except FileNotFoundError:
            if not os.path.lexists(folder):
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not attempts_left:
                raise


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, by name; none when it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def sizes(folder: Path) -> list[tuple[str, int]]:
    """Return name and size of each plain file in a folder, by name."""
    with os.scandir(folder) as entries:
        plain = [one for one in entries if one.is_file(follow_symlinks=False)]
        return sorted((one.name, one.stat(follow_symlinks=False).st_size) for one in plain)


def tree(root: Path, prefix: str) -> list[tuple[str, os.stat_result]]:
    """Return the files under `root` whose path starts with `prefix`, by path, with their stat."""
    found = []
    start = root / prefix.rpartition("/")[0]
    for folder, _, names in os.walk(start):
        for name in names:
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if key.startswith(prefix) and not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found.append((key, path.lstat()))
    return sorted(found, key=lambda one: one[0])
