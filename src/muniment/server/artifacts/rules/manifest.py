"""The manifest: what it looks like as bytes, what may be in it, how two of them differ.

Source: design §2 (manifest), R-011, R-027 to R-030.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadDigest
from muniment.server.artifacts.records import Declared, File, FileChanges, Manifest, Moved
from muniment.server.artifacts.rules.paths import tree_problems
from muniment.server.catalog.records import Kind

SCHEMA = "muniment/manifest/v1"
FILES_MAX = 100_000

Problem = dict[str, Any]


def make(files: Iterable[File]) -> Manifest:
    """Return the manifest of `files`, whatever order they come in."""
    ordered = tuple(sorted(files, key=lambda file: file.path))
    listed = [
        {"path": file.path, "sha256": file.digest.hex, "size_bytes": file.size_bytes}
        for file in ordered
    ]
    body = canonical({"schema": SCHEMA, "files": listed})
    return Manifest(ordered, body, digest_of(body))


def problems(
    kind: Kind, files: Sequence[tuple[str, int, str]], *, max_file_bytes: int
) -> list[Problem]:
    """List everything wrong with offered files (path, size, digest text), each with a fix."""
    found: list[Problem] = []
    if not files and kind is not Kind.PROMPT:
        found.append(_problem("files", "there are none", "register at least one file"))
    if len(files) > FILES_MAX:
        fix = "put them into archives"
        return [_problem("files", f"{len(files)} files, at most {FILES_MAX} are accepted", fix)]
    for index, problem in tree_problems([path for path, _, _ in files]):
        shown = files[index][0][:200]
        fix = "rename it: relative, with `/`, plain characters, each path once in any case"
        found.append(_problem(f"files[{index}].path", f"`{shown}`: {problem}", fix))
    sizes: dict[Digest, int] = {}
    for index, (path, size_bytes, text) in enumerate(files):
        found += _size_problems(index, path, size_bytes, max_file_bytes)
        try:
            digest = Digest.parse(text)
        except BadDigest as error:
            found.append(_problem(f"files[{index}].sha256", error.message, "send SHA-256 in hex"))
            continue
        if sizes.setdefault(digest, size_bytes) != size_bytes:
            fix = "the same bytes have the same size: hash the files again"
            message = f"`{path[:200]}`: the same digest is listed with another size"
            found.append(_problem(f"files[{index}].size_bytes", message, fix))
    return found


def readable_digests(files: Sequence[tuple[str, int, str]]) -> dict[str, Digest]:
    """Return the digests among offered files, by their text; none of more files than are accepted."""
    found: dict[str, Digest] = {}
    if len(files) <= FILES_MAX:
        for _, _, text in files:
            with contextlib.suppress(BadDigest):
                found[text] = Digest.parse(text)
    return found


def _size_problems(index: int, path: str, size_bytes: int, most: int) -> list[Problem]:
    if 0 <= size_bytes <= most:
        return []
    message = f"`{path[:200]}`: expected 0 to {most} bytes, found {size_bytes}"
    return [_problem(f"files[{index}].size_bytes", message, "split the file")]


def absent(files: Sequence[File], usable: dict[Digest, int]) -> list[Problem]:
    """List the files whose bytes cannot be used: not held, or held with another size."""
    found = []
    for index, file in enumerate(files):
        held = usable.get(file.digest)
        if held is None:
            message = f"`{file.path[:200]}`: its bytes ({file.digest}) were not sent"
            fix = "send them in an upload session, and name the session in `upload_id`"
            found.append(_problem(f"files[{index}]", message, fix))
        elif held != file.size_bytes:
            message = f"`{file.path[:200]}`: expected {held} bytes, found {file.size_bytes}"
            found.append(_problem(f"files[{index}].size_bytes", message, "send the right size"))
    return found


def _problem(field: str, message: str, fix: str) -> Problem:
    return {"field": field, "message": message, "fix": fix}


def declared_problems(blobs: Sequence[Declared], *, max_file_bytes: int) -> list[Problem]:
    """List what is wrong with blobs somebody wants to send."""
    return [
        _problem(
            f"blobs[{index}].size_bytes",
            f"expected 0 to {max_file_bytes} bytes, found {blob.size_bytes}",
            "split the file",
        )
        for index, blob in enumerate(blobs)
        if not 0 <= blob.size_bytes <= max_file_bytes
    ]


def compare(left: Sequence[File], right: Sequence[File]) -> FileChanges:
    """Return how the files of `right` differ from those of `left`; each list sorted by path."""
    before = {file.path: file for file in left}
    after = {file.path: file for file in right}
    gone = {path: file for path, file in before.items() if path not in after}
    come = {path: file for path, file in after.items() if path not in before}
    moved = _moved(gone, come)
    for one in moved:
        for path in one.left:
            del gone[path]
        for path in one.right:
            del come[path]
    both = [(before[path], after[path]) for path in sorted(before.keys() & after.keys())]
    changed = tuple(pair for pair in both if pair[0].digest != pair[1].digest)
    return FileChanges(
        added=tuple(come[path] for path in sorted(come)),
        removed=tuple(gone[path] for path in sorted(gone)),
        changed=changed,
        moved=moved,
        same_count=len(both) - len(changed),
    )


def _moved(gone: dict[str, File], come: dict[str, File]) -> tuple[Moved, ...]:
    sides: dict[Digest, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    sizes = {}
    for side, files in enumerate((gone, come)):
        for path in sorted(files):
            sides[files[path].digest][side].append(path)
            sizes[files[path].digest] = files[path].size_bytes
    return tuple(
        Moved(digest, sizes[digest], tuple(left), tuple(right))
        for digest, (left, right) in sorted(sides.items(), key=lambda item: item[1])
        if left and right
    )
