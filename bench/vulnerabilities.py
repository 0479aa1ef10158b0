"""How long it takes to match every stored SBOM against a new snapshot: versions by components.

    python -m bench.vulnerabilities [VERSIONS [COMPONENTS [DISTINCT]]] [--write docs/benchmarks.md]

A real PostgreSQL is filled with SBOMs (rows, not files: what a version weighs plays no part, for no
file of one is read), each of COMPONENTS out of DISTINCT components; a database of 20 000 advisories
about their packages is imported. Measured: the first matching, which records evidence of every
version; another snapshot that changes nothing; and one that adds an advisory about a component of
about a tenth of the versions.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import tempfile
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

from bench import page
from muniment.core.digest import digest_of
from muniment.server import evidence, wiring
from muniment.server.http.operation import Deps
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import SystemClock
from muniment.server.ports.key_files import open_keys
from muniment.server.ports.postgres import open_database
from muniment.server.ports.queue import Job
from muniment.server.settings import Settings
from muniment.server.vulnerabilities.actions import importing
from muniment.server.vulnerabilities.jobs import import_, match

ADVISORIES = 20_000
#: Versions, components of each, distinct components.
SIZES = (10_000, 200, 20_000)
Row = tuple[str, float, str]
ACTOR = Actor("system", "bench")


def advisory(number: int, package: int, fixed: int) -> dict[str, Any]:
    """Every package has a few, most of them fixed before the versions that are used."""
    events = [{"introduced": "0"}, {"fixed": f"{fixed}.0"}]
    affected = [
        {
            "package": {"ecosystem": "PyPI", "name": f"package-{package}"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
    ]
    return {
        "id": f"PYSEC-2026-{number}", "modified": "2026-01-01T00:00:00Z", "aliases": [f"CVE-2026-{number}"],
        "summary": "something", "affected": affected,
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H"}],
    }  # fmt: skip


def zipped(records: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return out.getvalue()


async def fill(deps: Deps, versions: int, components: int, distinct: int) -> None:
    """Put SBOMs there as rows: as recording them does, without their files."""
    choose = random.Random(1)
    async with deps.db.transaction() as tx:
        purls = [f"pkg:pypi/package-{number // 4}@{5 + number % 4}.0" for number in range(distinct)]
        await tx.execute(
            """
            INSERT INTO component (digest, name, version, purl, package, body)
            SELECT sha256(convert_to(purl, 'UTF8')), split_part(purl, '@', 1), split_part(purl, '@', 2), purl,
                   split_part(purl, '@', 1), json_build_object('purl', purl, 'type', 'library')::text
            FROM unnest($1::text[]) AS purl
            """,
            purls,
        )
        ids = [row["id"] for row in await tx.fetch("SELECT id FROM component ORDER BY id")]
        for number in range(versions):
            evidence_id = deps.clock.new_id()
            raw = digest_of(str(number).encode()).raw
            await tx.execute(
                """
                INSERT INTO evidence (id, subject_kind, subject_id, subject_name, kind, format, format_version, digest,
                                      size_bytes, file_name, parsed, parsed_digest, assurance, bound, flags,
                                      recorded_at, actor_kind, actor_id, entry_id)
                VALUES ($1, 'version', $2, $3, 'sbom', 'cyclonedx', '1', $4, 1, 'bom.json', $5, $4, 'asserted',
                        $6::text::jsonb, '{}', $7, 'system', 'bench', $1)
                """,
                evidence_id, str(uuid.UUID(int=number)), f"model@{number}.0.0", raw, b"{}",
                json.dumps({"model": f"sha256:{raw.hex()}"}), deps.clock.now(),
            )  # fmt: skip
            await tx.execute(
                """
                INSERT INTO evidence_component (evidence_id, position, component_id)
                SELECT $1, o - 1, c FROM unnest($2::bigint[]) WITH ORDINALITY AS t (c, o)
                """,
                evidence_id, choose.sample(ids, components),
            )  # fmt: skip
    async with deps.db.transaction() as tx:
        await tx.execute("DELETE FROM pgqueuer")
        await tx.execute("ANALYZE")


async def import_dump(deps: Deps, records: list[dict[str, Any]]) -> float:
    data = zipped(records)
    kept = await evidence.keep(deps.blobs, data, deps.clock.new_id())
    by = By(ACTOR, deps.clock.now(), deps.clock.new_id)
    new = importing.NewImport(
        ecosystem="PyPI", digest=kept.digest, size_bytes=kept.size_bytes, name="all.zip", dated_at=deps.clock.now(), older=False
    )  # fmt: skip
    async with deps.db.transaction() as tx:
        asked = await importing.ask(tx, new, by)
    began = time.perf_counter()
    await import_(deps, Job(1, "vulnerabilities.import", {"import_id": str(asked.id)}, 1, 1))
    return time.perf_counter() - began


async def _measure(deps: Deps, versions: int, components: int, distinct: int) -> list[Row]:
    began = time.perf_counter()
    await fill(deps, versions, components, distinct)
    print(f"  filled (not measured) in {time.perf_counter() - began:.1f} s", flush=True)
    packages = distinct // 4
    choose = random.Random(2)
    records = [
        advisory(n, choose.randrange(packages), 6 if n % 100 == 0 else 1 + n % 5)
        for n in range(ADVISORIES)
    ]
    rare = [*records, advisory(ADVISORIES, 1, 6)]
    snapshots = [
        ("first matching, evidence of every version", records),
        (
            "another snapshot, nothing found anew",
            [*records, advisory(ADVISORIES + 1, packages + 9, 9)],
        ),
        ("a snapshot with one more advisory", rare),
    ]
    rows: list[Row] = []
    for name, dump in snapshots:
        seconds = await import_dump(deps, dump)
        rows.append((f"import of {len(dump):,} records", seconds, ""))
        began, cpu = time.perf_counter(), time.process_time()
        made = await match(deps, Job(1, "vulnerabilities.match", {}, 1, 1))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert made is not None
        said = f"{made.changed_count:,} of {made.subject_count:,} versions changed"
        rows.append((name, seconds, f"{said}; {cpu:.1f} s of CPU here, the rest PostgreSQL's"))
        print(f"  {name}: {seconds:.1f} s ({cpu:.1f} s of CPU in Python)", flush=True)
    return rows


async def measure(home: Path, *sizes: int) -> dict[str, Any]:
    """Return what was matched, and each step with its seconds and what came of it."""
    settings = Settings(data_dir=home)
    with wiring.database(settings) as place:
        await place.migrate()
        keys = open_keys(home / "keys")
        db = await open_database(place.url, mac=keys.entry.mac, max_size=4)
        try:
            deps = Deps(
                db=db,
                blobs=open_local_blobs(home / "blobs"),
                keys=keys,
                clock=SystemClock(),
                settings=settings,
                engines=wiring.open_engines(settings),
            )
            return {"sizes": sizes, "rows": await _measure(deps, *sizes)}
        finally:
            await db.close()


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.vulnerabilities", description=__doc__)
    for name, size in zip(("versions", "components", "distinct"), SIZES, strict=True):
        parser.add_argument(name, nargs="?", type=int, default=size, metavar=name.upper())
    parser.add_argument("--write", type=Path, help="renew the table in this page")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mb-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        if os.geteuid() == 0:
            home.chmod(0o711)  # PostgreSQL runs under another account then
        found = asyncio.run(measure(home, args.versions, args.components, args.distinct))
    told = page.render_matching(found)
    print(told)
    if args.write:
        page.write(args.write, told, "matching figures")


if __name__ == "__main__":
    main()
