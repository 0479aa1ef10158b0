"""ONNX models: where their data is, and whose operators they need.

Source: onnx.proto (ModelProto, GraphProto, NodeProto, TensorProto); CVE-2022-25882, CVE-2024-27318.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import Reader
from muniment.scan.validators.protobuf import DEPTH, Field, Message

_KNOWN_DOMAINS: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
)
_PYTHON: Final = re.compile(r"(?i)py(op|func|customop|thon)")
# Numbers of fields: of a model, a graph, a node, an attribute, a function, a tensor.
_GRAPH, _FUNCTIONS, _TRAINING = 7, 25, 20
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11
_FUNCTION_NODE: Final = 7
_EXTERNAL: Final = 13


def check_onnx(reader: Reader, context: Context) -> None:
    """Walk a model.

    Raises:
        StopScan: it is no protocol buffer; noted.
    """
    _Model(context).model(Message(reader, context, 0, reader.size_bytes))


class _Model:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: set[str] = set()

    def model(self, whole: Message) -> None:
        for field in whole.fields():
            if field.number == _GRAPH:
                self._graph(whole.inner(field), 0)
            elif field.number == _FUNCTIONS:
                self._nodes(whole.inner(field), _FUNCTION_NODE, 0)
            elif field.number == _TRAINING:
                training = whole.inner(field)
                for part in training.fields():
                    if part.number in {1, 2}:
                        self._graph(training.inner(part), 0)

    def _graph(self, graph: Message, depth: int) -> None:
        if depth >= DEPTH:
            raise self._context.stop("unscannable.limit", "graphs in graphs", graph.start)
        for field in graph.fields():
            if field.number == _NODE:
                self._node(graph.inner(field), depth)
            elif field.number == _INITIALIZER:
                self._tensor(graph.inner(field))
            elif field.number == _SPARSE:
                sparse = graph.inner(field)
                for part in sparse.fields():
                    if part.number in {1, 2} and part.end:
                        self._tensor(sparse.inner(part))

    def _nodes(self, function: Message, number: int, depth: int) -> None:
        for field in function.fields():
            if field.number == number:
                self._node(function.inner(field), depth)

    def _node(self, node: Message, depth: int) -> None:
        operator = domain = ""
        for field in node.fields():
            if field.number == _OPERATOR:
                operator = node.text(field)
            elif field.number == _DOMAIN:
                domain = node.text(field)
            elif field.number == _ATTRIBUTE:
                self._attribute(node.inner(field), depth)
        self._operator(domain, operator, node.start)

    def _operator(self, domain: str, operator: str, offset: int) -> None:
        name = f"{domain}:{operator}"[:200]
        if name in self._told:
            return
        if _PYTHON.search(operator) or domain.startswith("ai.onnx.contrib"):
            self._told.add(name)
            self._context.found("onnx.python-operator", f"operator `{name}`", offset)
        elif domain not in _KNOWN_DOMAINS:
            self._told.add(name)
            self._context.found("onnx.custom-operator", f"operator `{name}`", offset)

    def _attribute(self, attribute: Message, depth: int) -> None:
        for field in attribute.fields():
            if field.number in {_SUBGRAPH, _SUBGRAPHS} and field.end:
                self._graph(attribute.inner(field), depth + 1)
            elif field.number in {_TENSOR, _TENSORS} and field.end:
                self._tensor(attribute.inner(field))

    def _tensor(self, tensor: Message) -> None:
        for field in tensor.fields():
            if field.number == _EXTERNAL:
                self._external(tensor, field)

    def _external(self, tensor: Message, field: Field) -> None:
        pair = tensor.inner(field)
        said = {part.number: pair.text(part) for part in pair.fields() if part.end}
        if said.get(1) != "location":
            return
        path = said.get(2, "")
        plain = path.replace("\\", "/")
        if plain.startswith("/") or ".." in plain.split("/") or ":" in plain or "\0" in plain:
            self._context.found("onnx.external-path", f"data in `{path[:200]}`", field.start)
        elif self._context.siblings is not None and path not in self._told:
            self._told.add(path)
            folder = posixpath.dirname(self._context.name)
            if posixpath.normpath(posixpath.join(folder, path)) not in self._context.siblings:
                self._context.found("onnx.external-missing", f"data in `{path[:200]}`", field.start)
