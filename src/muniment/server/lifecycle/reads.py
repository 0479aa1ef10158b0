"""The lifecycle's tables as `muniment fsck` compares them with the log; stages as SQL; verdicts as shown."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, LiteralString

import msgspec

from muniment.server import catalog
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.lifecycle.records import ConsumerOf
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import Decision, Outcome, RuleClass, Verdict
from muniment.server.ports.db import Tx


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
               actor_id, reason, entry_id, decision_id, composite, ended_at, ended_as, ended_actor_kind,
               ended_actor_id, ended_entry_id
        FROM deployment
        """,
    ),
    catalog.TableFold(
        "attempt",
        _timed(folding.fold_attempt),
        """
        SELECT entry_id::text AS key, asset_id, version_id, namespace, environment, at, actor_kind,
               actor_id, mode, carried_out, rules, step, composite
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


class RuleResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says. `lacks`: what would make a failed one pass."""

    id: str
    rule_class: RuleClass = msgspec.field(name="class")
    outcome: Outcome
    message: str
    remedy: str
    lacks: str | None


class VerdictBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of an act, one result for each.

    `policy_digest` is of the policy that was asked, null where none was.
    """

    decision: Decision
    results: list[RuleResultBody]
    policy_digest: str | None = None


def verdict_body(found: Verdict) -> VerdictBody:
    """Return `found` as the API shows it."""
    return msgspec.convert(rules.verdict_json(found), VerdictBody)


#: Says how many consumers use a version now, and which: the first of them. Known above this slice.
Consumers = Callable[[Tx, uuid.UUID], Awaitable[tuple[int, Sequence[ConsumerOf]]]]


async def _nobody(_tx: Tx, _version_id: uuid.UUID) -> tuple[int, Sequence[ConsumerOf]]:
    return 0, ()


_consumers: Consumers = _nobody


def tell_consumers(consumers: Consumers) -> None:
    """Have what brings versions to an end ask `consumers` who uses them."""
    global _consumers  # noqa: PLW0603 -- told once, by the slice that knows
    _consumers = consumers


async def consumers_of(tx: Tx, version_id: uuid.UUID) -> tuple[int, Sequence[ConsumerOf]]:
    """Return how many consumers use a version now, and the first of them."""
    return await _consumers(tx, version_id)
