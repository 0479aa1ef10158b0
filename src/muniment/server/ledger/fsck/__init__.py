"""Does everything agree: entries, tree, checkpoints, what was published, tables, blobs?

In this order, 0 to 4 in one snapshot of the database:

0. triggers, their functions, owners and rights to write are what the migrations made of them;
1. every entry has exactly one leaf or waits for one, and carries the MAC of the entry key; indexes
   have no gap; columns, payload and signature are what the leaf commits to; erased payloads were
   erased by an act in the log; what was refused a leaf is gone;
2. tiles, and the root of every checkpoint, follow from the leaves; checkpoints are signed by the
   log key and keep the times at which they were; the fork guard holds a tree of this log;
3. the tiles and entry bundles in the blob store are those of the newest published checkpoint;
4. every table of a `Fold` is what folding the log gives (placed entries first, then waiting ones);
5. blobs that must be held are, and the bytes of all or some of them have their digest.

Source: design §5.6.
"""

from __future__ import annotations

from muniment.server.ledger.fsck.check import fsck
from muniment.server.ledger.fsck.folding import state
from muniment.server.ledger.fsck.options import Options

__all__ = ["Options", "fsck", "state"]
