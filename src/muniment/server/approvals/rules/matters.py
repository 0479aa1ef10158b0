"""What a request is about: a version alone, or a composite with its members; pure.

An approval of a composite is not one of its versions alone, nor the other way round.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.composite import parse_cvi
from muniment.core.digest import Digest
from muniment.core.errors import BadComposite
from muniment.server.approvals.rules import composing, signing
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.http.records import Scope

#: More are not asked about together: each has facts of its own to gather.
MEMBERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Matter:
    """Versions with their assets: one alone, or the members of `composite`, the lead first."""

    members: tuple[tuple[Version, Asset], ...]
    composite: Composite | None = None

    @property
    def version(self) -> Version:
        """The version alone, or the lead."""
        return self.members[0][0]

    @property
    def asset(self) -> Asset:
        """The asset of that."""
        return self.members[0][1]

    @property
    def name(self) -> str:
        """`[namespace/]NAME@VERSION`, or the CVI."""
        return self.version.name if self.composite is None else self.composite.cvi

    @property
    def key(self) -> uuid.UUID | str:
        """By which its rows are found: the version's id, or the CVI."""
        return self.version.id if self.composite is None else self.composite.cvi

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Where a role must be held to sign for it: for the asset of every member."""
        return tuple(scope_of(asset) for _, asset in self.members)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """What a decision is about: the manifest's, of a composite its root's and every member's."""
        files = tuple(version.manifest_digest for version, _ in self.members)
        return files if self.composite is None else (root_of(self.composite), *files)

    def profile(self, data: Mapping[str, Any]) -> signing.Profile:
        """Return what a policy says of its risk tiers: the strictest of each, the steps of the strictest."""
        known = [asset.state.risk_tier for _, asset in self.members]
        tiers = [None if one is None else one.value for one in known]
        found = [signing.profile(data, one) for one in tiers]
        return signing.Profile(
            own_key=any(one.own_key for one in found),
            approval_days=min(one.approval_days for one in found),
            own_login=any(one.own_login for one in found),
            review_steps=signing.profile(data, composing.strictest(tiers)).review_steps,
        )


def scope_of(asset: Asset) -> Scope:
    """Return where a role must be held to sign for an asset."""
    return Scope(str(asset.ref.namespace), str(asset.ref.name))


def root_of(composite: Composite) -> Digest:
    """Return what a CVI stands for: the root over its manifest, a SHA-256."""
    return Digest(parse_cvi(composite.cvi))


def check_members(cvi: str, count: int) -> None:
    """Go on only if a composite with so many members can be asked for.

    Raises:
        BadComposite: it has none, or too many.
    """
    if count == 0:
        raise BadComposite(
            f"{cvi} pins no version of this registry, so there is nothing here to approve or promote:"
            " register a composite that does (`muniment composite create … --pin NAME@1.2.0`)"
        )
    if count > MEMBERS_MAX:
        raise BadComposite(
            f"{cvi} pins {count} versions: at most {MEMBERS_MAX} are approved or promoted together"
        )
