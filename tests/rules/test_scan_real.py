"""What the tools really write passes: made in this test, or kept in tests/samples."""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import all_estimators

from muniment.scan.reader import BytesReader
from muniment.scan.records import FileReport, VerdictClass
from muniment.scan.scanner import scan

SAMPLES = Path(__file__).parents[1] / "samples" / "models"
PASSES = VerdictClass.EXECUTABLE_ALLOW_LISTED
EXPECTED = {
    "arrays.joblib.lz4": ("lz4-compressed", PASSES),
    "hdf5-data.h5": ("hdf5", VerdictClass.FINDINGS),
    "hdf5-groups-earliest.h5": ("hdf5", PASSES),
    "hdf5-groups-latest.h5": ("hdf5", VerdictClass.UNSCANNABLE),
    "hdf5-link-earliest.h5": ("hdf5", VerdictClass.FINDINGS),
    "hdf5-link-latest.h5": ("hdf5", VerdictClass.FINDINGS),
    "hdf5-virtual.h5": ("hdf5", VerdictClass.FINDINGS),
    "keras-dense.h5": ("hdf5", PASSES),
    "keras-dense.keras": ("keras", PASSES),
    "keras-lambda.h5": ("hdf5", VerdictClass.FINDINGS),
    "keras-lambda.keras": ("keras", VerdictClass.FINDINGS),
    "lightgbm.pkl": ("pickle", PASSES),
    "lightgbm.txt": ("lightgbm-text", VerdictClass.CLEAN),
    "matmul.onnx": ("onnx", VerdictClass.CLEAN),
    "pandas.pkl": ("pickle", PASSES),
    "tiny.gguf": ("gguf", VerdictClass.CLEAN),
    "tiny.safetensors": ("safetensors", VerdictClass.CLEAN),
    "torch-checkpoint.pt": ("torch", PASSES),
    "torch-legacy.pt": ("pickle", PASSES),
    "torch-module.pt": ("torch", VerdictClass.FINDINGS),
    "torch-script.pt": ("torchscript", VerdictClass.FINDINGS),
    "torch-state.pt": ("torch", PASSES),
    "xgboost.joblib": ("zlib-compressed", PASSES),
    "xgboost.json": ("xgboost-json", VerdictClass.CLEAN),
    "xgboost.pkl": ("pickle", PASSES),
    "xgboost.ubj": ("xgboost-ubj", VerdictClass.CLEAN),
}


def told(data: bytes, name: str = "model") -> FileReport:
    return scan(BytesReader(data), name)


def passes(data: bytes) -> None:
    report = told(data)
    assert report.verdict is PASSES, report.findings


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample(name: str) -> None:
    report = told((SAMPLES / name).read_bytes(), name)
    assert (report.format, report.verdict) == EXPECTED[name], report.findings


def test_the_samples_are_those_that_were_made() -> None:
    lines = (SAMPLES / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    assert sums.keys() == EXPECTED.keys()
    for name, digest in sums.items():
        assert hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest() == digest


def fitted() -> dict[str, Any]:
    features, labels = make_classification(60, 6, random_state=0)
    words = ["one two", "two three", "one four"]
    search = GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, scoring="roc_auc", cv=2)
    return {
        "forest": RandomForestClassifier(5).fit(features, labels),
        "pipeline": make_pipeline(
            FunctionTransformer(np.abs), StandardScaler(), LogisticRegression()
        ).fit(features, labels),
        "search": search.fit(features, labels),
        "words": TfidfVectorizer().fit(words),
        "neighbours": KNeighborsClassifier(algorithm="kd_tree").fit(features, labels),
        "process": GaussianProcessRegressor().fit(features, labels),
    }


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    FITTED = fitted()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_estimator_pickled(name: str, protocol: int) -> None:
    passes(pickle.dumps(FITTED[name], protocol))


@pytest.mark.parametrize(
    "compress", [0, 3, ("gzip", 1), ("bz2", 1), ("xz", 1), ("lzma", 1)], ids=str
)
@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_estimator_dumped_by_joblib(name: str, compress: Any) -> None:
    out = io.BytesIO()
    joblib.dump(FITTED[name], out, compress=compress)
    passes(out.getvalue())


def test_every_estimator_of_the_library() -> None:
    """Unfitted: what they are made of; fitted ones are above."""
    refused = []
    for name, estimator in all_estimators():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                made = estimator()
            except TypeError:
                continue
        report = told(pickle.dumps(made))
        if report.verdict is not PASSES:
            refused.append((name, report.findings))
    assert not refused


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "made",
    [
        np.arange(3),
        np.asfortranarray(np.ones((2, 3))),
        np.float64(1),
        np.array(["a", "b"]),
        np.array([1, None], object),
        np.dtype([("a", "i4"), ("b", "f8")]),
        np.ma.array([1, 2], mask=[False, True]),
        np.random.RandomState(0),
        np.random.default_rng(0),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.datetime64("2020-01-01"),
        scipy.sparse.csr_matrix(np.eye(3)),
        scipy.sparse.coo_array(np.eye(3)),
        {1, 2},
        frozenset([1]),
        bytearray(b"ab"),
        complex(1, 2),
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.Counter("aab"),
        [1 << 100, -5, 1.5, True, None, "ä" * 300, b"x" * 300, ("a",) * 20],
        {"key": [{"deep": ((((1,),),),)}]},
    ],
    ids=lambda made: type(made).__name__,
)
def test_an_object_pickled(made: Any, protocol: int) -> None:
    passes(pickle.dumps(made, protocol))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((100, 3)),
        np.zeros(0),
        np.array(5.0),
        np.array(["text", "t"]),
        np.array([b"by", b"t"]),
        np.array([1, "x", None], object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]),
        np.array(["2020"], "M8[D]"),
        np.ones((5, 5), order="F"),
        np.frombuffer(b"N0K." * 5000, "u1"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_of_joblib_are_stepped_over(array: Any) -> None:
    out = io.BytesIO()
    joblib.dump([array, "x", array, array.T], out)
    passes(out.getvalue())


def test_arrays_of_numpy(tmp_path: Path) -> None:
    plain, packed, objects = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(plain, a=np.ones((3, 4)), b=np.array(["x"]))
    np.savez_compressed(packed, a=np.ones(1000), c=np.array([(1, 2.0)], "i4,f8"))
    np.save(objects, np.array([{"a": 1}], object), allow_pickle=True)
    assert told(plain.getvalue()).verdict is VerdictClass.CLEAN
    assert told(packed.getvalue()).verdict is VerdictClass.CLEAN
    passes(objects.getvalue())


def test_a_large_vocabulary() -> None:
    words = {f"word{number}": number for number in range(150_000)}
    passes(pickle.dumps({"vocabulary_": words, "again": list(words)}))
