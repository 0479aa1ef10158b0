"""What travels: principals, grants and tokens as JSON."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import NotFound
from muniment.core.names import AssetName, Namespace
from muniment.server import ledger
from muniment.server.http.operation import Call
from muniment.server.http.paging import Cursor, Limit
from muniment.server.http.records import Grant, PrincipalKind, Role, Scope
from muniment.server.identity.records import By, CameIn, Issued, Principal, Token
from muniment.server.identity.rules import access as rules

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=rules.NAME_MAX_CHARS)]


class GrantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role for everything, for a namespace, or for one asset in it."""

    role: Role
    namespace: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = None
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None

    def grant(self) -> Grant:
        """Return the grant.

        Raises:
            BadName: the namespace or the asset has an impossible name.
            BadBody: there is an asset and no namespace.
        """
        scope = Scope(self.namespace, self.asset)
        rules.check_scope(scope)
        if scope.namespace is not None:
            scope = Scope(str(Namespace.parse(scope.namespace)), scope.asset)
        if scope.asset is not None:
            scope = Scope(scope.namespace, str(AssetName.parse(scope.asset)))
        return Grant(self.role, scope)


class PrincipalBody(msgspec.Struct, frozen=True):
    """A person, a service or a workload, and its roles."""

    id: uuid.UUID
    kind: PrincipalKind
    name: str
    display_name: str | None
    grants: list[GrantBody]
    created_at: dt.datetime
    disabled_at: dt.datetime | None


class WhoAmI(msgspec.Struct, frozen=True):
    """Whose token was sent, and what it may do: its principal's roles within its own limits."""

    id: uuid.UUID
    kind: PrincipalKind
    name: str
    grants: list[GrantBody]
    token_id: uuid.UUID | None
    token_expires_at: dt.datetime | None


class NewPrincipalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A principal to be made; `system` is the registry's own kind."""

    name: Label
    kind: PrincipalKind = PrincipalKind.PERSON
    display_name: Label | None = None
    grants: Annotated[list[GrantBody], msgspec.Meta(max_length=100)] = []


class TokenBody(msgspec.Struct, frozen=True):
    """What is kept of a token. `limits` null: all that its principal may.

    `came_in` is how whoever uses it came in (null: not known): one's own token made with another came
    in as that did.
    """

    id: uuid.UUID
    principal_id: uuid.UUID
    label: str
    limits: list[GrantBody] | None
    created_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None
    came_in: CameIn | None


class IssuedBody(TokenBody, frozen=True):
    """A new token; `token` is its text, in this answer and never again."""

    token: str


class NewTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made: one's own unless `principal_id` says whose.

    `expires_at` is at most 365 days away; without it the token is good for 90 days.
    """

    label: Label
    principal_id: uuid.UUID | None = None
    expires_at: dt.datetime | None = None
    limits: Annotated[list[GrantBody], msgspec.Meta(min_length=1, max_length=100)] | None = None


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one-time code that the server showed at its first start."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    name: Label = "admin"


class PrincipalsQuery(msgspec.Struct, frozen=True):
    """Which principals: those whose name has `name` in it."""

    name: str | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class TokensQuery(msgspec.Struct, frozen=True):
    """Whose tokens."""

    principal_id: uuid.UUID | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class WelcomeQuery(msgspec.Struct, frozen=True):
    """The code, as it is in the link."""

    code: Annotated[str, msgspec.Meta(max_length=200)] = ""


def grant_bodies(grants: tuple[Grant, ...]) -> list[GrantBody]:
    """Return grants as they are sent."""
    return [GrantBody(g.role, g.scope.namespace, g.scope.asset) for g in grants]


def principal_body(principal: Principal) -> PrincipalBody:
    """Return a principal as it is sent."""
    return PrincipalBody(
        id=principal.id,
        kind=principal.kind,
        name=principal.name,
        display_name=principal.display_name,
        grants=grant_bodies(principal.grants),
        created_at=principal.created_at,
        disabled_at=principal.disabled_at,
    )


def token_body(token: Token) -> TokenBody:
    """Return a token as it is sent."""
    return TokenBody(
        id=token.id,
        principal_id=token.principal_id,
        label=token.label,
        limits=None if token.limits is None else grant_bodies(token.limits),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=token.last_used_at,
        came_in=token.came_in,
    )


def issued_body(issued: Issued) -> IssuedBody:
    """Return a new token as it is sent, the only time."""
    return IssuedBody(**msgspec.structs.asdict(token_body(issued.token)), token=issued.text)


def by(call: Call) -> By:
    """Return who acts in this request, and when."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def id_of(call: Call, name: str) -> uuid.UUID:
    """Return an id from the path.

    Raises:
        NotFound: it is not one, so there is nothing of that id.
    """
    try:
        return uuid.UUID(call.path[name])
    except ValueError:
        raise NotFound(f"there is no {name.removesuffix('_id')} {call.path[name][:100]}") from None
