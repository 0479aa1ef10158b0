"""What MLflow's registry shows, as we find it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from muniment.server.catalog.records import Kind
from muniment.server.lifecycle.records import Stage


class FoundVersion(msgspec.Struct, frozen=True):  # cheap to make: a search makes a hundred
    """A version as MLflow shows it.

    `about` is what was said when it was registered through MLflow, `prompt` what a prompt says.
    `stage` is derived; `barred` says why it is not handed out, if it is not (retired, quarantined).
    `known` is what is shown as derived tags: `rules.derived`.
    """

    id: uuid.UUID
    name: str
    number: int
    registered_at: dt.datetime
    updated_at: dt.datetime
    description: str
    tags: Mapping[str, str]
    run_id: str | None
    about: Mapping[str, Any]
    aliases: Sequence[str] = ()
    kind: Kind = Kind.MODEL
    prompt: Mapping[str, Any] | None = None
    stage: Stage = Stage.NONE
    barred: str | None = None
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a version that derived tags show."""

    version: str
    lifecycle: str
    quarantined: bool
    manifest_digest: str
    metadata: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """An asset as MLflow shows it: the highest version of each stage, and its aliases by name."""

    name: str
    created_at: dt.datetime
    updated_at: dt.datetime
    description: str
    tags: Mapping[str, str]
    aliases: Sequence[tuple[str, int]] = ()
    latest_versions: Sequence[FoundVersion] = ()
    kind: Kind = Kind.MODEL

    @property
    def latest(self) -> FoundVersion | None:
        """Its highest version."""
        return max(self.latest_versions, key=lambda one: one.number, default=None)


@dataclass(frozen=True, slots=True)
class Seen:
    """Which assets of the default namespace a caller may read: all (None), or those of these names."""

    names: tuple[str, ...] | None = None
