"""Move files with MLflow's own client; run by the interpreter MLflow is installed in.

`python -P mlflow_files.py URL upload DIRECTORY` prints {"seconds", "run"};
`python -P mlflow_files.py URL download RUN DIRECTORY` prints {"seconds"}.
Imports and the making of the run are not counted.
"""

from __future__ import annotations

import json
import sys
import time

from mlflow import MlflowClient  # type: ignore[import-not-found]
from mlflow.artifacts import download_artifacts  # type: ignore[import-not-found]


def main(url: str, way: str, *rest: str) -> None:
    client = MlflowClient(url)
    if way == "upload":
        experiment = client.get_experiment_by_name("bench")
        known = experiment.experiment_id if experiment else client.create_experiment("bench")
        run = client.create_run(known).info.run_id
        began = time.perf_counter()
        client.log_artifacts(run, rest[0])
        print(json.dumps({"seconds": time.perf_counter() - began, "run": run}))
        return
    began = time.perf_counter()
    download_artifacts(run_id=rest[0], artifact_path="", dst_path=rest[1], tracking_uri=url)
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
