"""What is asked about, and the versions it leads to."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass


class About(enum.StrEnum):
    """What a question is about."""

    VULNERABILITY = "vulnerability"
    PACKAGE = "package"
    DIGEST = "digest"
    MATERIAL = "material"  # a dataset or base model, by name


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was read.

    `text` is the vulnerability's name, the package's key, the hex of a digest, or the name of a
    dataset or base model.
    """

    about: About
    text: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: what kind of thing, what it is called, its id or digest where it has one."""

    kind: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A version, and one path from it to what was asked about."""

    version_id: uuid.UUID
    path: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A live deployment of a version."""

    environment: str
    alias: str | None
    mode: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class Where:
    """A version, its aliases, and where it is deployed now."""

    version_id: uuid.UUID
    name: str
    aliases: tuple[str, ...]
    places: tuple[Place, ...]
