"""Follow a log as an outsider does, believing nothing but its key.

One look, in order:

1. the checkpoint is signed with the key kept from the first look;
2. the log did not shrink, and at the same size has the same root;
3. the new tree extends the one seen last (RFC 6962 consistency proof);
4. every new entry, hashed here from the published bundles, leads to exactly the signed root.

What was seen last stays in a file: the signed checkpoint and the hashes of its complete subtrees.
A step that fails leaves that file as it was and keeps both checkpoints beside it as evidence.

Source: design §5, rule 5; c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muniment.client import places
from muniment.client.log import Log
from muniment.core.checkpoint import Checkpoint, open_checkpoint
from muniment.core.errors import BadRequest, LogInconsistent, MunimentError
from muniment.core.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    entries_path,
    leaf_hash,
    node_hash,
    parse_entry_bundle,
    verify_consistency,
)


@dataclass(frozen=True, slots=True)
class Frontier:
    """The complete subtrees of a tree, largest first: (leaves, root hash) each."""

    subtrees: tuple[tuple[int, bytes], ...] = ()

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return sum(leaves for leaves, _ in self.subtrees)

    def extended(self, leaf_hashes: Iterator[bytes]) -> Frontier:
        """Return the tree with more leaves at its end."""
        stack = list(self.subtrees)
        for leaf in leaf_hashes:
            stack.append((1, leaf))
            while len(stack) > 1 and stack[-2][0] == stack[-1][0]:
                (leaves, left), (_, right) = stack[-2:]
                stack[-2:] = [(2 * leaves, node_hash(left, right))]
        return Frontier(tuple(stack))

    def root(self) -> bytes:
        """Return the root over all leaves. Source: RFC 6962 §2.1."""
        if not self.subtrees:
            return EMPTY_ROOT
        *rest, (_, root) = self.subtrees
        for _, left in reversed(rest):
            root = node_hash(left, root)
        return root


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a log last: the signed checkpoint (None at first) and its tree."""

    note: str | None = None
    frontier: Frontier = Frontier()


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a log that held: the checkpoint, and how many entries were new."""

    checkpoint: Checkpoint
    new_entries: int


class Monitor:
    """Follows one log with `vkey`; what was seen last is kept below the state directory."""

    def __init__(self, log: Log, vkey: str) -> None:
        self._log = log
        self._vkey = vkey
        name = hashlib.sha256(vkey.encode()).hexdigest()[:32]
        self.state_path = places.state_home() / "monitor" / f"{name}.json"

    def look(self) -> Look:
        """Fetch the latest checkpoint and check it against all that was seen before.

        Raises:
            LogInconsistent: the log shrank, forked, or publishes other entries than it signed;
                both checkpoints are kept, and `extra["evidence"]` says where.
            BadSignature: the checkpoint is not signed with the key.
        """
        seen = self._recall()
        note = self._log.tile("checkpoint").decode()
        checkpoint = open_checkpoint(note, self._vkey)
        try:
            frontier = self._follow(seen, checkpoint)
        except LogInconsistent as error:
            evidence = self._keep_evidence(seen.note, note)
            raise LogInconsistent(
                f"{error.message}. Both checkpoints are kept in `{evidence}`: show them to whoever"
                " runs the log, and to others who follow it",
                extra={**error.extra, "evidence": str(evidence)},
            ) from error
        self._keep(Seen(note, frontier))
        return Look(checkpoint, checkpoint.size - seen.frontier.size)

    def _follow(self, seen: Seen, now: Checkpoint) -> Frontier:
        old = seen.frontier
        if now.size < old.size:
            msg = f"the log shrank: it had {old.size} entries and now shows {now.size}"
            raise LogInconsistent(msg)
        if now.size == old.size and seen.note and now.root != old.root():
            msg = f"the log forked: two signed roots for the same {now.size} entries"
            raise LogInconsistent(msg)
        if 0 < old.size < now.size:
            self._check_extends(old, now)
        frontier = old.extended(self._new_leaf_hashes(old.size, now.size))
        if frontier.root() != now.root:
            msg = (
                f"entries {old.size} to {now.size - 1} as published do not lead to the signed"
                f" root of {now.size} entries"
            )
            raise LogInconsistent(msg)
        return frontier

    def _check_extends(self, old: Frontier, now: Checkpoint) -> None:
        proof = self._log.consistency(old.size, now.size)
        try:
            verify_consistency(old.size, now.size, old.root(), now.root, proof)
        except MunimentError as error:
            msg = (
                f"the log forked: {now.size} entries do not extend the {old.size} seen before"
                f" ({error.message})"
            )
            raise LogInconsistent(msg) from error

    def _new_leaf_hashes(self, start: int, end: int) -> Iterator[bytes]:
        at = start
        while at < end:
            bundle, skip = divmod(at, TILE_WIDTH)
            width = min(TILE_WIDTH, end - bundle * TILE_WIDTH)
            entries = parse_entry_bundle(self._log.tile(entries_path(bundle, width)))
            if len(entries) != width:
                msg = f"entry bundle {bundle} should have {width} entries, found {len(entries)}"
                raise LogInconsistent(msg)
            for entry in entries[skip:]:
                yield leaf_hash(entry)
            at = bundle * TILE_WIDTH + width

    def _recall(self) -> Seen:
        try:
            saved: Any = json.loads(self.state_path.read_text(encoding="utf-8"))
            subtrees = tuple(
                (int(leaves), base64.b64decode(text)) for leaves, text in saved["subtrees"]
            )
            note = str(saved["note"])
        except FileNotFoundError:
            return Seen()
        except (ValueError, KeyError, TypeError) as error:
            msg = (
                f"`{self.state_path}` is damaged ({error}); restore it, or remove it to start anew"
            )
            raise BadRequest(msg) from error
        frontier = Frontier(subtrees)
        before = open_checkpoint(note, self._vkey)
        if (before.size, before.root) != (frontier.size, frontier.root()):
            msg = f"`{self.state_path}` does not fit the checkpoint in it; restore it from a copy"
            raise BadRequest(msg)
        return Seen(note, frontier)

    def _keep(self, seen: Seen) -> None:
        subtrees = [
            [leaves, base64.b64encode(root).decode()] for leaves, root in seen.frontier.subtrees
        ]
        places.write_private(self.state_path, {"note": seen.note, "subtrees": subtrees})

    def _keep_evidence(self, before: str | None, now: str) -> Path:
        digest = hashlib.sha256(now.encode()).hexdigest()[:16]
        path = self.state_path.with_name(f"inconsistent-{digest}.json")
        places.write_private(path, {"vkey": self._vkey, "before": before, "now": now})
        return path
