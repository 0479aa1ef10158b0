"""Evidence: what is claimed of a version or composite, in its tool's own file, bound to digests.

Owns `evidence`, `component`, `evidence_component` and `signer`. Promises: the file is kept byte-exact under
its digest; what was read from it is read again alike; evidence is only ever appended, each piece
with a signed entry in the log; whether it still holds is computed when asked. Does not decide what
evidence is needed, nor what follows from it: that is policy's.
"""

# ruff: noqa: I001 -- by what they are for
# fmt: off
from muniment.server.evidence.actions import keep, keep_all, parse_held, record, record_all, refused
from muniment.server.evidence.plugins import Parser, add_parser, parse
from muniment.server.evidence.reads import (
    FOLDS, about, bearing, components, find_evidence, named_blobs, of, page, required_blobs,
)
from muniment.server.evidence.rules.binding import (
    about_version, bound, components_of, freshness, made_at, of_composite, of_version,
)
from muniment.server.evidence.rules.coverage import coverage
from muniment.server.evidence.rules.parsed import is_void
from muniment.server.evidence.rules.purls import Package, package_key, read_purl
from muniment.server.evidence.rules.reading import (
    Document, Limits, clean, items_at, problem, read, refusal, text_at, walk,
)
from muniment.server.evidence.rules.strict_yaml import NotYaml, load_yaml

__all__ = [
    "FOLDS", "Document", "Limits", "NotYaml", "Package", "Parser", "about", "about_version", "add_parser", "bearing", "bound", "clean",
    "components", "components_of", "coverage", "find_evidence", "freshness", "is_void", "items_at", "keep", "keep_all", "load_yaml", "made_at", "named_blobs", "of", "of_composite", "of_version",
    "package_key", "page", "parse", "parse_held", "problem", "read", "read_purl", "record", "record_all", "refusal", "refused",
    "required_blobs", "text_at", "walk",
]
