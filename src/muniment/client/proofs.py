"""Proofs fetched from a registry and checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muniment.client import trust
from muniment.client.check import trusted_keys
from muniment.client.log import Log
from muniment.client.receipts import entry_receipt
from muniment.client.verify import check_proof, parse_receipt
from muniment.core.errors import BadProof
from muniment.core.merkle import Tile, subtree_from_tiles, verify_consistency
from muniment.core.receipt import Verified

if TYPE_CHECKING:
    from muniment.client.client import Client


def check_entry(client: Client, entry_id: str) -> tuple[dict[str, Any], Verified]:
    """Return the receipt of an entry and what it proves under the trusted key.

    Raises:
        LogBusy: the log has not included it yet.
        BadSignature, BadProof: it does not hold.
    """
    keys, _ = trusted_keys(client)
    receipt = entry_receipt(client, entry_id)
    return receipt, check_proof(parse_receipt(receipt), trust.as_trusted(keys))


def check_consistency(log: Log, old: int, new: int) -> tuple[list[bytes], bytes, bytes]:
    """Return the proof that `new` entries extend `old`, and both roots, computed from the tiles.

    Raises:
        BadProof: `old` is greater than `new`, or the log has fewer entries.
        LogInconsistent: the proof does not hold between the trees the tiles show.
    """
    size = log.checkpoint().size
    if not 0 <= old <= new <= size:
        raise BadProof(
            f"expected 0 <= OLD <= NEW <= {size} (the log's size), found {old} and {new}"
        )

    def read(tile: Tile) -> bytes:
        return log.tile(tile.path)

    subtree = subtree_from_tiles(size, read)
    old_root, new_root = subtree(0, old), subtree(0, new)
    hashes = log.consistency(old, new)
    verify_consistency(old, new, old_root, new_root, hashes)
    return hashes, old_root, new_root
