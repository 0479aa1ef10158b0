"""TensorFlow's SavedModel: the operations of its graphs and functions.

Operations are allow-listed: those that only compute (`saved_model_operations`). Those that reach
the machine are known and said to; any other is a finding, for nobody here knows what it does.

Source: saved_model.proto, graph.proto; TensorFlow's SECURITY.md.
"""

from __future__ import annotations

from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import Reader
from muniment.scan.validators.protobuf import Message
from muniment.scan.validators.saved_model_operations import HARMLESS

_REACHING: Final = frozenset(
    [
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        "Save",
        "SaveSlices",
        "SaveV2Dataset",
        "LoadDataset",
        "SaveDataset",
        "SaveDatasetV2",
        "DatasetFromGraph",
        "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2",
        "TextLineDataset",
        "TFRecordDataset",
        "TFRecordDatasetV2",
        "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2",
        "WholeFileReader",
        "WholeFileReaderV2",
        "TextLineReader",
        "TextLineReaderV2",
        "TFRecordReader",
        "TFRecordReaderV2",
        "LMDBReader",
        "LMDBDataset",
        "SqlDataset",
        "DebugIdentity",
        "DebugIdentityV2",
        "DebugNanCount",
        "DebugNumericSummary",
        "DebugNumericSummaryV2",
        "PrintV2",
        "FixedUnigramCandidateSampler",
        "ImmutableConst",
        "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2",
        "ImportEvent",
        "WriteSummary",
        "WriteRawProtoSummary",
        "CreateSummaryFileWriter",
        "CreateSummaryDbWriter",
        "ConfigureDistributedTPU",
        "RpcCall",
        "RpcServerStart",
        "RpcClient",
        "TryRpc",
        "Rpc",
        "GcsConfigureCredentials",
        "GcsConfigureBlockCache",
        "CSVDataset",
        "CSVDatasetV2",
        "SnapshotDataset",
        "SnapshotDatasetV2",
        "CacheDatasetV2",
        "RegisterDataset",
        "RegisterDatasetV2",
        "DataServiceDataset",
        "DataServiceDatasetV2",
        "GeneratorDataset",
        "WriteGraphSummary",
        "WriteAudioSummary",
        "BigQueryReader",
    ]
)
_GRAPHS: Final = 2
_GRAPH: Final = 2
_NODE, _LIBRARY = 1, 2
_FUNCTION: Final = 1
_FUNCTION_NODE: Final = 3
_OPERATION: Final = 2


def check_saved_model(reader: Reader, context: Context) -> None:
    """Walk a SavedModel.

    Raises:
        StopScan: it is no protocol buffer; noted.
    """
    told: set[str] = set()
    whole = Message(reader, context, 0, reader.size_bytes)
    for field in whole.fields():
        if field.number == _GRAPHS and field.end:
            meta = whole.inner(field)
            for part in meta.fields():
                if part.number == _GRAPH and part.end:
                    _graph(meta.inner(part), context, told)


def _graph(graph: Message, context: Context, told: set[str]) -> None:
    for field in graph.fields():
        if field.number == _NODE and field.end:
            _node(graph.inner(field), context, told)
        elif field.number == _LIBRARY and field.end:
            library = graph.inner(field)
            for part in library.fields():
                if part.number == _FUNCTION and part.end:
                    _function(library.inner(part), context, told)


def _function(function: Message, context: Context, told: set[str]) -> None:
    for field in function.fields():
        if field.number == _FUNCTION_NODE and field.end:
            _node(function.inner(field), context, told)


def _node(node: Message, context: Context, told: set[str]) -> None:
    for field in node.fields():
        if field.number == _OPERATION and field.end:
            operation = node.text(field)
            if operation in HARMLESS or operation in told:
                continue
            told.add(operation)
            rule = "operation" if operation in _REACHING else "unknown-operation"
            context.found(f"saved-model.{rule}", f"operation `{operation}`", node.start)
