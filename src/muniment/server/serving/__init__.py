"""Who uses what: consumers' bindings, whether their use is allowed now, and what they are told.

Owns bindings and acknowledgements (`0028_pre_consumers.sql`). Promises: new use begins by a verdict
alone, and every refusal is in the log; how a binding stands is computed whenever it is asked, never
stored; a consumer's end is somebody's act. Does not decide what may be used for what: that is the
policy in force; does not fetch anything from an endpoint.
"""

# fmt: off
from muniment.server import lifecycle, policy
from muniment.server.serving.actions.binding import bind
from muniment.server.serving.actions.ending import acknowledge, end
from muniment.server.serving.reads.consumers import (
    FIRST,
    bound_by,
    consumers_of,
    of_binding,
    using,
    using_count,
)
from muniment.server.serving.reads.folds import FOLDS

lifecycle.tell_consumers(consumers_of)
policy.tell_bound(bound_by)

__all__ = [
    "FIRST", "FOLDS", "acknowledge", "bind", "consumers_of", "end", "of_binding", "using", "using_count",
]
