"""OpenLineage events: what of them lineage needs, told from what was sent; all mistakes at once.

1. An event with a run is about that run, else one with a dataset about that dataset, else about a job.
2. A dataset is called `NAMESPACE/NAME`; its version is that of the facet `version`, its other names
   those of the facet `symlinks`. A version written as `ALGORITHM:HEX` is a digest.
3. The namespace `muniment` has this registry's versions, `muniment/KIND` what they are made from; so
   events that this registry gave are understood when they come back.
4. A time without an offset is UTC, as OpenLineage's own client lets it be.
5. Other facets are not looked at: they are kept as they came.

Source: OpenLineage 2-0-2; facets DatasetVersion 1-0-1, Symlinks 1-0-1, SourceCodeLocation 1-1-0,
ParentRun 1-1-0; requirements §4.3.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from muniment.core.errors import BadRequest
from muniment.core.names import Alias, VersionRef
from muniment.server.evidence import clean, items_at, problem, walk
from muniment.server.impact.records import Event, EventKind, Material, NodeKind

#: The most datasets of one event, and the most other names of one dataset.
DATASETS_MAX: Final = 500
_ALSO_MAX: Final = 10
_TYPES: Final = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,12}))?([Zz]|[+-]\d\d:?\d\d)?"
)
_DIGEST: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,19}:[0-9a-f]{16,128}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAMESPACE_BYTES: Final = 500
_NAME_BYTES: Final = 1200
_VERSION_BYTES: Final = 200
_OURS: Final = "muniment"
_KINDS: Final = {
    f"{_OURS}/{kind.value}": kind
    for kind in (NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.FEATURE)
}


class BadEvent(ValueError):
    """What was sent is no OpenLineage event; `problems` are all its mistakes."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        """Keep everything that is wrong."""
        super().__init__(problems[0]["message"])
        self.problems = problems


class _Reading:
    """Takes members of an event, noting what is wrong with them; `at` is the event's place."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.problems: list[dict[str, Any]] = []

    def wrong(self, place: str, message: str, fix: str = "") -> None:
        self.problems.append(problem(f"{self.at}{place}", message, fix))

    def text(self, value: Any, place: str, most: int, *, needed: bool = True) -> str:
        """Text of 1 to `most` bytes that may be kept; empty, and noted, if it is not."""
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.wrong(place, f"expected text, found {_shown(value)}")
            return ""
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            self.wrong(place, "expected Unicode text, found half of a surrogate pair")
            return ""
        if size > most or not value.isprintable():
            self.wrong(
                place, f"expected at most {most} bytes of printable text, found {size} bytes"
            )
            return ""
        return value

    def object(self, value: Any, place: str, needed: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self.wrong(place, f"expected {needed}, found {_shown(value)}")
        return {}


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if value == "":
        return "empty text"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return clean(repr(value), 60)


def read_event(value: Any, at: str = "") -> Event:
    """Return what an event says; `at` is its place in what was sent, such as `[3].`.

    Raises:
        BadEvent: it is none; all its mistakes are named.
    """
    reading = _Reading(at)
    body = reading.object(value, "", "an OpenLineage event, an object with `eventTime` and `run`")
    if reading.problems:
        raise BadEvent(reading.problems)
    kind = _kind(body)
    common: dict[str, Any] = {
        "at": _time(reading, body.get("eventTime")),
        "producer": reading.text(body.get("producer"), "producer", 1000),
        "schema_url": reading.text(body.get("schemaURL"), "schemaURL", 1000, needed=False),
    }
    event = _of_kind(reading, kind, body, common)
    if reading.problems:
        raise BadEvent(reading.problems)
    return event


def _kind(body: Mapping[str, Any]) -> EventKind:
    if "run" in body or "eventType" in body:
        return EventKind.RUN
    return EventKind.DATASET if "dataset" in body and "job" not in body else EventKind.JOB


def _of_kind(
    reading: _Reading, kind: EventKind, body: Mapping[str, Any], common: Mapping[str, Any]
) -> Event:
    if kind is EventKind.DATASET:
        one = _dataset(reading, body.get("dataset"), "dataset")
        return Event(kind=kind, maker=f"dataset:{one.name}", **common)
    job = _job(reading, body.get("job"))
    commit, repository = _source(body)
    more: dict[str, Any] = {
        "job": job,
        "commit": commit,
        "repository": repository,
        "inputs": _datasets(reading, body, "inputs"),
        "outputs": _datasets(reading, body, "outputs"),
    }
    if len(more["inputs"]) + len(more["outputs"]) > DATASETS_MAX:
        reading.wrong("inputs", f"expected at most {DATASETS_MAX} datasets in an event")
    if kind is EventKind.JOB:
        return Event(kind=kind, maker=f"job:{job}", **common, **more)
    run, parent = _run(reading, body)
    type_ = body.get("eventType")
    if type_ is not None and type_ not in _TYPES:
        reading.wrong("eventType", f"expected one of {', '.join(_TYPES)}, found {_shown(type_)}")
    return Event(
        kind=kind, maker=f"run:{run}", type=type_, parent_run=parent, **common, **more
    )  # fmt: skip


def _time(reading: _Reading, value: Any) -> dt.datetime:
    found = _TIME.fullmatch(value) if isinstance(value, str) and value.isascii() else None
    if found is not None:
        day, clock, fraction, offset = found.groups()
        micro = (fraction or "")[:6].ljust(6, "0")
        seconds = clock if clock.count(":") > 1 else f"{clock}:00"
        zone = "+00:00" if offset is None or offset in "Zz" else offset
        try:
            told = dt.datetime.fromisoformat(f"{day}T{seconds}.{micro}{zone}").astimezone(dt.UTC)
        except (ValueError, OverflowError):
            pass
        else:
            return told
    reading.wrong(
        "eventTime", f"expected a time such as 2026-06-01T12:00:00Z, found {_shown(value)}"
    )
    return dt.datetime.min.replace(tzinfo=dt.UTC)


def _job(reading: _Reading, value: Any) -> str:
    job = reading.object(value, "job", "the job, an object with `namespace` and `name`")
    return _full(reading, job, "job") if job else ""


def _full(reading: _Reading, value: Mapping[str, Any], place: str) -> str:
    namespace = reading.text(value.get("namespace"), f"{place}.namespace", _NAMESPACE_BYTES)
    name = reading.text(value.get("name"), f"{place}.name", _NAME_BYTES)
    return f"{namespace.rstrip('/')}/{name.strip('/') or name}"


def _run(reading: _Reading, body: Mapping[str, Any]) -> tuple[str, str | None]:
    run = reading.object(body.get("run"), "run", "the run, an object with `runId`")
    found = _uuid(run.get("runId"))
    if found is None and run:
        reading.wrong("run.runId", f"expected a UUID, found {_shown(run.get('runId'))}")
    return found or "", _uuid(walk(run, "facets", "parent", "run", "runId"))


def _uuid(value: Any) -> str | None:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) and len(value) == 36 else None  # noqa: PLR2004 -- with hyphens
    except ValueError:
        return None


