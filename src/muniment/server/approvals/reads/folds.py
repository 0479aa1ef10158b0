"""This slice's tables as `muniment fsck` compares them with the log."""

from __future__ import annotations

from typing import Final

from muniment.server import catalog
from muniment.server.approvals.rules import folding
from muniment.server.ledger.records import Fold

FOLDS: Final[tuple[Fold, ...]] = (
    catalog.TableFold(
        "approval_request",
        folding.fold_request,
        """
        SELECT id::text AS key, asset_id, version_id, environment, change_class, reason, reference,
               re_conformity, frozen, frozen_sha256, opened_at, actor_kind, actor_id, entry_id,
               ended_at, ended_as, ended_reason, ended_entry_id, composite, member_assets
        FROM approval_request
        """,
    ),
    catalog.TableFold(
        "approval",
        folding.fold_approval,
        """
        SELECT id::text AS key, request_id, person_id, role, decision, sign_off, comment, signed_by,
               key_id, nonce, statement_sha256, bundle, at, entry_id, review_step, came_in,
               made_by
        FROM approval
        """,
    ),
    catalog.TableFold(
        "approval_condition",
        folding.fold_condition,
        """
        SELECT id::text AS key, approval_id, position, text, due::text AS due, met_at, met_by,
               met_note, met_entry_id
        FROM approval_condition
        """,
    ),
    catalog.TableFold(
        "approval_comment",
        folding.fold_comment,
        """
        SELECT id::text AS key, request_id, text, at, actor_kind, actor_id, entry_id, resolved_at,
               resolution, resolved_kind, resolved_id, resolved_entry_id
        FROM approval_comment
        """,
    ),
    catalog.TableFold(
        "decision",
        folding.fold_decision,
        """
        SELECT id::text AS key, request_id, asset_id, version_id, environment, outcome,
               frozen_sha256, decided_at, expires_at, entry_id, composite
        FROM decision
        """,
    ),
    catalog.TableFold(
        "approval_warning",
        folding.fold_warning,
        "SELECT decision_id || '/' || days AS key, at, entry_id FROM approval_warning",
    ),
    catalog.TableFold(
        "rule_exception",
        folding.fold_exception,
        """
        SELECT id::text AS key, asset_id, version_id, environment, rule, reason, control,
               until::text AS until, person_id, role, signed_by, key_id, nonce, statement_sha256,
               bundle, granted_at, entry_id, revoked_at, revoked_kind, revoked_id, revoked_reason,
               revoked_entry_id, came_in, made_by
        FROM rule_exception
        """,
    ),
)
