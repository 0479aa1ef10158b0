"""Tracking: experiments, runs and logged models as training scripts tell them.

Owns the tables of `0005_pre_tracking.sql`. Promises: what was said can be read back as it was said;
a parameter is said once; artifacts are blobs, so what a version took from a run stays what it was.
Runs are lineage here, not evidence: nothing of them is in the ledger until a version is registered.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.tracking.rules import (
    check_artifact_path, listed, model_root, run_root,
)
from muniment.server.tracking.store.artifacts import (
    artifacts_under, find_artifact, named_blobs, put_artifact,
)
from muniment.server.tracking.store.experiments import (
    create_experiment, find_experiment, list_experiments, rename_experiment, stage_experiment,
    tag_experiment,
)
from muniment.server.tracking.store.models import (
    create_model, find_model, finish_model, forget_model, list_models, note_model,
)
from muniment.server.tracking.store.runs import (
    create_run, find_run, list_runs, metric_history, metrics_of_model, note_run, update_run,
)

__all__ = [
    "artifacts_under", "check_artifact_path", "create_experiment", "create_model",
    "create_run", "find_artifact", "find_experiment", "find_model", "find_run", "finish_model",
    "forget_model", "list_experiments", "list_models", "list_runs", "listed", "metric_history",
    "metrics_of_model", "model_root", "named_blobs", "note_model", "note_run", "put_artifact",
    "rename_experiment", "run_root", "stage_experiment", "tag_experiment", "update_run",
]
