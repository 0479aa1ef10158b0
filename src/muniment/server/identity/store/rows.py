"""Rows of this slice's governance tables, for `fsck`."""

from __future__ import annotations

from typing import LiteralString

#: Rows of each governance table, in the order of their keys.
ROWS: dict[str, LiteralString] = {
    "principal": "SELECT id, kind, name, display_name, created_at, disabled_at FROM principal"
    " ORDER BY id",
    "role_grant": "SELECT principal_id, role, namespace, asset, granted_at, issuer_id FROM role_grant"
    " ORDER BY principal_id, role, namespace, asset",
    "token": "SELECT id, principal_id, label, hash, limits::text AS limits, created_at, expires_at,"
    " revoked_at, workload::text AS workload, came_in, made_by FROM token ORDER BY id",
    "trusted_issuer": "SELECT id, name, url, provider, created_at, removed_at FROM trusted_issuer"
    " ORDER BY id",
    "trusted_publisher": "SELECT id, namespace, asset, issuer_id, principal_id, identity,"
    " rule::text AS rule, permits, created_at, removed_at FROM trusted_publisher ORDER BY id",
    "login_issuer": "SELECT id, name, url, client_id, groups_claim, scopes, roles::text AS roles,"
    " created_at, removed_at FROM login_issuer ORDER BY id",
    "signing_key": "SELECT id, principal_id, name, public_key, key_sha256, created_at, revoked_at,"
    " revoked_by, came_in, made_by FROM signing_key ORDER BY id",
    "person_identity": "SELECT principal_id, issuer, subject, created_at FROM person_identity"
    " ORDER BY principal_id",
}
