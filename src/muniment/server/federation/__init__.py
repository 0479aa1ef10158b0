"""Federation: versions whose bytes are fetched from elsewhere, and webhooks that tell others.

Owns the tables of `0011_pre_fetches.sql` and `0012_pre_webhooks.sql`. Promises: nothing is called
but what an operator allowed; a number that was promised is never given to anything else; what
happened is told at least once, or said to have failed.
"""

from muniment.server.federation.actions.fetches import FETCHER, ask_fetch, fail_fetch
from muniment.server.federation.jobs.bringing import bring
from muniment.server.federation.plugins.elsewhere import Elsewhere, check_source
from muniment.server.federation.reads import FOLDS
from muniment.server.federation.rules.places import Place, inside, is_tracked, is_within
from muniment.server.federation.store.fetches import end_fetch, find_fetch, find_fetch_of

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
]
