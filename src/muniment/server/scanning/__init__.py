"""Scanning: every version's files, read for what loading them would run.

Owns `scan` and `file_scan`. Promises: what is registered is scanned without being asked for; a blob
is read once under one ruleset; what could not be read is a finding; a result never changes and is
in the log, and evidence of the version. Nothing is loaded, and files are read in processes of their
own. Does not decide what may run: that is policy's.
"""

from muniment.server import evidence
from muniment.server.scanning.plugins.reports import PARSER
from muniment.server.scanning.reads import FOLDS, newest_scan, page, reports
from muniment.server.scanning.records import Scan

evidence.add_parser(PARSER)

__all__ = ["FOLDS", "Scan", "newest_scan", "page", "reports"]
