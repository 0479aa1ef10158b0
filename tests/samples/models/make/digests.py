"""Write `SHA256SUMS` of the samples beside this folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

SAMPLES = Path(__file__).parents[1]
LINES = [
    f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
    for file in sorted(SAMPLES.iterdir())
    if file.is_file() and file.name not in {"README.md", "SHA256SUMS"}
]
(SAMPLES / "SHA256SUMS").write_text("".join(LINES))
