"""Federation: versions whose bytes are fetched from elsewhere.

Owns the tables of `0010_pre_fetches.sql`. Promises: nothing is called but what an operator allowed;
a number that was promised is never given to anything else.
"""

from muniment.server.federation.actions.fetches import FETCHER, ask_fetch, fail_fetch
from muniment.server.federation.jobs.bringing import bring
from muniment.server.federation.plugins.elsewhere import Elsewhere, check_source
from muniment.server.federation.reads import FOLDS
from muniment.server.federation.rules.places import Place, inside, is_tracked, is_within
from muniment.server.federation.store.fetches import (
    end_fetch,
    find_fetch,
    find_fetch_of,
    named_blobs,
)

__all__ = [
    "FETCHER",
    "FOLDS",
    "Elsewhere",
    "Place",
    "ask_fetch",
    "bring",
    "check_source",
    "end_fetch",
    "fail_fetch",
    "find_fetch",
    "find_fetch_of",
    "inside",
    "is_tracked",
    "is_within",
    "named_blobs",
]
