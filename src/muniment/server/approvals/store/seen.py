"""What of a list its reader may see: parts of the queries that list requests, decisions and exceptions.

Parameters 1 to 3 are of every such query: whether all may be seen, else the namespaces and the names of
assets that may (a name that is null: the whole namespace). See `scope_values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

Scopes = Sequence[tuple[str | None, str | None]] | None

#: Of rows about the asset `a`.
OF_ASSET: Final[LiteralString] = """
    ($1 OR EXISTS (SELECT FROM unnest($2::text[], $3::text[]) s (namespace, name)
                   WHERE s.namespace = a.namespace AND coalesce(s.name, a.name) = a.name))
"""
#: Of rows about the request `r` and its asset `a`: of a composite, its namespace and every member's asset.
OF_REQUEST: Final[LiteralString] = OF_ASSET + (  # noqa: S608 -- constants
    """
    AND ($1 OR r.composite IS NULL OR (
        EXISTS (SELECT FROM composite c JOIN unnest($2::text[], $3::text[]) s (namespace, name)
                ON s.namespace = c.namespace AND s.name IS NULL WHERE c.cvi = r.composite)
        AND NOT EXISTS (
            SELECT FROM asset m WHERE m.id = ANY(r.member_assets)
            AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) s (namespace, name)
                            WHERE s.namespace = m.namespace AND coalesce(s.name, m.name) = m.name))))
"""
)


def scope_values(scopes: Scopes) -> tuple[Any, Any, Any]:
    """Return the first three parameters; `scopes` are (namespace, asset), None everything."""
    return scopes is None, [one[0] for one in scopes or ()], [one[1] for one in scopes or ()]
