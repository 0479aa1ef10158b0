"""Principals, tokens and what is asked for when they are made."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from muniment.server.http.records import Caller, Grant, PrincipalKind
from muniment.server.ledger.records import Actor


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, a service or a workload. `grants` are in order of role, then scope."""

    id: uuid.UUID
    kind: PrincipalKind
    name: str
    display_name: str | None
    created_at: dt.datetime
    disabled_at: dt.datetime | None
    grants: tuple[Grant, ...] = ()


class CameBy(enum.StrEnum):
    """With what somebody came in."""

    ISSUER = "issuer"  # an OpenID Connect issuer said who it is
    TOKEN = "token"  # noqa: S105 -- a token that somebody made


@dataclass(frozen=True, slots=True)
class CameIn:
    """How somebody came in: an `issuer` said who they are, or with a `token` that `made_by` made.

    `made_by` None: the registry made it, for its first administrator.
    """

    by: CameBy
    made_by: uuid.UUID | None = None

    @property
    def own(self) -> bool:
        """Whether they came in by themselves: nobody here could have done so in their place."""
        return self.by is CameBy.ISSUER


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: never its text.

    `limits` narrow it to less than its principal's roles; None is all of them.
    """

    id: uuid.UUID
    principal_id: uuid.UUID
    label: str
    limits: tuple[Grant, ...] | None
    created_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None
    workload: Attestation | None = None
    came_in: CameIn | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a pipeline's token was made from.

    `claims` are those kept with its acts; `claims_sha256` (hex) is of all of them. `publishers`
    are those that matched, `promotes` (namespace, asset, environment).
    """

    claims: Mapping[str, str]
    claims_sha256: str
    publishers: tuple[uuid.UUID, ...]
    promotes: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token with its text, which is shown once and kept nowhere."""

    token: Token
    text: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What a presented token stands for, as the database has it."""

    hash: bytes
    expires_at: dt.datetime
    usable: bool  # neither revoked nor of a disabled principal
    last_used_at: dt.datetime | None
    caller: Caller


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """How the first administrator comes to be.

    Either `code`, the one-time code of the welcome page, to be shown to whoever starts the server;
    or `principal_id`, just made with the bootstrap token of the settings.
    """

    code: str | None = None
    principal_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, when, and where new identifiers come from."""

    actor: Actor
    at: dt.datetime
    new_id: Callable[[], uuid.UUID]


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """A principal to be made."""

    kind: PrincipalKind
    name: str
    display_name: str | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be made for `principal_id`; `expires_at` None is as long as it may be by default."""

    principal_id: uuid.UUID
    label: str
    expires_at: dt.datetime | None = None
    limits: tuple[Grant, ...] | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A person's own public key: SubjectPublicKeyInfo of a P-256 key, and what it is called."""

    id: uuid.UUID
    principal_id: uuid.UUID
    name: str
    public_key: bytes
    key_sha256: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None = None
    revoked_by: uuid.UUID | None = None
    came_in: CameIn | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who may say who a pipeline is: `url` is exactly the `iss` of its tokens."""

    id: uuid.UUID
    name: str
    url: str
    provider: str
    created_at: dt.datetime
    removed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRule:
    """All that a token's claims must be. `identity` is the repository's id at its issuer.

    `workflow` is `PATH@REF`, or `PATH@SHA` for one commit. `environment` and `ref` None: any.
    `protected` asks for a protected ref, `events` for one of these, `claims` for exactly these.
    """

    identity: str
    owner: str | None = None
    repository: str | None = None
    workflow: str | None = None
    environment: str | None = None
    ref: str | None = None
    protected: bool = True
    events: tuple[str, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPublisher:
    """A pipeline to be trusted for an asset, which need not exist yet; `issuer` is a name."""

    namespace: str
    asset: str
    issuer: str
    rule: TrustRule
    permits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """A pipeline that is trusted for an asset.

    `permits` are `register`, `evidence`, `use`, `promote:ENVIRONMENT`, in order.
    """

    id: uuid.UUID
    namespace: str
    asset: str
    issuer: Issuer
    principal_id: uuid.UUID
    rule: TrustRule
    permits: tuple[str, ...]
    created_at: dt.datetime
    removed_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class GroupRole:
    """What members of a group at a login issuer are here."""

    group: str
    grant: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLoginIssuer:
    """An issuer by which people are to come in. `client_id` is what this registry is to it."""

    name: str
    url: str
    client_id: str
    groups_claim: str
    scopes: tuple[str, ...]
    roles: tuple[GroupRole, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginIssuer(NewLoginIssuer):
    """An issuer by which people come in; `url` is exactly the `iss` of its ID tokens."""

    id: uuid.UUID
    created_at: dt.datetime
    removed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Who an ID token says somebody is: `subject` never changes or comes to mean somebody else.

    `shown` is what to call a new one; None if the issuer says nothing printable.
    """

    subject: str
    groups: frozenset[str]
    shown: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What a publisher asks of one claim, what a token says, and whether that is the same."""

    what: str
    claim: str
    expected: str
    found: str | None
    matches: bool
