"""Writes the HDF5 samples that lead into other files, in the oldest and the newest format.

Needs h5py: `python tests/samples/models/make/with_h5py.py`, then `digests.py`.
"""

from __future__ import annotations

from pathlib import Path

import h5py

HERE = Path(__file__).parents[1]

for name in ("earliest", "latest"):
    with h5py.File(HERE / f"hdf5-link-{name}.h5", "w", libver=name) as file:
        group = file.create_group("a/b")
        group["w"] = [1, 2, 3]
        group["soft"] = h5py.SoftLink("/a/b/w")
        group["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(HERE / f"hdf5-groups-{name}.h5", "w", libver=name) as file:
        for number in range(40):
            file.create_group(f"g{number}").attrs["n"] = number
with h5py.File(HERE / "hdf5-data.h5", "w") as file:
    file.create_dataset("d", shape=(10,), dtype="f4", external=[("other.bin", 0, 40)])
with h5py.File(HERE / "hdf5-virtual.h5", "w", libver="latest") as file:
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "d", shape=(3,))
    file.create_virtual_dataset("v", layout)
