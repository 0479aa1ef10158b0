"""Keras's configurations: Lambda layers, and what they would import.

A configuration is a tree of objects with `class_name` and, from Keras 3 on, `module` and
`registered_name`. Only Keras's own modules that make layers and functions of layers are let pass.

Source: Keras's saving library; CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9905,
CVE-2025-9906, CVE-2025-12058.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from muniment.scan.context import Context
from muniment.scan.reader import Reader

_OURS: Final = re.compile(
    r"(?:keras|keras\.src|keras\.api|tensorflow\.keras|tf_keras(?:\.src)?|tensorflow\.python\.keras)"
    r"(?:\.(?:layers|models|activations|initializers|regularizers|constraints|losses|metrics"
    r"|optimizers|dtype_policies|quantizers|engine|legacy|trainers|backend\.common|ops"
    r"|backend\.(?:tensorflow|torch|jax|numpy)\.optimizers"
    r"|saving\.object_registration|random|distribution)(?:\.\w+)*)?"
)
_FUNCTIONS_OF: Final = re.compile(
    r"\.(?:activations|initializers|regularizers|constraints|losses|metrics|ops)(?:\.|$)"
)
_PLAIN_BUILTINS: Final = frozenset({"slice", "range", "complex", "type", "set", "tuple"})
_CODE: Final = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer"})
_FILES: Final = frozenset({"vocabulary", "idf_weights"})


def check_config_file(reader: Reader, context: Context) -> None:
    """Check the `config.json` of a `.keras` file.

    Raises:
        StopScan: it cannot be read; noted.
    """
    if reader.size_bytes > context.limits.parsed_bytes:
        raise context.stop("unscannable.limit", f"{reader.size_bytes} bytes of configuration")
    try:
        config = json.loads(reader.read(0, reader.size_bytes))
    except (ValueError, RecursionError):
        raise context.stop("unscannable.damaged", "the configuration is no JSON") from None
    check_config(config, context)


def check_config(config: Any, context: Context, offset: int | None = None) -> None:
    """Note what a configuration would import, run or read."""
    told: set[str] = set()
    for node in _objects(config):
        class_name = node.get("class_name")
        if isinstance(class_name, str):
            for rule, what in _of_object(node, class_name):
                if what not in told:
                    told.add(what)
                    context.found(rule, what, offset)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in `config`, without recursion."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _of_object(node: dict[str, Any], class_name: str) -> Iterator[tuple[str, str]]:
    last = class_name.rsplit(">", 1)[-1].rsplit(".", 1)[-1]
    if last in _CODE or ("code" in node.get("config", {}) if last == "function" else False):
        yield "keras.lambda", f"a `{last}` is configured"
        return
    module, registered = node.get("module"), node.get("registered_name")
    if isinstance(module, str) and not _is_ours(module, last, node):
        yield "keras.foreign", f"`{module[:100]}.{str(_name(node, last))[:100]}` is configured"
    elif isinstance(module, str) and last == "function" and not _is_function_of(module):
        yield "keras.foreign", f"function `{module[:100]}.{str(_name(node, last))[:100]}`"
    elif ">" in class_name or (module is None and registered not in {None, class_name, ""}):
        yield "keras.custom-object", f"`{class_name[:100]}` is configured"
    config = node.get("config")
    if isinstance(config, dict):
        for key in _FILES & config.keys():
            if isinstance(config[key], str):
                yield "keras.file-access", f"`{key}` is the path `{config[key][:100]}`"


def _name(node: dict[str, Any], class_name: str) -> Any:
    return node.get("config") if class_name == "function" else class_name


def _is_ours(module: str, class_name: str, node: dict[str, Any]) -> bool:
    if module == "builtins":
        return class_name in _PLAIN_BUILTINS or class_name in {"function", "__tuple__"}
    del node
    return _OURS.fullmatch(module) is not None


def _is_function_of(module: str) -> bool:
    """Say whether functions of a module are those that layers are given by name."""
    return module == "builtins" or _FUNCTIONS_OF.search(module) is not None
