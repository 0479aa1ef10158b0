"""A real classifier on a dataset that ships with scikit-learn, and honest metadata about it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

import joblib
import sklearn
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

_SEED = 7


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
    metadata = describe(parameters, auc, accuracy, hashlib.sha256(lock.encode()).hexdigest())
    (home / "model.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return Trained(size_bytes, auc)


def predict(folder: Path) -> list[int]:
    """Load the model in `folder` and predict the test set with it."""
    _, test_x, _, _ = _split()
    model = joblib.load(folder / "model.joblib")
    return [int(value) for value in model.predict(test_x)]


def describe(parameters: dict[str, object], auc: float, accuracy: float, lock_sha256: str) -> dict[str, object]:
    """Return the metadata document of the model: `docs/guides/metadata.md` explains each field."""
    data = load_breast_cancer()
    digest = hashlib.sha256(data.data.tobytes() + data.target.tobytes()).hexdigest()
    return {"parameters": parameters, "auc": auc, "accuracy": accuracy, "lock": lock_sha256, "digest": digest, "python": sys.version}
