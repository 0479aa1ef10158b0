"""XML and PMML: no document types, no entities, no documents taken in from elsewhere.

Source: OWASP, XML External Entity Prevention; XInclude 1.1.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat  # nosec: entities stop it before they are expanded

from muniment.scan.context import Context
from muniment.scan.reader import WINDOW_BYTES, Reader

_DEPTH: Final = 1000
_INCLUDE: Final = "http://www.w3.org/2001/XInclude"
_SPACE: Final = " "


def check_xml(reader: Reader, context: Context) -> None:
    """Read a document to its end.

    Raises:
        StopScan: it has a document type, or is none; noted.
    """
    parser = expat.ParserCreate(namespace_separator=_SPACE)
    depth = 0

    def entity(*_: object) -> None:
        raise context.stop("xml.entity", "it has a document type", parser.CurrentByteIndex)

    def begin(name: str, _: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise context.stop("unscannable.limit", f"more than {_DEPTH} elements in each other")
        if name.startswith(f"{_INCLUDE}{_SPACE}"):
            context.found("xml.include", "it includes another document", parser.CurrentByteIndex)

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = entity
    parser.EntityDeclHandler = entity
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    try:
        for at in range(0, reader.size_bytes, WINDOW_BYTES):
            parser.Parse(reader.read(at, WINDOW_BYTES), False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, "it is none")
        raise context.stop("xml.malformed", what, parser.ErrorByteIndex) from None
