"""What the routes of vulnerabilities share."""

from __future__ import annotations

from typing import Final

from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.catalog.records import Version
from muniment.server.http.operation import Call
from muniment.server.ports.db import Tx

ONE: Final = "/api/v1/assets/{namespace}/{name}/versions/{version}"
TAG: Final = "vulnerabilities"


async def version_of(call: Call, tx: Tx) -> Version:
    """Return the version the path names.

    Raises:
        NotFound: there is none.
    """
    asset = AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))
    return await catalog.get_version(tx, VersionRef(asset, parse_version(call.path["version"])))
