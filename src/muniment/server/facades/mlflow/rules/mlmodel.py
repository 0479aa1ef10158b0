"""What an `MLmodel` file says, as metadata of a version.

The file is somebody's: it is read as plain YAML, without tags and aliases, up to a size, and only
the fields below are taken. What cannot be read leaves the version without it; nothing is run.

Source: R-024, R-030; MLflow's model format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

MLMODEL: Final = "MLmodel"
MLMODEL_MAX_BYTES: Final = 1 << 20
#: What pins the environment, the narrowest first.
_LOCKS: Final = ("requirements.txt", "conda.yaml", "python_env.yaml")
_RUN: Final = re.compile(r"[0-9a-f]{32}")
_FIELDS_MAX: Final = 2000
_TEXT_MAX: Final = 200
_DEPTH_MAX: Final = 50
_ABOUT: Final = ("model_uuid", "mlflow_version", "utc_time_created", "prompts")


#: libyaml's, where PyYAML has it: a sixth of the time.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(data: bytes) -> dict[str, Any]:
    """Return what an `MLmodel` file says; nothing where it cannot be read."""
    if len(data) > MLMODEL_MAX_BYTES:
        return {}
    try:
        found = yaml.load(data, _LOADER) if _is_plain(data) else None  # noqa: S506 -- a SafeLoader
    except (yaml.YAMLError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_plain(data: bytes) -> bool:
    """Say whether YAML is without aliases and not deep, which is found out without recursion.

    An alias could make a small file huge; depth could use up the stack of whoever follows it.
    """
    depth = 0
    for event in yaml.parse(data, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH_MAX or isinstance(event, yaml.AliasEvent):
            return False
    return True


def metadata(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that follows from what an `MLmodel` file says."""
    flavors = model.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    found: dict[str, Any] = {}
    if frameworks := list(_frameworks(flavors)):
        found["frameworks"] = frameworks
    if signature := _signature(model.get("signature")):
        found["signature"] = signature
    return found


def environment(model: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment by the digest of its lock: the first there is of MLflow's files for it.

    `digests` are those of a version's files, by path, with their algorithm.
    """
    lock = next((path for path in _LOCKS if path in digests), None)
    if lock is None:
        return None
    found = {"lock_file": lock, "lock_digest": digests[lock]}
    flavors = model.get("flavors")
    function = flavors.get("python_function") if isinstance(flavors, dict) else None
    python = function.get("python_version") if isinstance(function, dict) else None
    if isinstance(python, str) and 0 < len(python) <= _TEXT_MAX:
        found["python"] = python
    return found


def run_of(model: Mapping[str, Any]) -> str:
    """Return the id of the run that saved the model, as the file says; empty if it does not."""
    said = model.get("run_id")
    return said if isinstance(said, str) and _RUN.fullmatch(said) else ""


def about(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else is worth keeping: flavors, and where and when the model was saved."""
    flavors = model.get("flavors")
    found: dict[str, Any] = {
        name: str(model[name])[:_TEXT_MAX] for name in _ABOUT if model.get(name) is not None
    }
    if isinstance(flavors, dict) and flavors:
        found["flavors"] = sorted(str(name)[:_TEXT_MAX] for name in flavors)[:100]
    return found


def _frameworks(flavors: Mapping[Any, Any]) -> Iterator[dict[str, str]]:
    for name, flavor in sorted(flavors.items(), key=lambda one: str(one[0])):
        if not isinstance(name, str) or not isinstance(flavor, dict):
            continue
        if name == "python_function":
            name, version = "python", flavor.get("python_version")  # noqa: PLW2901
        else:
            version = flavor.get(f"{name}_version")
        if (
            version is not None
            and 0 < len(str(version)) <= _TEXT_MAX
            and 0 < len(name) <= _TEXT_MAX
        ):
            yield {"name": name, "version": str(version)}


def _signature(signature: Any) -> dict[str, Any] | None:
    if not isinstance(signature, dict):
        return None
    found = {side: _fields(signature.get(side)) for side in ("inputs", "outputs", "params")}
    if not any(found.values()):
        return None
    return {side: fields for side, fields in found.items() if fields or side != "params"}


def _fields(text: Any) -> list[dict[str, Any]]:
    """Return the columns or tensors of one side, which MLflow writes as JSON in the YAML."""
    try:
        columns = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    if not isinstance(columns, list):
        return []
    return [_field(one) for one in columns[:_FIELDS_MAX] if isinstance(one, dict)]


def _field(column: Mapping[str, Any]) -> dict[str, Any]:
    kind, shape = column.get("type"), column.get("shape")
    tensor = column.get("tensor-spec")
    if kind == "tensor" and isinstance(tensor, dict):
        kind, shape = tensor.get("dtype"), tensor.get("shape")
    found: dict[str, Any] = {"type": str(kind or "unknown")[:_TEXT_MAX]}
    if isinstance(column.get("name"), str) and column["name"]:
        found["name"] = column["name"][:_TEXT_MAX]
    if isinstance(column.get("required"), bool):
        found["required"] = column["required"]
    if _is_shape(shape):
        found["shape"] = shape
    return found


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) <= 32  # noqa: PLR2004 -- as the schema of metadata has it
        and all(type(one) is int and -1 <= one < 2**53 for one in shape)
    )
