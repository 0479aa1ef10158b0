"""Every rule: its id, how bad a match is, why it matters and what to do about it.

Ids are stable; they are what policy and exceptions refer to. Those of `unscannable.` say that
something could not be read, not that it was bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from muniment.scan.records import Severity

_C, _H, _M, _L, _I = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a match means. Source: R-095; docs/guides/scanning.md."""

    severity: Severity
    why: str
    remedy: str


_SAFE = "keep the weights as safetensors, ONNX or GGUF, or the object as what the allow-list knows"
_REWRITE = "write the file anew with the library it is for, and register that"
_UNKNOWN = "what is not read may hold anything"
_ZIP_WHY = "programs that read archives disagree on such a file, so it may hold what none of us saw"
_BOUNDS_WHY = "a reader that trusts such numbers reads memory that is not the file's"

RULES: Final[dict[str, Rule]] = {
    # Pickles
    "pickle.runs-code": Rule(
        _C, "loading the file imports this and may call it: it can run commands or any code", _SAFE
    ),
    "pickle.not-allow-listed": Rule(
        _H, "loading the file imports this and may call it; nobody vouched for what it does", _SAFE
    ),
    "pickle.unresolved-name": Rule(
        _C, "what is imported is only decided while loading: that hides something", _SAFE
    ),
    "pickle.computed-call": Rule(
        _C, "what is called is itself the result of a call: that hides something", _SAFE
    ),
    "pickle.misused": Rule(
        _C, "the name is allow-listed, but not to be called or made objects of", _SAFE
    ),
    "pickle.rewrites": Rule(
        _C, "loading the file changes a class or function itself, or an object's special members",
        _SAFE,
    ),
    "pickle.old-instruction": Rule(
        _H, "no current library writes this instruction; it makes objects past what others check",
        _REWRITE,
    ),
    "pickle.extension": Rule(
        _C, "what is imported is a number that only the loading machine can look up", _REWRITE
    ),
    "pickle.persistent-id": Rule(
        _H, "what the object is, is left to the program that loads it", _REWRITE
    ),
    "pickle.out-of-band": Rule(
        _M, "parts of the object are in other files that are not named", _REWRITE
    ),
    "pickle.malformed": Rule(
        _H, "what stands before the damage is run before it is noticed", _REWRITE
    ),
    "pickle.leftover": Rule(
        _M, "no library leaves objects behind: the file was made by hand", _REWRITE
    ),
    "pickle.trailing": Rule(
        _M, "bytes after the end are read by nobody, or by another program", _REWRITE
    ),
    "pickle.polyglot": Rule(
        _C, "read in another way, the same bytes are a pickle that runs code", _SAFE
    ),
    "pickle.bomb": Rule(_H, "loading the file takes as much memory as it likes", _REWRITE),
    "second-opinion.dangerous": Rule(
        _H, "another scanner calls dangerous what our allow-list lets pass: a person should look",
        "look at what it names; report it if the allow-list is wrong",
    ),
    "second-opinion.differs": Rule(
        _I, "another scanner saw nothing dangerous; ours decides", "nothing to do"
    ),
    "second-opinion.failed": Rule(_I, "the second opinion could not be had", "nothing to do"),
    # Archives
    "zip.duplicate-name": Rule(_H, _ZIP_WHY, _REWRITE),
    "zip.header-mismatch": Rule(_H, _ZIP_WHY, _REWRITE),
    "zip.encrypted": Rule(_H, _UNKNOWN, "register it without a password"),
    "zip.overlap": Rule(_C, "members share bytes: that is how small files become huge", _REWRITE),
    "zip.prefix": Rule(_H, _ZIP_WHY, _REWRITE),
    "zip.suffix": Rule(_H, _ZIP_WHY, _REWRITE),
    "zip.gap": Rule(_M, _ZIP_WHY, _REWRITE),
    "zip.bad-checksum": Rule(_H, _ZIP_WHY, _REWRITE),
    "zip.hidden": Rule(_H, _ZIP_WHY, _REWRITE),
    "archive.path": Rule(
        _C, "unpacking it writes outside the folder it is unpacked in", _REWRITE
    ),
    "archive.link": Rule(_C, "unpacking it makes links to, or devices of, the machine", _REWRITE),
    "archive.bomb": Rule(_C, "unpacking it fills memory or disk", _REWRITE),
    "archive.trailing": Rule(_M, "bytes after the end belong to nothing", _REWRITE),
    # Formats
    "safetensors.malformed": Rule(_H, _BOUNDS_WHY, _REWRITE),
    "gguf.malformed": Rule(_H, _BOUNDS_WHY, _REWRITE),
    "npy.malformed": Rule(_H, _BOUNDS_WHY, _REWRITE),
    "npy.objects": Rule(
        _I, "an array of objects is a pickle; NumPy loads it only if told to",
        "keep arrays of numbers or text",
    ),
    "protobuf.malformed": Rule(_H, _BOUNDS_WHY, _REWRITE),
    "hdf5.elsewhere": Rule(
        _H, "loading the file reads other files of the machine, which nobody scanned and no digest covers",
        "write a file that holds all of its data",
    ),
    "hdf5.malformed": Rule(_H, _BOUNDS_WHY, _REWRITE),
    "onnx.external-path": Rule(
        _C, "loading the model reads that file of the machine", "keep the data beside the model"
    ),
    "onnx.external-missing": Rule(
        _M, "the model's data is not among its files", "register it with its data files"
    ),
    "onnx.custom-operator": Rule(
        _M, "the operator's code comes from elsewhere and was not looked at",
        "use standard operators, or vouch for the library",
    ),
    "onnx.python-operator": Rule(_C, "the operator runs Python code", "use standard operators"),
    "keras.lambda": Rule(
        _C, "the layer is Python code in the file and runs when the model is loaded or used",
        "make a layer class of it",
    ),
    "keras.foreign": Rule(
        _C, "loading the model imports and calls what it names", "keep to Keras's own layers"
    ),
    "keras.custom-object": Rule(
        _M, "the object's code comes from elsewhere and was not looked at",
        "keep to Keras's own layers, or vouch for the package",
    ),
    "keras.file-access": Rule(
        _H, "loading the model reads a file of the machine", "keep vocabularies in the model"
    ),
    "saved-model.operation": Rule(
        _C, "running the graph reads, writes or runs something on the machine",
        "export the model without it",
    ),
    "saved-model.unknown-operation": Rule(
        _H, "nobody vouched for what this operation does when the graph runs",
        "export the model with TensorFlow's own operations, or vouch for this one",
    ),
    "torchscript.code": Rule(
        _M, "the file is a program of TorchScript: it runs when loaded and used",
        "keep weights as safetensors, or vouch for the program",
    ),
    "jinja.code": Rule(
        _C, "rendering the template reaches Python itself", "write a template of plain blocks"
    ),
    "jinja.template": Rule(
        _I, "who renders the template must do so in a sandbox", "nothing to do"
    ),
    "config.remote-code": Rule(
        _H, "loading the model imports Python files that come with it, or from elsewhere",
        "use an architecture the library has itself",
    ),
    "yaml.python-object": Rule(
        _C, "a loader that is not the safe one makes any object of it", "write plain YAML"
    ),
    "xml.entity": Rule(
        _H, "entities and document types read files, reach out, or fill memory",
        "write the document without them",
    ),
    "xml.include": Rule(
        _M, "the document asks for others to be put in", "write the document without it"
    ),
    "xml.malformed": Rule(_M, "readers disagree on such a document", _REWRITE),
    "script.code": Rule(
        _M, "program text beside a model runs if somebody imports it; nobody looked at it",
        "keep code in a package of its own, reviewed",
    ),
    "native.code": Rule(
        _H, "a program for this kind of machine is no part of a model", "leave it out"
    ),
    "json.duplicate-key": Rule(
        _M, "programs disagree on which of the two values counts", _REWRITE
    ),
    # What could not be read
    "unscannable.format": Rule(_M, _UNKNOWN, "use a format that is known, or vouch for the file"),
    "unscannable.encrypted": Rule(_M, _UNKNOWN, "register it without a password"),
    "unscannable.truncated": Rule(_M, "the file ends before it should", _REWRITE),
    "unscannable.damaged": Rule(_M, _UNKNOWN, _REWRITE),
    "unscannable.limit": Rule(
        _M, "reading on would take more than a scan may",
        "split the file, or raise the limit and vouch for it",
    ),
    "unscannable.stopped": Rule(
        _M, "the scan was ended before it was through: too slow, or out of memory",
        "scan again with more time; if that does not help, treat the file as hostile",
    ),
}  # fmt: skip
