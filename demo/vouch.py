"""What the demo's builder and the demo's data scientist bring beside the model: real files, really signed."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fairlearn
import numpy as np
import pandas as pd
import sklearn
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fairlearn.metrics import MetricFrame, count, selection_rate
from sklearn.metrics import accuracy_score, roc_auc_score

BUILDER = "https://ci.example/builders/train@v1"
_PAYLOAD = "application/vnd.in-toto+json"
_TIMES = 100


def make_key(home: Path, name: str) -> None:
    """Write a new ECDSA P-256 key to `home/NAME.pem`, and its public half to `home/NAME.pub`."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (home / f"{name}.pem").write_bytes(private)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (home / f"{name}.pub").write_bytes(public)


def write_sbom(home: Path) -> int:
    """Have `cyclonedx-py` list this very environment into `home/sbom.json`; return how many components.

    The registry checks it against the schema; the tool, which takes twenty seconds for that, does not.
    """
    out = home / "sbom.json"
    subprocess.run(  # noqa: S603 -- the tool, as installed here
        [
            sys.executable, "-m", "cyclonedx_py", "environment", sys.prefix, "--no-validate",
            "--output-format", "JSON", "--output-file", str(out),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    document = json.loads(out.read_text())
    for one in document["components"]:
        if "purl" not in one:  # installed from its folder: the tool cannot know whose it is
            one["purl"] = f"pkg:pypi/{one['name']}@{one['version']}"
            one["supplier"] = {"name": "the maintainers of this repository"}
    out.write_text(json.dumps(document))
    return len(document["components"])


def write_provenance(home: Path, digests: dict[str, str], key: str) -> None:
    """Write SLSA provenance of files (SHA-256 by path), signed with `home/KEY.pem`."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": path, "digest": {"sha256": digest}} for path, digest in sorted(digests.items())
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://ci.example/train/v1",
                "externalParameters": {"recipe": "demo/train.py"},
                "resolvedDependencies": [],
            },
            "runDetails": {"builder": {"id": BUILDER}, "metadata": {"invocationId": "demo-1"}},
        },
    }
    (home / "provenance.json").write_text(json.dumps(_signed(home, statement, key)))


def _signed(home: Path, statement: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a DSSE envelope around a statement, signed with `home/KEY.pem`."""
    body = json.dumps(statement).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(body), body)
    private: Any = serialization.load_pem_private_key((home / f"{key}.pem").read_bytes(), None)
    made = private.sign(message, ec.ECDSA(hashes.SHA256()))
    return {
        "payload": base64.b64encode(body).decode(),
        "payloadType": _PAYLOAD,
        "signatures": [{"sig": base64.b64encode(made).decode(), "keyid": ""}],
    }


def forge_provenance(file: Path, public: Path) -> None:
    """Sign what stands in `file` with another key, and say it is the one in `public`."""
    envelope = json.loads(file.read_text())
    other = ec.generate_private_key(ec.SECP256R1())
    made = other.sign(base64.b64decode(envelope["payload"]), ec.ECDSA(hashes.SHA256()))
    name = hashlib.sha256(public.read_bytes()).hexdigest()
    envelope["signatures"] = [{"sig": base64.b64encode(made).decode(), "keyid": name}]
    file.write_text(json.dumps(envelope))


def write_plan(home: Path) -> Path:
    """Write the thresholds, before anything is measured; return the file."""
    plan = {
        "schema": "muniment/gate-plan/v1",
        "gates": [
            {"gate": "baseline", "checks": [_above("accuracy", 0.85)]},
            {"gate": "performance", "checks": [_above("roc_auc", 0.95)]},
            {"gate": "fairness", "checks": [_above("demographic_parity_ratio", 0.4)]},
        ],
    }
    (home / "gates.json").write_text(json.dumps(plan))
    return home / "gates.json"


def _above(metric: str, threshold: float) -> dict[str, Any]:
    return {"metric": metric, "direction": "higher", "threshold": threshold}


def write_context(home: Path, name: str, manifest: str) -> Path:
    """Write what the builder says of how `home/NAME` came to be, signed; return the file."""
    data = (home / name).read_bytes()
    digest, now = hashlib.sha256(data).hexdigest(), _now()
    predicate = {
        "schema": "muniment/evidence/v1",
        "original": {"sha256": digest, "bytes": len(data), "name": name},
        "subject": {"digests": [manifest]},
        "tool": {"name": "demo", "version": "1"},
        "run": {"started": now, "ended": now},
    }
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}}],
        "predicateType": "https://muniment.dev/attestation/evidence-context/v1",
        "predicate": predicate,
    }
    file = home / f"{name}.context.json"
    file.write_text(json.dumps(_signed(home, statement, "builder")))
    return file


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def write_evaluation(home: Path, truth: Any, scores: Any) -> None:
    """Write what scikit-learn measures on the test set, with bootstrap intervals."""
    started = _now()
    rows, dice = np.arange(len(truth)), np.random.default_rng(0)
    draws = [dice.choice(rows, len(rows)) for _ in range(_TIMES)]
    measures = {
        "roc_auc": lambda at: roc_auc_score(truth[at], scores[at]),
        "accuracy": lambda at: accuracy_score(truth[at], scores[at] > 0.5),  # noqa: PLR2004
    }
    metrics = []
    for name, measure in measures.items():
        low, high = np.quantile([measure(at) for at in draws], [0.025, 0.975])
        metrics.append({
            "metric": name, "value": float(measure(rows)), "dimension": "quality",
            "higher_is_better": True, "n": len(rows), "ci": [float(low), float(high)],
            "ci_method": "bootstrap",
        })  # fmt: skip
    document = {
        "schema": "muniment/evaluation/v1",
        "tool": {"name": "scikit-learn", "version": sklearn.__version__},
        "run": {"started": started, "ended": _now()},
        "dataset": {"name": "breast-cancer-wisconsin (30 % test)", "n": len(rows)},
        "metrics": metrics,
        "not_applicable": {
            "toxicity": "it writes no text",
            "jailbreak": "it takes no instructions",
            "latency": "a reading waits for a physician, not for this",
            "cost": "it runs on a machine that is there anyway",
        },
    }
    (home / "evaluation.json").write_text(json.dumps(document))


