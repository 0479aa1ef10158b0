"""The tables of policy as `muniment fsck` compares them with the log."""

from __future__ import annotations

from typing import Final

from muniment.server import catalog
from muniment.server.ledger.records import Fold
from muniment.server.policy.rules import folding

FOLDS: Final[tuple[Fold, ...]] = (
    catalog.TableFold(
        "policy_bundle",
        folding.fold_bundle,
        """
        SELECT digest AS key, encode(sha256(packed), 'hex') AS packed, rule_count, added_at,
               actor_kind, actor_id, entry_id
        FROM policy_bundle
        """,
    ),
    catalog.TableFold(
        "policy_activation",
        folding.fold_activation,
        """
        SELECT id::text AS key, digest, proposed_at, proposer_kind, proposer_id, reason,
               effective_from, coalesce(simulation, 'null')::text AS simulation, entry_id, approved_at,
               approver_kind, approver_id, approval_reason, effective_at, approval_entry_id,
               withdrawn_at, withdrawer_kind, withdrawer_id, withdrawal_reason, withdrawal_entry_id
        FROM policy_activation
        """,
        frozenset({"simulation"}),
    ),
    catalog.TableFold(
        "policy_verdict",
        folding.fold_verdict,
        """
        SELECT id::text AS key, entry_id, at, asset_id, version_id, step, environment,
               policy_digest, input_digest, decision, failed, carried_out, engine, engine_version,
               duration_us, composite
        FROM policy_verdict
        """,
    ),
)
