"""What can be searched, now and as of a time: columns, joins, and each field as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, LiteralString

from muniment.server.catalog.rules import fields as field_tables
from muniment.server.catalog.rules.fields import Field
from muniment.server.catalog.rules.sorting import Sort
from muniment.server.catalog.store import sources


@dataclass(frozen=True, slots=True)
class Source:
    """What is searched: columns, where they come from, the id, and the fields as SQL."""

    columns: LiteralString
    come_from: LiteralString
    id: LiteralString
    fields: Mapping[str, Field]
    texts: Mapping[str, LiteralString]
    default_order: tuple[Sort, ...]


_IDENTITY: Final[Mapping[str, LiteralString]] = {
    "name": "a.name",
    "namespace": "a.namespace",
    "kind": "a.kind",
}
_OWNED_NOW: Final[Mapping[str, LiteralString]] = {
    "owner": "a.owner",
    "backup_owner": "a.backup_owner",
    "risk_tier": "a.risk_tier",
}
_OWNED_THEN: Final[Mapping[str, LiteralString]] = {
    "owner": "o.owner",
    "backup_owner": "o.backup_owner",
    "risk_tier": "o.risk_tier",
}
_VERSION_TEXTS: Final[Mapping[str, LiteralString]] = {
    **_IDENTITY,
    "version": "v.precedence",
    "number": "v.number::float8",
    "digest": "v.manifest_digest",
    "executable": "v.executable",
    "size_bytes": "v.size_bytes::float8",
    "registered_at": "l.registered_at",
    "registered_by": "l.actor_id",
}
_ASSET_TEXTS: Final[Mapping[str, LiteralString]] = {
    **_IDENTITY,
    "created_at": "a.created_at",
    "created_by": "a.actor_id",
}
VERSIONS: Final = Source(
    columns=sources.FOUND_COLUMNS_NOW,
    come_from=sources.FOUND_NOW,
    id="l.version_id",
    fields=field_tables.VERSION_FIELDS,
    texts={
        **_VERSION_TEXTS,
        **_OWNED_NOW,
        "lifecycle": sources.LIFECYCLE_NOW,
        "description": 'l.description COLLATE "C"',
        "tags": "l.tags",
    },
    default_order=(Sort(field_tables.VERSION_FIELDS["registered_at"], descending=True),),
)
VERSIONS_THEN: Final = replace(
    VERSIONS,
    columns=sources.FOUND_COLUMNS_THEN,
    come_from=sources.FOUND_THEN,
    texts={
        **_VERSION_TEXTS,
        **_OWNED_THEN,
        "lifecycle": sources.LIFECYCLE_THEN,
        "description": 's.description COLLATE "C"',
        "tags": "s.tags",
    },
)
ASSETS: Final = Source(
    columns=sources.ASSET_COLUMNS_NOW,
    come_from=sources.ASSET_NOW,
    id="a.id",
    fields=field_tables.ASSET_FIELDS,
    texts={
        **_ASSET_TEXTS,
        **_OWNED_NOW,
        "description": 'a.description COLLATE "C"',
        "tags": "a.tags",
        "escalation_contact": "a.escalation_contact",
        "updated_at": "a.updated_at",
    },
    default_order=(Sort(field_tables.ASSET_FIELDS["name"]),),
)
ASSETS_THEN: Final = replace(
    ASSETS,
    columns=sources.ASSET_COLUMNS_THEN,
    come_from=sources.ASSET_THEN,
    texts={
        **_ASSET_TEXTS,
        **_OWNED_THEN,
        "description": 'o.description COLLATE "C"',
        "tags": "o.tags",
        "escalation_contact": "o.escalation_contact",
        "updated_at": "o.updated_at",
    },
)
