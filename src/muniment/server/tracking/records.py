"""What training scripts tell: experiments, runs, their metrics, logged models, artifacts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.core.digest import Digest

ACTIVE = "active"
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A drawer of runs; number 0 is there from the start."""

    id: int
    name: str
    lifecycle_stage: str
    tags: Mapping[str, str]
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a metric at a step, at milliseconds since 1970."""

    key: str
    value: float
    timestamp_ms: int
    step: int
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a training script; `metrics` has the last value of each."""

    id: str
    experiment_id: int
    name: str
    user_name: str
    principal_id: uuid.UUID
    status: str
    start_time_ms: int
    end_time_ms: int | None = None
    lifecycle_stage: str = ACTIVE
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Any] = ()
    models_in: Sequence[Any] = ()
    models_out: Sequence[Any] = ()
    metrics: Sequence[Metric] = ()


@dataclass(frozen=True, slots=True)
class RunNotes:
    """What is said of a run in one request; a tag of None is taken off."""

    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    inputs: Sequence[Any] = ()
    models_in: Sequence[Any] = ()
    models_out: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model a script saved, before anybody registers it."""

    id: str
    experiment_id: int
    name: str
    model_type: str
    source_run_id: str | None
    principal_id: uuid.UUID
    status: str
    created_at: dt.datetime
    updated_at: dt.datetime
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Which bytes lie at a path below the artifact root."""

    path: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One name in a directory of artifacts; `size_bytes` None for a directory."""

    name: str
    size_bytes: int | None
