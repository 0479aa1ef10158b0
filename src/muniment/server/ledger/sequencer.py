"""Gives committed entries their place in the tree, and shows the tree signed.

One at a time. What is stored decides, so that a crash or failure anywhere is recovered by the
steps that run normally:

1. *load*: read the last signed tree; refuse unless it extends what the fork guard holds;
2. *publish* what was signed and not shown yet: tiles and entry bundles to the blob store, then the
   guard by compare-and-swap, then mark the checkpoint as published;
3. *sequence* a batch: leaves, tiles and the signed checkpoint in one transaction; what does not
   carry the registry's MAC gets no leaf but an act that says so (`entry.refuse`);
4. *publish* that.

A checkpoint is shown only after the guard holds it, and the guard moves only from what *load*
checked. So no two checkpoints that anybody saw contradict each other.

Source: design §5.2, §5.4; C2SP tlog-tiles.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from muniment.core import merkle
from muniment.core.errors import Conflict, LogBusy, MunimentError, Unavailable
from muniment.core.merkle import Tile
from muniment.server.ledger import rules, store, tiles
from muniment.server.ledger.actions import append
from muniment.server.ledger.records import Head, Refusal, Signed
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.keys import Signer

GUARD_KEY: Final = "guard/checkpoint"
OBJECT_PREFIX: Final = "log/"

BATCH: Final = 2048
_PUTS_AT_ONCE: Final = 8

_log = structlog.get_logger("muniment.ledger")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait, in seconds.

    `poll`: for commits of other processes (this process's own wake it); `gap`: between
    checkpoints, so that under load one fsync serves many entries; `retry`: after a failure, or
    while another sequencer leads.
    """

    poll: float = 0.1
    gap: float = 0.04
    retry: float = 1.0


@dataclass(frozen=True, slots=True)
class _State:
    """What this sequencer knows to be stored."""

    edge: tiles.Edge
    unpublished: Signed | None
    published_size: int
    guard: bytes | None


