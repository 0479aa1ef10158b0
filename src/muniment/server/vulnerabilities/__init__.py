"""Vulnerabilities: databases of them as snapshots, matched against what versions contain.

Owns `advisory_database`, `advisory` and `advisory_import`. Promises: a snapshot is there whole or
not at all, with its digest in the log and its file held; what cannot be told is never called clean.
Does not decide what may run: that is policy's.
"""

from muniment.server import evidence
from muniment.server.vulnerabilities.plugins import reports, vex
from muniment.server.vulnerabilities.reads.affected import affected_by, components_of, holders
from muniment.server.vulnerabilities.reads.databases import named_blobs, required_blobs
from muniment.server.vulnerabilities.reads.examining import examine, given
from muniment.server.vulnerabilities.reads.folds import FOLDS
from muniment.server.vulnerabilities.reads.outlook import outlook
from muniment.server.vulnerabilities.reads.versions import named
from muniment.server.vulnerabilities.rules.vex import judge

for _parser in (*vex.PARSERS, reports.PARSER):
    evidence.add_parser(_parser)

# fmt: off
__all__ = [
    "FOLDS", "affected_by", "components_of", "examine", "given", "holders", "judge", "named",
    "named_blobs", "outlook", "required_blobs",
]
