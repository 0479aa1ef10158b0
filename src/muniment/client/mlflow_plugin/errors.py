"""What the registry or the SDK refuses, as MLflow's exception: the same words, the same code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.exceptions import RestException  # type: ignore[import-not-found]

from muniment.core import errors
from muniment.core.errors import MunimentError

#: MLflow's name of each of our errors; the nearest class counts.
_CODES: dict[type[MunimentError], str] = {
    errors.MunimentError: "INTERNAL_ERROR",
    errors.BadRequest: "INVALID_PARAMETER_VALUE",
    errors.NotAuthenticated: "UNAUTHENTICATED",
    errors.NotAllowed: "PERMISSION_DENIED",
    errors.NotFound: "RESOURCE_DOES_NOT_EXIST",
    errors.Gone: "RESOURCE_DOES_NOT_EXIST",
    errors.Conflict: "RESOURCE_CONFLICT",
    errors.AlreadyExists: "RESOURCE_ALREADY_EXISTS",
    errors.TooLarge: "INVALID_PARAMETER_VALUE",
    errors.TooManyRequests: "REQUEST_LIMIT_EXCEEDED",
    errors.IntegrityError: "DATA_LOSS",
    errors.Unavailable: "TEMPORARILY_UNAVAILABLE",
}


class Refused(RestException):  # type: ignore[misc]
    """An `MlflowException` with our own stable `code`, such as `digest_mismatch`.

    `code` is empty where whatever answered was not our registry.
    """

    def __init__(self, json: dict[str, Any]) -> None:
        super().__init__(json)
        self.code = str(json.get("code") or "")

    def __reduce__(self) -> tuple[type[Refused], tuple[dict[str, Any]]]:
        return Refused, (self.json,)


def refused(error: MunimentError) -> Refused:
    """Return what MLflow raises for `error`: all that was wrong in one text."""
    name = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    more = [f"`{one.get('field', '')}` {one.get('message', '')}" for one in error.problems[1:]]
    message = "; ".join([error.message, *more])
    return Refused({"error_code": name, "message": message, "code": error.code})


@contextmanager
def in_mlflows_terms() -> Iterator[None]:
    """Raise `Refused` for whatever error of ours happens within."""
    try:
        yield
    except MunimentError as error:
        raise refused(error) from error