class Sequencer:
    """The one writer of the tree. `run` it, or drive `step` by hand."""

    def __init__(
        self,
        db: Database,
        blobs: Blobs,
        *,
        log_key: Signer,
        clock: Clock,
        origin: str,
        pace: Pace | None = None,
    ) -> None:
        """Sequence the entries of `db` for the log `origin`; nothing is read or written yet."""
        self._db = db
        self._blobs = blobs
        self._signer = log_key
        self._clock = clock
        self._key = rules.log_key(origin, log_key)
        self._pace = pace or Pace()
        self._state: _State | None = None
        self._superseded: set[Tile] = set()  # full tiles whose partial forms may still be there
        self._sweeping: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Sequence until `stop`. Waits while another sequencer leads; survives what is retryable.

        Raises:
            LogInconsistent: the database's tree does not extend what was signed before. Nothing
                was written; a person has to look.
        """
        self._db.on_signal("ledger", self._wake.set)
        while not self._stopping.is_set():
            try:
                async with self._db.transaction() as lock:
                    if await store.try_lead(lock):
                        await self._lead(lock)
            except (Unavailable, Conflict) as error:
                _log.warning("sequencer_retries", error=error.code, detail=error.message)
            finally:
                await self._end_sweep()
            await self._pause(self._stopping, self._pace.retry)

    def stop(self) -> None:
        """Have `run` return after the step it is in."""
        self._stopping.set()
        self._wake.set()

    async def step(self) -> int:
        """Publish what is unpublished, place and publish one batch; return how many were taken.

        Whatever it raises, calling it again (here or in another process) goes on from what is
        stored. The caller holds the lead.

        Raises:
            LogInconsistent: see `run`.
            Unavailable, Conflict: a store did not answer, or somebody else leads.
        """
        state, self._state = self._state or await self._load(), None
        state = await self._publish(state)
        state, placed = await self._sequence(state)
        self._state = await self._publish(state)
        return placed

    async def _lead(self, lock: Tx) -> None:
        """Step whenever entries wait, for as long as the transaction `lock` lives.

        Asking through `lock` whether anything waits also shows that the lock is still held.
        """
        while not self._stopping.is_set():
            self._wake.clear()
            if self._state is not None and not await store.has_pending(lock):
                await self._pause(self._wake, self._pace.poll)
            elif await self.step() < BATCH:
                self._begin_sweep()
                await self._pause(self._stopping, self._pace.gap)

    async def _pause(self, event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    async def _load(self) -> _State:
        """Read the last signed tree and check it against the guard.

        Raises:
            LogInconsistent: it does not extend the guard's, or the tables contradict themselves.
        """
        guard_note = await self._blobs.get_object(GUARD_KEY)
        guard = rules.open_guard(guard_note, self._key) if guard_note is not None else None
        async with self._db.transaction(read_only=True, repeatable=True) as tx:
            last = await store.last_checkpoint(tx, published=False)
            shown = await store.last_checkpoint(tx, published=True)
            size = last.size if last else 0
            at_guard = min(guard.size, size) if guard else 0
            wanted = {*tiles.edge_tiles(size), *tiles.edge_tiles(at_guard)}
            held = await store.held_tiles(tx, wanted)
            leaf_count = await store.leaf_count(tx)
        edge = tiles.edge_of(size, held)
        head = Head(size, edge.root())
        rules.check_stored(head, last, leaf_count)
        rules.check_head(
            head,
            guard,
            shown=shown.size if shown else None,
            root_at_guard=tiles.edge_of(at_guard, held).root(),
        )
        self._superseded |= tiles.filled(0, size)
        return _State(
            edge=edge,
            unpublished=last if last != shown else None,
            published_size=shown.size if shown else 0,
            guard=guard_note,
        )

    async def _sequence(self, state: _State) -> tuple[_State, int]:
        """Place one batch: leaves, tiles and checkpoint, in one transaction.

        What the registry did not put into the queue itself is refused, and counted with the rest.
        """
        async with self._db.transaction() as tx:
            taken = await store.take_pending(tx, BATCH)
            waiting, refused = rules.sort_out(taken, tx.mac)
            await self._refuse(tx, refused)
            if not waiting:
                return state, len(taken)
            hashes = [merkle.leaf_hash(each.leaf) for each in waiting]
            edge, changed = await asyncio.to_thread(tiles.grow, state.edge, hashes)
            signed = self._sign(edge)
            ids = [each.entry_id for each in waiting]
            await store.insert_leaves(tx, state.edge.size, ids, hashes)
            await store.upsert_tiles(tx, changed)
            await store.insert_checkpoint(tx, signed, tx.mac(rules.checkpoint_mac_input(signed)))
        return replace(state, edge=edge, unpublished=signed), len(taken)

    async def _refuse(self, tx: Tx, refused: Sequence[Refusal]) -> None:
        """Say in the log, and loudly in ours, what got no leaf; what others did goes on."""
        for each in refused:
            said = await store.claims(tx, each.entry_id)
            act = rules.refusal(each, said, act_id=self._clock.new_id(), at=self._clock.now())
            await store.insert_refused(tx, act.id, each.entry_id, each.reason, act.at)
            await append(tx, act)
            _log.error("entry_refused", entry=str(each.entry_id), reason=each.reason, **said)

    def _sign(self, edge: tiles.Edge) -> Signed:
        head = Head(edge.size, edge.root())
        note = rules.sign_head(head, self._key, self._signer)
        return Signed(head.size, head.root, note, self._clock.now())

    async def _publish(self, state: _State) -> _State:
        """Show the checkpoint that is signed and unpublished, if there is one."""
        if state.unpublished is None:
            return state
        size, note = state.unpublished.size, state.unpublished.note.encode()
        changed = list(merkle.tiles_between(state.published_size, size))
        await self._put_objects(changed)
        if note != state.guard and not await self._blobs.swap_object(
            GUARD_KEY, note, expected=state.guard
        ):
            raise LogBusy("another sequencer moved the fork guard; reading again what is stored")
        async with self._db.transaction() as tx:
            await store.mark_published(tx, size, self._clock.now())
            tx.signal("ledger.published")
        self._superseded |= tiles.filled(state.published_size, size)
        return replace(state, unpublished=None, published_size=size, guard=note)

    async def _put_objects(self, changed: Sequence[Tile]) -> None:
        """Write tiles, and the entry bundles under those of level 0, a few at a time."""
        for at in range(0, len(changed), _PUTS_AT_ONCE):
            some = changed[at : at + _PUTS_AT_ONCE]
            async with self._db.transaction(read_only=True) as tx:
                objects = await objects_of(tx, some)
            await asyncio.gather(
                *(self._blobs.put_object(OBJECT_PREFIX + key, data) for key, data in objects)
            )

    async def sweep(self) -> None:
        """Remove the partial forms of tiles that are full now. What stays only takes room."""
        while self._superseded:
            tile = self._superseded.pop()
            prefixes = [f"{OBJECT_PREFIX}{tile.path}.p/"]
            if tile.level == 0:
                prefixes.append(f"{OBJECT_PREFIX}{merkle.entries_path(tile.index)}.p/")
            try:
                for prefix in prefixes:
                    keys = [found.key async for found in self._blobs.list_objects(prefix)]
                    for key in keys:
                        await self._blobs.delete_object(key)
            except MunimentError as error:
                _log.info("partial_tiles_stay", tile=tile.path, error=error.code)

    def _begin_sweep(self) -> None:
        if self._superseded and (self._sweeping is None or self._sweeping.done()):
            self._sweeping = asyncio.create_task(self.sweep())

    async def _end_sweep(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            self._sweeping = None


async def objects_of(tx: Tx, some: Sequence[Tile]) -> list[tuple[str, bytes]]:
    """Return the objects of `some` tiles: their hashes, and for leaves the entry bundle too."""
    held = await store.held_tiles(tx, some)
    objects = [(tile.path, tiles.prefix(held, tile)) for tile in some]
    for tile in some:
        if tile.level == 0:
            start = tile.index * merkle.TILE_WIDTH
            leaves = await store.leaves(tx, start, start + tile.width)
            path = merkle.entries_path(tile.index, tile.width)
            objects.append((path, merkle.entry_bundle(leaves)))
    return objects
