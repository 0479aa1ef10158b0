"""Federation: versions whose bytes are fetched from elsewhere; webhooks, who are told of what is done.

Owns the tables of `0010_pre_fetches.sql` and `0014_pre_webhooks.sql`. Promises: nothing is called
but what an operator allowed; a number that was promised is never given to anything else; what an
active webhook wants to be told is asked for in the transaction of the act, and sent at least once.
"""

# fmt: off
from muniment.server.federation.actions.deliveries import prepare_test, record_test
from muniment.server.federation.actions.fetches import FETCHER, ask_fetch, fail_fetch
from muniment.server.federation.actions.webhooks import (
    create_webhook,
    delete_webhook,
    get_webhook,
    set_secret,
    update_webhook,
)
from muniment.server.federation.jobs.bringing import bring
from muniment.server.federation.plugins.dialects import add_dialect
from muniment.server.federation.plugins.elsewhere import Elsewhere, check_source
from muniment.server.federation.plugins.posting import post
from muniment.server.federation.reads import FOLDS
from muniment.server.federation.rules.places import Place, inside, is_tracked, is_within
from muniment.server.federation.rules.sealing import signature
from muniment.server.federation.store import fetches as _fetches
from muniment.server.federation.store.webhooks import list_webhooks

end_fetch, find_fetch = _fetches.end_fetch, _fetches.find_fetch
find_fetch_of, named_blobs = _fetches.find_fetch_of, _fetches.named_blobs

__all__ = [
    "FETCHER", "FOLDS", "Elsewhere", "Place", "add_dialect", "ask_fetch", "bring", "check_source",
    "create_webhook", "delete_webhook", "end_fetch", "fail_fetch", "find_fetch", "find_fetch_of",
    "get_webhook", "inside", "is_tracked", "is_within", "list_webhooks", "named_blobs", "post",
    "prepare_test", "record_test", "set_secret", "signature", "update_webhook",
]
