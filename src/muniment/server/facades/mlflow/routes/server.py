"""What MLflow's probes and clients ask about the server itself."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Final

from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb

_TEXT: Final = "text/plain; charset=utf-8"


async def health(_call: Call) -> Reply:
    """Say OK."""
    return Reply("OK")


async def version(_call: Call) -> Reply:
    """Return the version of this server, which is not a version of MLflow."""
    return Reply(installed("muniment"))


async def server_info(_call: Call) -> Reply:
    """Return what this server can and cannot do of what MLflow's could."""
    return Reply(
        {
            "store_type": "muniment",
            "workspaces_enabled": False,
            "artifact_serving_enabled": True,
            # They are taken when asked for (MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD). Clients that look
            # here first do better with one stream: it is written once and not joined again.
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
            "presigned_uploads_supported": False,
            "presigned_downloads_supported": False,
            "artifacts_presigned_only": False,
            "features_enabled": {},
        }
    )


def _open(path: str, handler: object, media_type: str) -> Operation:
    return Operation(
        method="GET",
        path=path,
        id=f"mlflow_{handler.__name__}",  # type: ignore[attr-defined]
        summary=(handler.__doc__ or "").strip(),
        handler=handler,  # type: ignore[arg-type]
        needs=Verb.ANONYMOUS,
        tx=TxMode.NONE,
        tag="mlflow",
        media_type=media_type,
        documented=False,
    )


OPERATIONS: list[Operation] = [
    _open("/health", health, _TEXT),
    _open("/version", version, _TEXT),
    _open("/api/3.0/mlflow/server-info", server_info, "application/json"),
    _open("/ajax-api/3.0/mlflow/server-info", server_info, "application/json"),
]
