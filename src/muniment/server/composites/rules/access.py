"""Who may do what with a composite: whoever may in its namespace, and whoever builds all of it.

1. What somebody may in the composite's namespace, they may with it.
2. A pipeline is trusted with assets, not with namespaces: who may register, attest or promote for
   every member may do that with the whole, and may read it. One of the members has to be of the
   composite's namespace, so that who builds what others use does not see into theirs.
3. Reading every member is not reading the composite: it names more than those (ADR 0007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from muniment.server.http.records import Scope, Verb

May = Callable[[Verb, Scope], bool]
_BUILDING: Final = (Verb.REGISTER, Verb.ATTEST, Verb.PROMOTE)


def allows(verb: Verb, namespace: str, members: Sequence[Scope], may: May) -> bool:
    """Say whether somebody may do `verb` with a composite of `namespace`; `members` are its assets."""
    if may(verb, Scope(namespace)):
        return True
    if not any(one.namespace == namespace for one in members):
        return False
    wanted = _BUILDING if verb is Verb.READ else {verb}.intersection(_BUILDING)
    return any(all(may(one, scope) for scope in members) for one in wanted)
