"""Write the samples of XGBoost, LightGBM, pandas, ONNX, GGUF, safetensors and LZ4.

Run with those installed, in the folder to write to.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import gguf
import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import xgboost
from onnx import TensorProto, helper
from safetensors.numpy import save_file

rng = np.random.default_rng(7)
X = rng.random((60, 4))
y = (X[:, 0] > 0.5).astype(int)

trees = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, y)
Path("xgboost.pkl").write_bytes(pickle.dumps(trees))
joblib.dump(trees, "xgboost.joblib", compress=3)
trees.save_model("xgboost.ubj")
trees.save_model("xgboost.json")
leaves = lightgbm.LGBMClassifier(n_estimators=2, max_depth=2, verbose=-1).fit(X, y)
Path("lightgbm.pkl").write_bytes(pickle.dumps(leaves))
leaves.booster_.save_model("lightgbm.txt")
joblib.dump({"x": X, "y": y}, "arrays.joblib.lz4", compress="lz4")

frame = pd.DataFrame(
    {
        "number": [1, 2],
        "text": ["x", "y"],
        "time": pd.date_range("2020", periods=2, tz="UTC"),
        "kind": pd.Categorical(["a", "b"]),
        "whole": pd.array([1, None], dtype="Int64"),
        "span": pd.interval_range(0, 2),
    }
)
Path("pandas.pkl").write_bytes(pickle.dumps(frame))

weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 2], rng.random(8).astype("f4"))
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    [weights],
)
onnx.save(helper.make_model(graph), "matmul.onnx")

writer = gguf.GGUFWriter("tiny.gguf", "llama")
writer.add_block_count(1)
writer.add_token_list(["a", "b"])
writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
writer.add_tensor("weights", rng.random((4, 32)).astype("f4"))
writer.add_tensor("bias", rng.random(4).astype("f2"))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

save_file({"w": rng.random((4, 2)), "b": np.zeros(3, "f4")}, "tiny.safetensors", {"format": "np"})
