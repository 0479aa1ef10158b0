"""Policies in a seeded registry: bundles, a simulation, proposals to be approved and withdrawn."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

from muniment import Client
from muniment.core.errors import Refused
from muniment.server import policy
from tests.support.policies import small_files


def seed_policies(
    admin: Client, url: str, home: Path
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Make them; return likely values and bodies. What is approved is in force in a year: nothing changes."""
    person = admin.principals.create("governor")
    admin.principals.grant(str(person.id), "approver_governance")
    token = admin.tokens.create("governor", principal_id=str(person.id)).token
    digests, proposals = [], []
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=300)
    with Client(url, token) as governor:
        for number in range(3):
            place = home / f"bundle-{number}.tar.gz"
            place.write_bytes(_packed(number))
            digests.append(governor.policies.push(place).digest)
            simulated = governor.policies.simulate(digests[-1])
            if number:
                made = governor.policies.propose(digests[-1], reason="why", effective_from=soon)
                proposals.append(made.id)
    assert simulated.result is not None
    with contextlib.suppress(Refused):
        admin.lifecycle.promote("model-one@1.0.0", "production")
    [verdict, *_] = admin.policies.verdicts("model-one@1.0.0", step="promote")
    values: dict[str, list[Any]] = {
        "verdict_id": [verdict.id],
        "digest": ["active", *digests],
        "from": ["active", digests[0]],
        "simulation_id": [simulated.id],
        "activation_id": [proposals[0]],
        "withdraw_policy.activation_id": [proposals[1]],
    }
    bodies: dict[str, list[Any]] = {
        "add_policy_bundle": [_packed(0), _packed(9), b"junk"],
        "simulate_policy": [{"digest": digests[0]}],
        "propose_policy": [{"digest": digests[0], "reason": "why"}],
        "approve_policy": [{"reason": "yes", "weakens": simulated.result.to_acknowledge}],
        "withdraw_policy": [{"reason": "no"}],
    }
    return values, bodies


def _packed(number: int) -> bytes:
    """Return a small bundle, each under another digest."""
    return policy.pack(policy.read_bundle(small_files(LICENSE=f"{number}\n".encode())))
