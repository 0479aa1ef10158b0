"""Muniment: a governed registry for models, prompts, adapters and evaluation evidence.

    from muniment import Client

    client = Client()
    client.register("fraud-detector", version="1.0.0", artifact="./model", metadata="model.yaml")

Names load on first use, so that `import muniment` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muniment.client import verify
    from muniment.client.client import Client
    from muniment.core import errors
    from muniment.core.errors import MunimentError

__all__ = ["Client", "MunimentError", "errors", "verify"]
__version__ = "0.1.0"

_HOMES = {
    "Client": ("muniment.client.client", "Client"),
    "MunimentError": ("muniment.core.errors", "MunimentError"),
    "errors": ("muniment.core.errors", None),
    "verify": ("muniment.client.verify", None),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'muniment' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _HOMES[name]
    home = importlib.import_module(module)
    return getattr(home, attribute) if attribute else home
