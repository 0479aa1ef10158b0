"""Who may do what with a composite, by what they may do with its members."""

from __future__ import annotations

import pytest

from muniment.server.composites.rules.access import allows
from muniment.server.http.records import Scope, Verb

MODEL, WORDS, SHARED = Scope("risk", "model"), Scope("risk", "words"), Scope("other", "shared")
BOTH = (MODEL, WORDS)
RISK = Scope("risk")
R, A, P, G, S = Verb.REGISTER, Verb.ATTEST, Verb.PROMOTE, Verb.GOVERN, Verb.READ


@pytest.mark.parametrize(
    ("verb", "members", "held", "answer"),
    [
        (G, BOTH, {(G, RISK)}, True),
        (S, (), {(S, RISK)}, True),
        (S, (), {(S, Scope("other"))}, False),
        (P, BOTH, {(P, MODEL), (P, WORDS)}, True),
        (P, BOTH, {(P, MODEL)}, False),
        (P, BOTH, {(A, MODEL), (A, WORDS)}, False),
        (S, BOTH, {(A, MODEL), (A, WORDS)}, True),
        (S, BOTH, {(A, MODEL), (P, WORDS)}, False),
        (S, BOTH, {(S, MODEL), (S, WORDS)}, False),
        (G, BOTH, {(G, MODEL), (G, WORDS)}, False),
        (R, (MODEL, SHARED), {(R, MODEL), (R, SHARED)}, True),
        (S, (SHARED,), {(P, SHARED)}, False),
        (P, (), set(), False),
    ],
)
def test_who_builds_every_member_may_build_the_whole(
    verb: Verb, members: tuple[Scope, ...], held: set[tuple[Verb, Scope]], answer: bool
) -> None:
    assert allows(verb, "risk", members, lambda what, where: (what, where) in held) is answer
