"""How long a verdict takes, and replaying many: `python -m bench.policy [REPLAYS] [--write PAGE]`.

The starter bundle over its own fixtures, in the embedded engine. A verdict is one question at a
time, as an act asks it. Replaying is what a simulation does: documents in pieces to all engines,
each answer compared with the one before. No document is asked twice in a row, and nothing is kept
from one question to the next. Goals: design §7.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import page
from muniment.server import policy
from muniment.server.policy.actions.simulating import PIECE
from muniment.server.policy.records import Bundle
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.engine_pool import SIZE, EnginePool
from muniment.server.ports.policy_engine import PolicyEngine

Documents = Sequence[tuple[int, Mapping[str, Any]]]


async def measure(replays: int, questions: int = 500) -> dict[str, Any]:
    """Return figures of verdicts, and of `replays` of them."""
    bundle = policy.read_bundle(policy.read_files(policy.STARTER))
    documents = [one.document for one in bundle.fixtures]
    engines = EnginePool(EmbeddedRego)
    try:
        began = time.perf_counter()
        first = [await policy.judge(engines, bundle, one) for one in documents]
        warmed = time.perf_counter() - began
        said = [policy.verdict_bytes(one.verdict) for one in first]
        took = sorted(
            [
                (await policy.judge(engines, bundle, one)).duration_us
                for one in itertools.islice(itertools.cycle(documents), questions)
            ]
        )
        began = time.perf_counter()
        same = await _replay(engines, bundle, documents, said, replays)
        seconds = time.perf_counter() - began
    finally:
        await asyncio.to_thread(engines.close)
    found = {
        "rules": len(bundle.rules),
        "documents": len(documents),
        "first_s": warmed,
        "median_ms": statistics.median(took) / 1000,
        "p95_ms": took[int(len(took) * 0.95)] / 1000,
        "replays": replays,
        "engines": SIZE,
        "replay_s": seconds,
        "replay_10k_s": seconds / replays * 10_000,
        "same": same,
    }
    print(
        f"  verdict of {found['rules']} rules: median {found['median_ms']:.2f} ms, p95"
        f" {found['p95_ms']:.2f} ms; replay of {replays:,}: {seconds:.1f} s"
        f" (10,000: {found['replay_10k_s']:.1f} s), {same:,} the same bytes"
    )
    return found


async def _replay(
    engines: EnginePool,
    bundle: Bundle,
    documents: Sequence[Mapping[str, Any]],
    said: Sequence[bytes],
    count: int,
) -> int:
    """Return of how many of `count` replays the bytes were the same."""

    def ask(engine: PolicyEngine, piece: Documents) -> int:
        return sum(
            policy.verdict_bytes(policy.evaluate(engine, bundle, document).verdict) == said[number]
            for number, document in piece
        )

    numbered = list(itertools.islice(itertools.cycle(enumerate(documents)), count))
    pieces = [numbered[start : start + PIECE] for start in range(0, count, PIECE)]
    return sum(await engines.run_all([functools.partial(ask, piece=one) for one in pieces]))


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.policy", description=__doc__)
    parser.add_argument("replays", nargs="?", type=int, default=10_000, metavar="REPLAYS")
    parser.add_argument("--write", type=Path, help="renew the table in this page")
    args = parser.parse_args()
    told = page.render_policy(asyncio.run(measure(args.replays)))
    print(told)
    if args.write:
        page.write(args.write, told, "policy figures")


if __name__ == "__main__":
    main()
