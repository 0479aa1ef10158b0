"""Files that the tools write here and now: an SBOM of this environment, fairness of a real model."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from muniment.server.evidence.plugins import parse
from muniment.server.evidence.records import Flag, Parsed

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "evidence.md"


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["1.4", "1.6"])
def test_the_sbom_of_this_environment_is_read_whole(spec: str, tmp_path: Path) -> None:
    out = tmp_path / "bom.json"
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--no-validate",
        "--sv",
        spec,
        "-o",
        str(out),
        sys.executable,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = parse(out.read_bytes(), "bom.json")
    assert isinstance(found, Parsed), found
    by_name = {one.name.lower(): one for one in found.components}
    numpy = by_name["numpy"]
    assert numpy.version == np.__version__
    assert numpy.purl == f"pkg:pypi/numpy@{np.__version__}"
    assert len(by_name) > len(list(importlib.metadata.distributions())) * 0.9
    assert numpy.licenses


def test_the_writer_in_the_guide_writes_what_is_read(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(GUIDE), "exec"), names)
    features, target = make_classification(n_samples=400, random_state=1)
    model = LogisticRegression().fit(features, target)
    dice = np.random.default_rng(0)
    groups = pd.DataFrame(
        {"sex": dice.choice(["F", "M"], 400), "age": dice.choice(["<40", "40+"], 400)}
    )
    out = tmp_path / "fairness.json"
    write = names["write_fairness"]
    assert callable(write)
    write(out, target, model.predict(features), groups, times=5)
    found = parse(out.read_bytes(), "fairness.json")
    assert isinstance(found, Parsed), found
    assert Flag.EDITED not in found.flags
    parity = [one for one in found.metrics if one.metric == "demographic_parity_ratio"]
    assert len(parity) == 3
    assert all(one.ci is not None and one.ci[0] <= one.value <= one.ci[1] + 0.2 for one in parity)
    assert found.run.tool_version == importlib.metadata.version("fairlearn")
