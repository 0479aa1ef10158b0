"""The append-only log every act is written to, and the proof that it is only ever appended to.

Owns the entries, their Merkle tree, its signed checkpoints, and `fsck`, which compares the whole
registry with its log. Promises: an act is in the log exactly if its transaction committed; leaf
indexes have no gaps; no two checkpoints that anybody saw contradict each other; a crash at any
point is recovered by the code that runs normally; an entry that this registry did not write gets no
leaf. Does not decide who may act, nor what an act is.
"""

# fmt: off
from muniment.server.ledger.actions import append, append_all, append_with, erase
from muniment.server.ledger.reads import (
    FOLDS,
    attested,
    await_receipt,
    check_entry_key,
    entries,
    entry,
    find_entry,
    gauges,
    history,
    receipt,
    registrants,
    tail,
)
from muniment.server.ledger.records import Actor, Entry, Fields, Fold, Key, Recorded, Subject
from muniment.server.ledger.rules import actor_of

__all__ = [
    "FOLDS", "Actor", "Entry", "Fields", "Fold", "Key", "Recorded", "Subject", "actor_of", "append",
    "append_all", "append_with", "attested", "await_receipt", "check_entry_key", "entries", "entry", "erase", "find_entry", "gauges", "history",
    "receipt", "registrants", "tail",
]
