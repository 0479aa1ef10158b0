"""What MLflow's registry shows, as we find it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.server.catalog.records import Kind


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version as MLflow shows it.

    `about` is what was said when it was registered through MLflow, `prompt` what a prompt says.
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


@dataclass(frozen=True, slots=True)
class FoundModel:
    """An asset as MLflow shows it, with its highest version and its aliases by name."""

    name: str
    created_at: dt.datetime
    updated_at: dt.datetime
    description: str
    tags: Mapping[str, str]
    aliases: Sequence[tuple[str, int]] = ()
    latest: FoundVersion | None = None
    kind: Kind = Kind.MODEL


@dataclass(frozen=True, slots=True)
class Seen:
    """Which assets of the default namespace a caller may read: all (None), or those of these names."""

    names: tuple[str, ...] | None = None
