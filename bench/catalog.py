"""The catalog alone, in the database: `python -m bench.catalog [VERSIONS]` (100 000 unless said).

Fills a PostgreSQL (fsync on) by COPY, then prints, for each search, how long the first page of 50
takes in Python and SQL together, one caller; a page from the middle; keyed reads; and how many
governed writes a second 16 tasks make. `--explain` prints each search's plan.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from muniment.core.canon import canonical
from muniment.core.names import Alias, AssetRef, SemVer
from muniment.server import catalog, migrations
from muniment.server.catalog.reads import search, searchable
from muniment.server.catalog.reads.search import Query
from muniment.server.catalog.records import AliasMove, AssetState, Kind, NewVersion, Visible
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.rules.terms import terms
from muniment.server.catalog.rules.versions import json_text, metadata_digest, precedence_key
from muniment.server.identity import By
from muniment.server.ledger import Actor, Entry, Subject, append
from muniment.server.ports import embedded_postgres
from muniment.server.ports.clock import SystemClock
from muniment.server.ports.postgres import PostgresDatabase, PostgresTx, open_database

ADA = Actor("person", "ada")
CLOCK = SystemClock()
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
RUNS = 200

SEARCHES: dict[str, tuple[str, list[str]]] = {
    "all": ("", []),
    "name =": ("name = 'model-00042'", []),
    "name LIKE prefix (1 %)": ("name LIKE 'model-000%'", []),
    "name LIKE prefix (all)": ("name LIKE 'model-%'", []),
    "name LIKE prefix (none)": ("name LIKE 'nothing%'", []),
    "name ILIKE '%..%' (1 asset)": ("name ILIKE '%L-00042%'", []),
    "tag, common (50 %)": ("tags.tier = 'gold'", []),
    "tag, 1 %": ("tags.team = 'team-42'", []),
    "tag, 10 of all": ("tags.rare = 'yes'", []),
    "tag, absent value": ("tags.team = 'nobody'", []),
    "two tags": ("tags.tier = 'gold' AND tags.team = 'team-42'", []),
    "tag IN": ("tags.team IN ('team-1', 'team-2', 'team-3')", []),
    "dataset (0.5 %)": ("dataset = 'dataset-7'", []),
    "dataset, rare (10)": ("dataset = 'one-off-7'", []),
    "dataset AND tag": ("dataset = 'dataset-7' AND tags.tier = 'gold'", []),
    "license (33 %)": ("license = 'MIT'", []),
    "format OR framework": ("format = 'onnx' OR framework = 'torch'", []),
    "digest": ("digest = 'sha256:" + "00" * 28 + "00000777'", []),
    "alias": ("alias = 'champion'", []),
    "owner": ("owner = 'owner-3'", []),
    "metric > (10 %)": ("metrics.auc > 0.9", []),
    "metric > (0.1 %)": ("metrics.auc > 0.999", []),
    "metric > (none)": ("metrics.auc > 2", []),
    "dataset LIKE prefix": ("dataset LIKE 'dataset-7%'", []),
    "dataset LIKE (none)": ("dataset LIKE 'nothing%'", []),
    "NOT tag": ("NOT tags.team = 'team-42'", []),
    "registered_at range": ("registered_at > 2024-01-01 AND registered_at < 2024-01-02", []),
    "order by name": ("", ["name", "number desc"]),
    "order by metric (1 % tag)": ("tags.team = 'team-42'", ["metrics.auc desc"]),
    "order by metric (all)": ("", ["metrics.auc desc"]),
}


async def fill(tx: PostgresTx, count: int) -> None:
    """COPY `count` versions of count/100 assets, aliases on each, straight into the tables."""
    seed = random.Random(1)
    assets = max(count // 100, 1)
    ids = [CLOCK.new_id() for _ in range(assets)]
    await tx.copy(
        "namespace",
        [
            "name",
            "created_at",
            "actor_kind",
            "actor_id",
            "mode",
            "production_aliases",
            "revision",
            "updated_at",
        ],
        [[f"ns-{n}", START, "person", "ada", "observe", ["champion"], 1, START] for n in range(10)],
    )
    await tx.copy(
        "asset",
        ["id", "namespace", "name", "kind", "created_at", "actor_kind", "actor_id", "entry_id", "revision",
         "updated_at", "description", "owner", "risk_tier", "tags", "next_number"],
        [[ids[n], f"ns-{n % 10}", f"model-{n:05}", "model", START, "person", "ada", CLOCK.new_id(), 1,
          START, "", f"owner-{n % 50}", "high" if n % 3 else "limited", json.dumps({"n": str(n)}), 101]
         for n in range(assets)],
    )  # fmt: skip
    state: dict[str, Any] = {
        "owner": "o",
        "description": "",
        "tags": {},
        "backup_owner": None,
        "escalation_contact": None,
        "risk_tier": None,
    }
    rows: list[list[Any]] = []
    labels: list[list[Any]] = []
    said: list[list[Any]] = [
        [ids[n], 1, "asset", ids[n], START, "person", "ada", "", "{}", json.dumps(state), ids[n]]
        for n in range(assets)
    ]
    aliases: list[list[Any]] = []
    order = list(range(count))
    seed.shuffle(order)  # versions of one asset are spread over time
    for at, n in enumerate(order):
        version_id, asset, number = CLOCK.new_id(), n % assets, n // assets + 1
        when = START + dt.timedelta(seconds=at)
        metadata = {
            "license": ("MIT", "Apache-2.0", "BSD-3-Clause")[n % 3],
            "training_datasets": [
                {"name": f"dataset-{seed.randrange(200)}", "version": "1"},
                *([{"name": f"one-off-{n // 10 % 1000}"}] if n < 10_000 else []),
            ],
            "frameworks": [{"name": ("torch", "sklearn")[n % 2], "version": "2.1"}],
            "metrics": {"auc": seed.random()},
            "hyperparameters": {"lr": 0.1, "depth": n % 12},
            "intended_use": "x" * 300,
        }
        text = json_text(metadata)
        tags = {"team": f"team-{seed.randrange(100)}", "tier": ("gold", "silver")[n % 2]}
        if n < 10:
            tags["rare"] = "yes"
        version = SemVer(1, number, 0)
        rows.append([version_id, ids[asset], number, str(version), precedence_key(version),
                     n.to_bytes(32, "big"), 1000, 3, ["onnx"] if n % 7 == 0 else ["pickle"], n % 7 != 0, text,
                     metadata_digest(metadata).raw, json.dumps(catalog.metrics_of(metadata)), when, "person", "ada", version_id])  # fmt: skip
        state = {"description": "", "tags": tags}
        labels.append([version_id, ids[asset], when, "ada", json.dumps(catalog.metrics_of(metadata)),
                       terms(metadata, ["onnx"] if n % 7 == 0 else ["pickle"]), 1, "", json.dumps(tags)])  # fmt: skip
        said.append(
            [
                version_id,
                1,
                "version",
                ids[asset],
                when,
                "person",
                "ada",
                "",
                "{}",
                json.dumps(state),
                version_id,
            ]
        )
        if number == 1:
            aliases.append([ids[asset], "champion", version_id, 1, when])
    await tx.copy(
        "version",
        ["id", "asset_id", "number", "version", "precedence", "manifest_digest", "size_bytes", "file_count",
         "formats", "executable", "metadata", "metadata_digest", "metrics_at_registration",
         "registered_at", "actor_kind", "actor_id", "entry_id"],
        rows,
    )  # fmt: skip
    await tx.copy(
        "version_label",
        [
            "version_id",
            "asset_id",
            "registered_at",
            "actor_id",
            "metrics",
            "terms",
            "revision",
            "description",
            "tags",
        ],
        labels,
    )
    await tx.copy(
        "annotation",
        [
            "subject_id",
            "revision",
            "subject_kind",
            "asset_id",
            "at",
            "actor_kind",
            "actor_id",
            "reason",
            "changes",
            "state",
            "entry_id",
        ],
        said,
    )
    await tx.copy("alias", ["asset_id", "name", "version_id", "revision", "updated_at"], aliases)


async def timed(run: Callable[[], Awaitable[Any]], times: int = RUNS) -> tuple[float, float, Any]:
    """Return p50 and p99 in milliseconds, and the last answer."""
    took = []
    answer = None
    for _ in range(times):
        start = time.perf_counter()
        answer = await run()
        took.append((time.perf_counter() - start) * 1000)
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.99) - 1], answer


async def searches(db: PostgresDatabase, *, explain: bool) -> None:
    everything = Visible(everything=True)
    team = Visible(namespaces=("ns-3",), assets=(("ns-4", "model-00014"),))
    runs: list[tuple[str, Query]] = [(n, Query(everything, f, o)) for n, (f, o) in SEARCHES.items()]
    runs.append(("all, seen by one team", Query(team)))
    runs.append(("1 % tag, seen by one team", Query(team, "tags.team = 'team-42'")))
    runs.append(("of one asset", Query(everything, within=AssetRef.parse("ns-2/model-00042"))))
    _, cursor = await _page(db, Query(everything, limit=500))
    runs.append(("all, from a cursor", Query(everything, cursor=cursor)))
    now = CLOCK.now()
    runs.append(("all, as of now", Query(everything, as_of=now)))
    runs.append(("1 % tag, as of now", Query(everything, "tags.team = 'team-42'", as_of=now)))
    print(f"{'search, first page of 50':32} {'rows':>4} {'p50 ms':>8} {'p99 ms':>8}")
    for name, query in runs:
        for _ in range(12):  # the driver and PostgreSQL decide on their plans
            await _page(db, query)
        start = time.perf_counter()
        await _page(db, query)
        times = max(10, min(RUNS, int(4 / (time.perf_counter() - start))))
        p50, p99, (found, _) = await timed(lambda query=query: _page(db, query), times)  # type: ignore[misc]
        print(f"{name:32} {len(found):4} {p50:8.2f} {p99:8.2f}", flush=True)
        if explain:
            sql, values, _ = search.compiled(
                searchable.VERSIONS if query.as_of is None else searchable.VERSIONS_THEN, query
            )
            async with db.transaction(read_only=True) as tx:
                for row in await tx.fetch("EXPLAIN (ANALYZE, BUFFERS, COSTS) " + sql, *values):
                    print("    ", row[0])


async def _page(db: PostgresDatabase, query: Query) -> Any:
    async with db.transaction(read_only=True) as tx:
        return await catalog.search_versions(tx, query)


async def keyed(db: PostgresDatabase) -> None:
    ref = AssetRef.parse("ns-2/model-00042")

    async def get(at: SemVer | Alias | int) -> Any:
        async with db.transaction(read_only=True) as tx:
            return await catalog.find_version(tx, ref, at)

    for name, at in (
        ("by SemVer", SemVer(1, 7, 0)),
        ("by number", 7),
        ("by alias", Alias("champion")),
    ):
        p50, p99, found = await timed(lambda at=at: get(at), 2000)  # type: ignore[misc]
        assert found is not None
        print(f"{'version ' + name:32} {1:4} {p50:8.2f} {p99:8.2f}")


async def writes(db: PostgresDatabase) -> None:
    def by() -> By:
        return By(ADA, CLOCK.now(), CLOCK.new_id)

    async with db.transaction() as tx:
        for worker in range(16):
            await catalog.create_asset(
                tx, AssetRef.parse(f"bench/w{worker}"), Kind.MODEL, AssetState("o"), by()
            )

    async def register(worker: int, n: int) -> None:
        ref = AssetRef.parse(f"bench/w{worker}")
        metadata = {"metrics": {"auc": 0.9}, "license": "MIT", "intended_use": "x" * 200}
        async with db.transaction() as tx:
            asset = await catalog.lock_asset(tx, ref)
            new = NewVersion(CLOCK.new_id(), SemVer(1, n, 0), catalog_digest(n), 1, 1, (), executable=False, metadata=metadata, metadata_json=canonical(metadata),
                             metrics_at_registration={"auc": 0.9}, actor=ADA, at=CLOCK.now(), entry_id=CLOCK.new_id())  # fmt: skip
            made = await catalog.add_version(tx, asset, new)
            subject = Subject("version", str(made.id), made.name, asset.id)
            await append(
                tx,
                Entry(
                    made.entry_id,
                    made.registered_at,
                    "version.register",
                    ADA,
                    subject,
                    catalog.version_payload(made),
                ),
            )

    async def alias(worker: int, n: int) -> None:
        move = AliasMove(AssetRef.parse(f"bench/w{worker}"), Alias("champion"), n % 2 + 1)
        async with db.transaction() as tx:
            await catalog.set_alias(tx, move, by())

    async def tag(worker: int, n: int) -> None:
        async with db.transaction() as tx:
            await catalog.annotate_version(
                tx, AssetRef.parse(f"bench/w{worker}"), 1, Change(tags={"n": str(n)}), by()
            )

    for name, act in (("register", register), ("set alias", alias), ("tag a version", tag)):
        count = 100
        start = time.perf_counter()

        async def work(worker: int, act: Any = act, count: int = count) -> None:
            for n in range(count):
                await act(worker, n)

        await asyncio.gather(*(work(worker) for worker in range(16)))
        print(f"{name:32} {16 * count / (time.perf_counter() - start):8.0f}/s")


def catalog_digest(n: int) -> Any:
    from muniment.core.digest import digest_of  # noqa: PLC0415

    return digest_of(str(n).encode())


async def run(owner_url: str, url: str, count: int, *, explain: bool) -> None:
    await migrations.migrate(owner_url, server_role=embedded_postgres.ROLE)
    db = await open_database(url, mac=lambda _: bytes(32), max_size=16)
    start = time.perf_counter()
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        await fill(tx, count)
    owner = await asyncpg.connect(owner_url)
    await owner.execute("ANALYZE")
    await owner.close()
    print(f"{count} versions in {time.perf_counter() - start:.0f} s")
    await searches(db, explain=explain)
    await keyed(db)
    await writes(db)
    await db.close()


def main() -> None:
    counts = [int(arg) for arg in sys.argv[1:] if arg.isdigit()]
    with (
        tempfile.TemporaryDirectory(prefix="mb-", ignore_cleanup_errors=True) as directory,
        embedded_postgres.start(Path(directory)) as postgres,
    ):
        count = counts[0] if counts else 100_000
        asyncio.run(run(postgres.owner_url, postgres.url, count, explain="--explain" in sys.argv))


if __name__ == "__main__":
    main()
