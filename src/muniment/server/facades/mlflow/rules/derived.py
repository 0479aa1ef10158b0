"""Tags that the registry itself computes, as MLflow shows them: read, never typed.

1. `muniment.*` says what a version may do where that is more than a draft's: `muniment.lifecycle`,
   `muniment.deprecated`, `muniment.quarantined`. A version of which nothing was said has none, so that
   what MLflow's users wrote reads back as they wrote it.
2. A version at stage Production also has the `aisdp.*` tags that follow from what is registered:
   content hash, code commit, training data, pipeline run, key metrics. Numbers are decimal text.
3. `muniment.approved` is never there: that takes signed decisions.
4. A copy of a version may be sent its tags: those that are derived are left out, whatever they say.

Source: requirements §1.4, §1.6; R-047.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from muniment.server.facades.mlflow.records import FoundVersion, Known
from muniment.server.lifecycle.records import Stage

LIFECYCLE: Final = "muniment.lifecycle"
DEPRECATED: Final = "muniment.deprecated"
QUARANTINED: Final = "muniment.quarantined"
_PREFIXES: Final = ("muniment.", "aisdp.")
_METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "aisdp.metric.auc_roc": ("auc_roc", "roc_auc", "auc"),
    "aisdp.metric.demographic_parity_ratio": ("demographic_parity_ratio",),
}


def tags_of(version: FoundVersion) -> dict[str, str]:
    """Return the derived tags of a version."""
    known = version.known
    if known is None:
        return {}
    found: dict[str, str] = {}
    if known.lifecycle != "draft":
        found[LIFECYCLE] = known.lifecycle
    if known.lifecycle in {"deprecated", "retired"}:
        found[DEPRECATED] = "true"
    if known.quarantined:
        found[QUARANTINED] = "true"
    if version.stage is Stage.PRODUCTION:
        found |= _aisdp(known)
    return found


def _aisdp(known: Known) -> dict[str, str]:
    said = known.metadata
    found = {
        "aisdp.content_hash": known.manifest_digest,
        "aisdp.code_commit": _member(said.get("code"), "commit"),
        "aisdp.training_data_version": _data(said.get("training_datasets")),
        "aisdp.pipeline_execution_id": _run(said.get("pipeline")),
    }
    for tag, names in _METRICS.items():
        values = [known.metrics[name] for name in names if name in known.metrics]
        found[tag] = repr(float(values[0])) if values else ""
    return {tag: text for tag, text in found.items() if text}


def _member(said: Any, name: str) -> str:
    return str(said[name]) if isinstance(said, dict) and name in said else ""


def _data(datasets: Any) -> str:
    first = datasets[0] if isinstance(datasets, list) and datasets else None
    return _member(first, "version")


def _run(pipeline: Any) -> str:
    run, attempt = _member(pipeline, "run_id"), _member(pipeline, "run_attempt")
    return f"{run}/{attempt}" if run and attempt else run


def without_derived(tags: Mapping[str, str], *, copied: bool) -> dict[str, str]:
    """Return the tags of a new version; of a copy without what its origin showed as derived."""
    if not copied:
        return dict(tags)
    return {key: text for key, text in tags.items() if not key.lower().startswith(_PREFIXES)}