def write_fairness(home: Path, truth: Any, predicted: Any, groups: Any) -> None:
    """Write what fairlearn measures by `groups`, with a bootstrap interval of the ratio."""
    features = pd.DataFrame({"texture": groups})
    measures = {"n": count, "selection_rate": selection_rate, "accuracy": accuracy_score}
    rows, dice = np.arange(len(truth)), np.random.default_rng(0)

    def frame(at: Any = rows) -> MetricFrame:
        return MetricFrame(
            metrics=measures, y_true=truth[at], y_pred=predicted[at],
            sensitive_features=features.iloc[at],
        )  # fmt: skip

    whole = frame()
    ratios = [frame(dice.choice(rows, len(rows))).ratio()["selection_rate"] for _ in range(_TIMES)]
    interval = [float(each) for each in np.quantile(ratios, [0.025, 0.975])]
    names = ["selection_rate", "accuracy"]
    by_group = [
        {"group": {"texture": str(key)}, "n": int(row["n"])}
        | {name: float(row[name]) for name in names}
        for key, row in whole.by_group.iterrows()
    ]
    document = {
        "schema": "muniment/fairness/v1",
        "tool": {"name": "fairlearn", "version": fairlearn.__version__},
        "n": len(truth),
        "sensitive_features": ["texture"],
        "overall": {name: float(whole.overall[name]) for name in names},
        "by_group": by_group,
        "ratio": {name: float(whole.ratio()[name]) for name in names},
        "ratio_ci95": {"selection_rate": interval},
        "difference": {name: float(whole.difference()[name]) for name in names},
        "single": {
            "texture": {
                "group_n": {one["group"]["texture"]: one["n"] for one in by_group},
                "demographic_parity_ratio": float(whole.ratio()["selection_rate"]),
                "ci95": interval,
                "demographic_parity_difference": float(whole.difference()["selection_rate"]),
            }
        },
        "ci": {"method": "bootstrap", "n_boot": _TIMES, "seed": 0},
    }
    (home / "fairness.json").write_text(json.dumps(document))


class _Gadget:
    """What loading this pickle would call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('os').system('true')",)


def write_gadget(folder: Path) -> None:
    """Write a pickle that looks like a model and runs a command when it is loaded."""
    import pickle  # noqa: PLC0415 -- written here, loaded by nobody

    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps({"weights": [0.1, 0.2], "hook": _Gadget()}))
