"""How long a verdict takes: `python -m bench.policy [REPLAYS]`.

The starter bundle over its own fixtures, in the embedded engine. Goals: a verdict below 10 ms,
10 000 replayed within 60 s.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import time

from muniment.server import policy
from muniment.server.ports.embedded_rego import EmbeddedRego


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    bundle = policy.read_bundle(policy.read_files(policy.STARTER))
    documents = [one.document for one in bundle.fixtures]
    with contextlib.closing(EmbeddedRego()) as engine:
        first = {policy.verdict_bytes(policy.evaluate(engine, bundle, documents[0]).verdict)}
        started = time.perf_counter()
        took = [
            policy.evaluate(engine, bundle, document).duration_us
            for document in itertools.islice(itertools.cycle(documents), count)
        ]
        seconds = time.perf_counter() - started
        first.add(policy.verdict_bytes(policy.evaluate(engine, bundle, documents[0]).verdict))
    assert len(first) == 1, "a verdict was not given again alike"
    took.sort()
    median, p95 = statistics.median(took) / 1000, took[int(len(took) * 0.95)] / 1000
    print(f"verdict of {len(bundle.rules)} rules: median {median:.2f} ms, p95 {p95:.2f} ms")
    print(f"replay: {count:,} in {seconds:.1f} s; 10,000 in {seconds / count * 10_000:.1f} s")


if __name__ == "__main__":
    main()