def _source(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The commit and repository a job says its code has; None where it is not one commit of Git."""
    told = walk(body, "job", "facets", "sourceCodeLocation")
    commit = walk(told, "version")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        return None, None
    repository = walk(told, "repoUrl") or walk(told, "url")
    return commit, clean(repository, 500) if isinstance(repository, str) else None


def _datasets(reading: _Reading, body: Mapping[str, Any], side: str) -> tuple[Material, ...]:
    told = body.get(side)
    if told is None:
        return ()
    if not isinstance(told, list):
        reading.wrong(side, f"expected a list of datasets, found {_shown(told)}")
        return ()
    found = [
        _dataset(reading, one, f"{side}[{number}]")
        for number, one in enumerate(told[: DATASETS_MAX + 1])
    ]
    return tuple(dict.fromkeys(found))


def _dataset(reading: _Reading, value: Any, place: str) -> Material:
    told = reading.object(value, place, "a dataset, an object with `namespace` and `name`")
    if not told:
        return Material(NodeKind.DATASET, "")
    full = _full(reading, told, place)
    version = walk(told, "facets", "version", "datasetVersion")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    at = f"{place}.facets.version.datasetVersion"
    text = reading.text(version, at, _VERSION_BYTES, needed=False) or None
    digest = walk(told, "facets", "muniment_lineage", "digest")
    digest = digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None
    if text is not None and _DIGEST.fullmatch(text):
        text, digest = None, digest or text
    return _ours(told, text, digest) or Material(
        NodeKind.DATASET, full, text, digest, _also(told, full)
    )


def _ours(told: Mapping[str, Any], version: str | None, digest: str | None) -> Material | None:
    """What this registry itself calls by that name; None if it is a name of somebody else's."""
    namespace, name = told.get("namespace"), told.get("name")
    if not isinstance(namespace, str) or not isinstance(name, str) or not name.strip():
        return None
    if namespace in _KINDS:
        return Material(_KINDS[namespace], name, version, digest)
    if namespace != _OURS or version is None:
        return None
    try:
        reference = VersionRef.parse(f"{name}@{version}")
    except BadRequest:
        return None
    if isinstance(reference.at, Alias):
        return None
    return Material(NodeKind.VERSION, str(reference.asset), str(reference.at), digest)


def _also(told: Mapping[str, Any], full: str) -> tuple[str, ...]:
    """The other names that a dataset says it has; what is no name is passed over."""
    quiet = _Reading("")
    found = []
    for one in items_at(told, "facets", "symlinks", "identifiers")[:_ALSO_MAX]:
        if isinstance(one, dict):
            before = len(quiet.problems)
            name = _full(quiet, one, "")
            if len(quiet.problems) == before and name != full:
                found.append(name)
    return tuple(dict.fromkeys(found))
