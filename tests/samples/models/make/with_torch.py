"""Write the samples of PyTorch and Keras. Run with those installed, in the folder to write to.

KERAS_BACKEND=torch python with_torch.py
"""

from __future__ import annotations

import collections

import keras
import torch

torch.manual_seed(7)
layer = torch.nn.Linear(4, 3)
state = layer.state_dict()
state["half"] = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
torch.save(state, "torch-state.pt")
torch.save(
    {
        "epoch": 3,
        "state": state,
        "ordered": collections.OrderedDict(a=1),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "quantised": torch.quantize_per_tensor(torch.ones(4), 0.1, 1, torch.qint8),
        "sparse": torch.eye(3).to_sparse(),
        "device": torch.device("cpu"),
        "size": torch.Size([2, 3]),
        "type": torch.float16,
        "shared": [state["half"][0], state["half"][1]],
    },
    "torch-checkpoint.pt",
)
torch.save(state, "torch-legacy.pt", _use_new_zipfile_serialization=False)
torch.save(layer, "torch-module.pt")
torch.jit.save(torch.jit.script(layer), "torch-script.pt")
model = keras.Sequential(
    [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
)
model.compile(optimizer="adam", loss="mse")
model.save("keras-dense.keras")
model.save("keras-dense.h5")
coded = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
coded.save("keras-lambda.keras")
coded.save("keras-lambda.h5")
