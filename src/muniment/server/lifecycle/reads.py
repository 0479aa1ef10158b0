"""The lifecycle's tables as `muniment fsck` compares them with the log, and stages as SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, LiteralString

from muniment.server import catalog
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.lifecycle.rules import folding


def _timed(
    fold: Callable[[dict[Key, Fields], Recorded, str], None],
) -> Callable[[dict[Key, Fields], Recorded], None]:
    def change(rows: dict[Key, Fields], entry: Recorded) -> None:
        fold(rows, entry, catalog.timestamp(entry.at))

    return change


FOLDS: Final[tuple[Fold, ...]] = (
    catalog.TableFold(
        "deployment",
        _timed(folding.fold_deployment),
        """
        SELECT id::text AS key, asset_id, version_id, environment, alias, mode, since, actor_kind,
               actor_id, reason, entry_id, decision_id, ended_at, ended_as, ended_actor_kind, ended_actor_id,
               ended_entry_id
        FROM deployment
        """,
    ),
    catalog.TableFold(
        "attempt",
        _timed(folding.fold_attempt),
        """
        SELECT entry_id::text AS key, asset_id, version_id, namespace, environment, at, actor_kind,
               actor_id, mode, carried_out, rules
        FROM attempt
        """,
    ),
)

#: The stage of version `v` of asset `a`, whose standing (if any) is `k`: `rules.stages.stage_of` in
#: SQL, for statements that choose by stage.
STAGE: Final[LiteralString] = """
    CASE WHEN a.tombstoned_at IS NOT NULL OR k.mark = 'retired' THEN 'Archived'
         WHEN EXISTS (SELECT FROM deployment d JOIN environment e ON e.name = d.environment
                      WHERE d.version_id = v.id AND d.ended_at IS NULL AND e.stage = 'Production')
         THEN 'Production'
         WHEN k.mark = 'deprecated' THEN 'Archived'
         WHEN EXISTS (SELECT FROM deployment d JOIN environment e ON e.name = d.environment
                      WHERE d.version_id = v.id AND d.ended_at IS NULL AND e.stage = 'Staging')
         THEN 'Staging'
         ELSE 'None' END"""
