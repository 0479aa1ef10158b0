"""Where the files of a model version come from: what `source` says, and what of it we take.

1. `models:/m-ID` is a logged model, `runs:/RUN/PATH` a directory of a run, `mlflow-artifacts:/PATH`
   (or the same at our own address) a directory of artifacts, `models:/NAME/N` and
   `models:/NAME@ALIAS` a version. All of these are with us.
2. A run's source is of the run the request names, and an artifact path is below the run or logged
   model it names: nobody registers one run's bytes as another's.
3. Everything else is refused: a source we would have to fetch is not fetched, and a local path is
   never read.

Source: MLflow ≥ 3.17's own checks; CVE-2023-6831, CVE-2023-6977, CVE-2024-3848, CVE-2024-8859 (files
of the server through `source`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from muniment.core.errors import BadRequest
from muniment.core.names import VersionRef

_RUN: Final = re.compile(r"runs:/+([0-9a-f]{32})/(.+)", re.DOTALL)
_LOGGED: Final = re.compile(r"models:/(m-[0-9a-f]{32})(?:/(.*))?", re.DOTALL)
_VERSION: Final = re.compile(r"models:/([^/@]+)(?:/([0-9]{1,10})|@([^/@]+))")
_ARTIFACTS: Final = re.compile(r"mlflow-artifacts:/(?!/)(.+)", re.DOTALL)
PROXY: Final = "/api/2.0/mlflow-artifacts/artifacts/"
SOURCE_MAX_CHARS: Final = 2000
#: The job that fetches what is elsewhere.
FETCH_JOB: Final = "mlflow.fetch"


@dataclass(frozen=True, slots=True)
class OfRun:
    """A directory of a run."""

    run_id: str
    path: str


@dataclass(frozen=True, slots=True)
class OfLoggedModel:
    """A logged model, or a directory of it (empty: all of it)."""

    model_id: str
    path: str


@dataclass(frozen=True, slots=True)
class OfArtifacts:
    """A directory below the artifact root."""

    path: str


@dataclass(frozen=True, slots=True)
class OfVersion:
    """A registered version, in the default namespace."""

    ref: VersionRef


Source = OfRun | OfLoggedModel | OfArtifacts | OfVersion


def parse_source(text: str, *, base_url: str) -> Source:
    """Read a `source`; `base_url` is our own address.

    Raises:
        BadRequest: it is not with us, or none at all. Nothing is fetched or opened to find out.
    """
    if len(text) > SOURCE_MAX_CHARS:
        raise BadRequest(
            f"Invalid model version source: expected at most {SOURCE_MAX_CHARS} characters"
        )
    if matched := _RUN.fullmatch(text):
        return OfRun(matched[1], _path(matched[2]))
    if matched := _LOGGED.fullmatch(text):
        return OfLoggedModel(matched[1], _path(matched[2] or ""))
    if matched := _VERSION.fullmatch(text):
        name, at = unquote(matched[1]), matched[2] or unquote(matched[3])
        return OfVersion(VersionRef.parse(f"{name}@{at}"))
    if matched := _ARTIFACTS.fullmatch(text):
        return OfArtifacts(_path(matched[1]))
    ours = base_url + PROXY
    if text.startswith(ours):
        return OfArtifacts(_path(text.removeprefix(ours)))
    raise BadRequest(
        f"Invalid model version source: {text[:200]!a}. This registry holds the bytes of what is"
        " registered and takes them from runs and logged models it knows: log the model with"
        " set_tracking_uri at this server, then register runs:/…, models:/… or mlflow-artifacts:/…"
    )


def is_of_version(text: str) -> bool:
    """Say whether a source names a registered version, so that a new one is a copy of it."""
    return _VERSION.fullmatch(text) is not None


def named(text: str) -> tuple[str, str, str | None]:
    """Return the run, the logged model and the path that a `runs:/` or `models:/m-` source names.

    The path is None where the source is itself a place.
    """
    if matched := _RUN.fullmatch(text):
        return matched[1], "", _path(matched[2])
    if matched := _LOGGED.fullmatch(text):
        return "", matched[1], _path(matched[2] or "")
    return "", "", None


def _path(text: str) -> str:
    return unquote(text).strip("/")


def not_of(source: str, what: str) -> BadRequest:
    """Return the refusal of a source that is not of the run or logged model the request names."""
    return BadRequest(
        f"Invalid model version source: {source[:200]!a}. The {what} request parameter must identify"
        " the resource that contains the source."
    )
