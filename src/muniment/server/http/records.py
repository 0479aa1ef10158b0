"""Who calls, what they may do, and what an operation declares. No framework here."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass


class PrincipalKind(enum.StrEnum):
    """What a principal is."""

    PERSON = "person"
    SERVICE = "service"
    WORKLOAD = "workload"
    SYSTEM = "system"


class Role(enum.StrEnum):
    """What a principal may be, within a scope."""

    VIEWER = "viewer"
    ATTESTER = "attester"
    CONSUMER = "consumer"
    CONTRIBUTOR = "contributor"
    PROMOTER = "promoter"
    PUBLISHER = "publisher"
    APPROVER_PLATFORM = "approver_platform"
    APPROVER_PRODUCT = "approver_product"
    APPROVER_SECURITY = "approver_security"
    APPROVER_GOVERNANCE = "approver_governance"
    APPROVER_TECHNICAL = "approver_technical"
    APPROVER_LEGAL = "approver_legal"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Verb(enum.StrEnum):
    """What an operation needs; which role has which verb is `identity.rules.VERBS`."""

    NOTHING = "nothing"  # any authenticated principal
    ANONYMOUS = "anonymous"  # nobody needs to be known: health, welcome
    READ = "read"  # assets, versions, files
    CREATE = "create"  # an asset
    REGISTER = "register"  # a version; uploads
    ANNOTATE = "annotate"  # description, tags, owner
    ATTEST = "attest"  # add evidence
    REQUEST = "request"  # ask for approval, and remark on such requests
    USE = "use"  # bind a consumer: say what uses an asset, and for what
    ALIAS = "alias"  # set or unset an alias
    PROMOTE = "promote"  # deploy a version, or move an alias that production resolves
    RETIRE = "retire"  # deprecate, reinstate, retire, rename
    STOP = "stop"  # quarantine; take out of an environment
    RELEASE = "release"  # end a quarantine
    TRIAGE = "triage"  # say that a vulnerability does not matter
    AUDIT = "audit"  # read the bytes of what is retired or quarantined
    GOVERN = "govern"  # how a namespace enforces its rules
    READ_LOG = "read_log"  # the ledger
    READ_PRINCIPALS = "read_principals"
    ADMINISTER = "administer"  # principals, roles, other people's tokens
    OBSERVE = "observe"  # metrics


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a verb applies: everything (both None), a namespace, or one asset in it."""

    namespace: str | None = None
    asset: str | None = None

    def covers(self, other: Scope) -> bool:
        """Say whether what is granted here holds for `other`."""
        if self.namespace is None:
            return True
        if self.namespace != other.namespace:
            return False
        return self.asset is None or self.asset == other.asset


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Grant:
    """A role within a scope."""

    role: Role
    scope: Scope


@dataclass(frozen=True, slots=True)
class Attested:
    """What an issuer vouched for of a pipeline: texts by name; and where it may promote.

    `promotes` are (namespace, asset, environment).
    """

    claims: Mapping[str, str]
    promotes: frozenset[tuple[str, str, str]] = frozenset()

    def environments(self, namespace: str, asset: str) -> frozenset[str]:
        """Return where it may promote versions of an asset."""
        return frozenset(
            environment
            for at, name, environment in self.promotes
            if (at, name) == (namespace, asset)
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated principal of one request; `attested` if its issuer vouched for it."""

    id: uuid.UUID
    kind: PrincipalKind
    name: str
    grants: tuple[Grant, ...]
    token_id: uuid.UUID | None = None
    attested: Attested | None = None
