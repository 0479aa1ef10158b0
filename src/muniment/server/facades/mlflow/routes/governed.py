"""What MLflow's routes share where rules may say no: who would do it, and how a no is told."""

from __future__ import annotations

from collections.abc import Sequence

from muniment.core.names import AssetRef
from muniment.server import lifecycle
from muniment.server.http.operation import Call, Reply
from muniment.server.http.records import Scope, Verb
from muniment.server.lifecycle.records import Executor, Ports, Refusal


def executor(call: Call, ref: AssetRef) -> Executor:
    """Return who would carry a promotion of `ref` out."""
    scope = Scope(str(ref.namespace), str(ref.name))
    return Executor.of(call.caller, ref, may=call.may(Verb.PROMOTE, scope))


def ports(call: Call) -> Ports:
    """Return what is asked about promotions, and what signs them."""
    return Ports(call.deps.engines, call.deps.keys.record)


def refused(answer: Refusal) -> Reply:
    """Return a refusal in MLflow's shape; what was recorded of it stays."""
    code = lifecycle.refusal_class(answer.verdict).code
    message = lifecycle.refusal_text(answer)
    body = {"error_code": "PERMISSION_DENIED", "message": message, "code": code}
    return Reply(body, status=403, headers={"content-type": "application/json"})


def warned(body: object, warnings: Sequence[str]) -> Reply:
    """Return an answer with what the rules would have refused, for whoever reads headers."""
    if not warnings:
        return Reply(body)
    text = "; ".join(warnings).encode("ascii", "replace").decode()
    return Reply(body, headers={"muniment-warning": text[:4000]})
