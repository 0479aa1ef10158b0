"""What travels: login issuers and logins as JSON."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.server.http.records import Role
from muniment.server.identity.records import GroupRole, LoginIssuer, NewLoginIssuer
from muniment.server.identity.routes.bodies import GrantBody, PrincipalBody
from muniment.server.identity.routes.trust_bodies import IdTokenText, Text
from muniment.server.identity.rules.logins import ROLES_MAX, SCOPES_MAX


class GroupRoleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What members of a group are: for everything, for a namespace, or for one asset in it."""

    group: Text
    role: Role
    namespace: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = None
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None

    def group_role(self) -> GroupRole:
        """Return it.

        Raises:
            BadName: the namespace or the asset has an impossible name.
            BadBody: there is an asset and no namespace.
        """
        return GroupRole(self.group, GrantBody(self.role, self.namespace, self.asset).grant())


Roles = Annotated[list[GroupRoleBody], msgspec.Meta(max_length=ROLES_MAX)]


class NewLoginIssuerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An issuer by which people are to come in; `url` is exactly the `iss` of its tokens.

    `client_id` is of a public client that may use the device flow; `groups_claim` names the groups.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    url: Text
    client_id: Text
    groups_claim: Text = "groups"
    scopes: Annotated[list[Text], msgspec.Meta(max_length=SCOPES_MAX)] = msgspec.field(
        default_factory=lambda: ["openid", "profile"]
    )
    roles: Roles = []

    def new(self) -> NewLoginIssuer:
        """Return it.

        Raises:
            BadName: a namespace or an asset has an impossible name.
            BadBody: a role has an asset and no namespace.
        """
        return NewLoginIssuer(
            name=self.name,
            url=self.url,
            client_id=self.client_id,
            groups_claim=self.groups_claim,
            scopes=tuple(self.scopes),
            roles=tuple(each.group_role() for each in self.roles),
        )


class RolesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What groups are, all of it: what is not listed gives nothing."""

    roles: Roles


class LoginIssuerBody(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer by which people come in, and what its groups are here."""

    id: uuid.UUID
    name: str
    url: str
    client_id: str
    groups_claim: str
    scopes: list[str]
    roles: list[GroupRoleBody]
    created_at: dt.datetime
    removed_at: dt.datetime | None


class ChoiceBody(msgspec.Struct, frozen=True):
    """What a client needs for the device flow with one issuer."""

    name: str
    url: str
    client_id: str
    scopes: list[str]


class ChoicesBody(msgspec.Struct, frozen=True):
    """By which issuers people may come in, by name."""

    issuers: list[ChoiceBody]


class LogInBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's ID token, made for the `client_id` of its issuer here."""

    id_token: IdTokenText


class LoggedInBody(msgspec.Struct, frozen=True, kw_only=True):
    """A person's token: `token` is in this answer and never again."""

    token: str
    token_id: uuid.UUID
    expires_at: dt.datetime
    principal: PrincipalBody


def login_issuer_body(issuer: LoginIssuer) -> LoginIssuerBody:
    """Return an issuer as administrators see it."""
    return LoginIssuerBody(
        id=issuer.id,
        name=issuer.name,
        url=issuer.url,
        client_id=issuer.client_id,
        groups_claim=issuer.groups_claim,
        scopes=list(issuer.scopes),
        roles=[
            GroupRoleBody(
                each.group, each.grant.role, each.grant.scope.namespace, each.grant.scope.asset
            )
            for each in issuer.roles
        ],
        created_at=issuer.created_at,
        removed_at=issuer.removed_at,
    )


def choice_body(issuer: LoginIssuer) -> ChoiceBody:
    """Return an issuer as anybody sees it: not what its groups are here."""
    return ChoiceBody(issuer.name, issuer.url, issuer.client_id, list(issuer.scopes))
