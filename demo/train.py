"""A real classifier on a dataset that ships with scikit-learn, and honest metadata about it."""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import sklearn
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from tests.support.issuer import SHA

_SEED = 7
#: The run of the pipeline, as its CI system vouches for it.
RUN_ID = "21561244697"


class Trained(NamedTuple):
    """What `fit` wrote."""

    size_bytes: int
    auc: float


def _split() -> tuple[object, ...]:
    data = load_breast_cancer()
    return tuple(train_test_split(data.data, data.target, test_size=0.3, random_state=_SEED))


def fit(home: Path) -> Trained:
    """Train, and write `home/model/` and `home/model.yaml`."""
    train_x, test_x, train_y, test_y = _split()
    parameters = {"learning_rate": 0.1, "max_iter": 80, "random_state": _SEED}
    model = HistGradientBoostingClassifier(**parameters).fit(train_x, train_y)
    auc = float(roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]))
    accuracy = float(accuracy_score(test_y, model.predict(test_x)))

    folder = home / "model"
    folder.mkdir()
    joblib.dump(model, folder / "model.joblib")
    lock = f"scikit-learn=={sklearn.__version__}\njoblib=={joblib.__version__}\n"
    (folder / "requirements.txt").write_text(lock)
    right = model.predict(test_x) == test_y
    groups = _texture(test_x)
    shares = [float(right[groups == group].mean()) for group in ("coarse", "fine")]
    metrics = {"roc_auc": auc, "accuracy": accuracy}
    metadata = describe(
        parameters, metrics, abs(shares[0] - shares[1]), hashlib.sha256(lock.encode()).hexdigest()
    )
    (home / "model.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return Trained(size_bytes, auc)


def predict(folder: Path) -> list[int]:
    """Load the model in `folder` and predict the test set with it."""
    _, test_x, _, _ = _split()
    model = joblib.load(folder / "model.joblib")
    return [int(value) for value in model.predict(test_x)]


def test_set(folder: Path) -> tuple[Any, Any, Any]:
    """Return the truth of the test set, the model's scores for it, and the texture of each sample.

    The data is of tumours, not of people: groups are of the coarser and the finer half.
    """
    _, test_x, _, test_y = _split()
    scores = joblib.load(folder / "model.joblib").predict_proba(test_x)[:, 1]
    return test_y, scores, _texture(test_x)


def _texture(samples: Any) -> Any:
    return np.where(samples[:, 1] > np.median(samples[:, 1]), "coarse", "fine")


def describe(
    parameters: dict[str, object],
    metrics: dict[str, float],
    accuracy_difference: float,
    lock_sha256: str,
) -> dict[str, object]:
    """Return the metadata of the model, as `muniment register --metadata` reads it.

    Everything measured here is real. What a company would say of its own model (owner, use, risk)
    is said of this one.
    """
    data = load_breast_cancer()
    digest = hashlib.sha256(data.data.tobytes() + data.target.tobytes()).hexdigest()
    dataset = {
        "name": "breast-cancer-wisconsin",
        "version": f"scikit-learn-{sklearn.__version__}",
        "type": "other",
        "digest": f"sha256:{digest}",
        "rows": len(data.target),
        "license": "CC-BY-4.0",
    }
    return {
        "owner": "Ada Lovelace",
        "backup_owner": "Grace Hopper",
        "escalation_contact": "ml-oncall@example.com",
        "risk_tier": "limited",
        "generative": False,
        "intended_use": "Second reading of cell measurements by a pathologist.",
        "limitations": "569 samples from one hospital; not a diagnosis.",
        "out_of_scope": "Any decision without a physician.",
        "ethical_considerations": "False negatives cost most; review the threshold.",
        "rollback_plan": {
            "description": "Withdraw it: physicians read alone, as before.",
            "tested_at": dt.datetime.now(dt.UTC).date().isoformat(),
        },
        "deployment_notes": "One replica beside the viewer; no traffic from outside.",
        "license": "Apache-2.0",
        "allowed_use_cases": ["second-reading"],
        "prohibited_use_cases": ["diagnosis-without-review"],
        "risk": {
            "rating": "medium",
            "controls": [{"id": "human-review"}],
            "review_date": "2027-05-01",
        },
        "training_datasets": [{**dataset, "name": "breast-cancer-wisconsin (70 % train)"}],
        "evaluation_datasets": [{**dataset, "name": "breast-cancer-wisconsin (30 % test)"}],
        "fairness_metrics": {"accuracy_difference": accuracy_difference},
        "code": {
            "repository": "https://git.example/acme/fraud",
            "commit": SHA,
            "dirty": False,
        },
        "pipeline": {"provider": "github", "run_id": RUN_ID},
        "run": {"id": "demo-1", "tracker_uri": "https://runs.example"},
        "hyperparameters": parameters,
        "metrics": metrics,
        "training_date": dt.datetime.now(dt.UTC).date().isoformat(),
        "frameworks": [{"name": "scikit-learn", "version": sklearn.__version__}],
        "environment": {
            "lock_file": "requirements.txt",
            "lock_digest": f"sha256:{lock_sha256}",
            "python": platform.python_version(),
        },
        "signature": {
            "inputs": [
                {"name": "measurements", "type": "float64", "shape": [-1, data.data.shape[1]]}
            ],
            "outputs": [{"name": "benign", "type": "int64", "shape": [-1]}],
        },
    }
