"""How MLflow's requests are read and its errors told, and how an endpoint of it is declared."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from muniment.core.errors import BadRequest, MunimentError, NotAuthenticated
from muniment.core.names import NAMESPACE_DEFAULT, AssetName, AssetRef, Namespace
from muniment.server import ledger
from muniment.server.facades.mlflow.records import Seen
from muniment.server.facades.mlflow.rules import wire
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By, visible_scopes

#: Clients call the first, MLflow's own pages the second.
API: Final = ("/api/2.0", "/ajax-api/2.0")
WHY: Final = "through MLflow's API"
DEFAULT: Final = Namespace(NAMESPACE_DEFAULT)


class MlflowDialect:
    """MLflow's manners."""

    prefixes = (
        "/api/2.0/mlflow",
        "/ajax-api/2.0/mlflow",
        "/api/3.0/mlflow",
        "/ajax-api/3.0/mlflow",
    )

    def query(self, kind: type[msgspec.Struct], query_string: bytes) -> Any:
        """Return the query as a `kind`; unknown names are left out."""
        return wire.from_query(kind, query_string)

    def body(self, kind: type[msgspec.Struct], raw: bytes, media_type: str) -> Any:
        """Return the body as a `kind`; unknown names are left out."""
        return wire.from_body(kind, raw, media_type)

    def tell(self, error: MunimentError, path: str) -> Reply:
        """Return `{"error_code", "message"}` with MLflow's status, and our own stable `code`."""
        code, status = wire.code_of(error, path)
        headers = {"content-type": "application/json"}
        if isinstance(error, NotAuthenticated):
            # Basic is taken and not offered: a browser would keep it and send it for others.
            headers["www-authenticate"] = 'Bearer realm="muniment"'
        if error.retryable:
            headers["retry-after"] = str(error.extra.get("retry_after_s", 1))
        if "content_range" in error.extra:
            headers["content-range"] = error.extra["content_range"]
        body = {"error_code": code, "message": wire.message_of(error, path)}
        body["code"] = error.code
        return Reply(body, status=status, headers=headers)


DIALECT: Final = MlflowDialect()

Handler = Callable[..., Awaitable[Reply]]


def endpoint(
    method: str,
    path: str,
    handler: Handler,
    takes: type[msgspec.Struct] | None = None,
    *,
    needs: Verb = Verb.READ,
    tx: TxMode | None = None,
) -> list[Operation]:
    """Return one endpoint of MLflow's at both its addresses.

    The handler asks for the verb itself: the asset is named in the query or body. Without `tx` a
    verb that only reads gets a read transaction, any other one a write transaction.
    """
    chosen = tx or (TxMode.READ if needs is Verb.READ else TxMode.WRITE)
    return [
        Operation(
            method=method,
            path=prefix + path,
            id=f"mlflow_{handler.__name__}",
            summary=(handler.__doc__ or "").strip().split("\n")[0],
            handler=handler,
            needs=needs,
            scope=ScopeFrom.HANDLER,
            tx=chosen,
            query=takes if method == "GET" else None,
            body=takes if method != "GET" else None,
            tag="mlflow",
            documented=False,
        )
        for prefix in API
    ]


def asset_of(call: Call, name: str, verb: Verb) -> AssetRef:
    """Return the asset of a registered model's name, if the caller has `verb` there.

    Raises:
        BadName: an asset cannot be called that.
        NotAllowed, NotFound: see `Call.require`.
    """
    ref = AssetRef(DEFAULT, AssetName.parse(name))
    call.require(verb, Scope(str(ref.namespace), str(ref.name)))
    return ref


def tracking_allowed(call: Call, verb: Verb) -> None:
    """Go on only if the caller may read (`READ`) or write (`REGISTER`) runs.

    Runs, logged models and their files belong to the default namespace as a whole.
    """
    call.require(verb, Scope(NAMESPACE_DEFAULT))


def by(call: Call) -> By:
    """Return who acts, and when."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def seen_by(call: Call) -> Seen:
    """Return which assets of the default namespace the caller may read."""
    scopes = visible_scopes(call.caller.grants)
    if scopes is None or Scope(NAMESPACE_DEFAULT) in scopes:
        return Seen()
    names = [s.asset for s in scopes if s.namespace == NAMESPACE_DEFAULT and s.asset is not None]
    return Seen(tuple(names))


def offset_of(page_token: str) -> int:
    """Return where the page of a token starts.

    Raises:
        BadRequest: it is none of ours.
    """
    if not page_token:
        return 0
    try:
        token = msgspec.json.decode(base64.b64decode(page_token, validate=True), type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadRequest("Invalid page token, could not base64-decode it") from None
    if not 0 <= token.offset < 2**53:
        raise BadRequest("Invalid page token")
    return token.offset


class _Token(msgspec.Struct):
    offset: int


def token_for(offset: int) -> str:
    """Return the token of the page that starts at `offset`."""
    return base64.b64encode(msgspec.json.encode(_Token(offset))).decode()


def page_size(asked: int, *, most: int) -> int:
    """Return how many to return.

    Raises:
        BadRequest: not 1 to `most`.
    """
    if not 1 <= asked <= most:
        raise BadRequest(
            f"Invalid value {asked} for parameter 'max_results' supplied: "
            f"It must be at least 1 and at most {most}"
        )
    return asked
