"""This slice's tables as `muniment fsck` compares them with the log."""

from __future__ import annotations

from typing import Final

from muniment.server import catalog
from muniment.server.ledger.records import Fold
from muniment.server.serving.rules import folding

FOLDS: Final[tuple[Fold, ...]] = (
    catalog.TableFold(
        "consumer_binding",
        folding.fold_binding,
        """
        SELECT id::text AS key, asset_id, version_id, judged_version_id, system, endpoint, use_case,
               environment, use_sha256, reason, bound_at, actor_kind, actor_id, entry_id, ended_at,
               ended_as, ended_reason, ended_actor_kind, ended_actor_id, ended_entry_id
        FROM consumer_binding
        """,
    ),
    catalog.TableFold(
        "consumer_acknowledgement",
        folding.fold_acknowledgement,
        """
        SELECT entry_id::text AS key, binding_id, version_id, note, at, actor_kind, actor_id
        FROM consumer_acknowledgement
        """,
    ),
)
