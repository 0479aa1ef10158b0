"""Who calls: principals, their roles and their tokens.

Owns principals, role grants and tokens, and the way the first administrator comes to be. Promises:
nothing readable as a secret is stored; a token gives at most what its principal has at that
moment; the last administrator stays one. Does not decide what a verb protects.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.identity.actions.access import create_local_admin_token, create_principal, create_token, disable_principal, ensure_first_admin, grant_role, revoke_token
from muniment.server.identity.reads.access import TokenCache, active_people, authenticator, people_with, trusted_to_promote
from muniment.server.identity.reads.folds import FOLDS
from muniment.server.identity.reads.people import came_in, people, signing_key_called, signing_keys_with
from muniment.server.identity.records import By, FirstAdmin, Issued, NewPrincipal, NewToken
from muniment.server.identity.rules.access import allows, came_in_json, came_in_of, came_in_row, roles_with, visible_scopes

__all__ = [
    "FOLDS", "By", "FirstAdmin", "Issued", "NewPrincipal", "NewToken", "TokenCache", "active_people", "allows",
    "authenticator", "came_in", "came_in_json", "came_in_of", "came_in_row", "create_local_admin_token", "create_principal", "create_token", "disable_principal",
    "ensure_first_admin", "grant_role", "people", "people_with", "revoke_token", "roles_with",
    "signing_key_called", "signing_keys_with", "trusted_to_promote", "visible_scopes",
]
