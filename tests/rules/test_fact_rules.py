"""Facts from records: which runs count, what a version without files is, what nothing can look up."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.names import AssetRef
from muniment.server import policy
from muniment.server.approvals.rules import evaluations, facts
from muniment.server.catalog.records import Asset, AssetState, Kind
from muniment.server.evidence.records import Assurance, Evidence, EvidenceKind, Flag
from muniment.server.vulnerabilities.records import Contained, Examined
from muniment.server.vulnerabilities.rules.findings import outlook
from tests.rules.test_lifecycle_rules import ADA, NOW, a_version

VERSION = a_version()


def run(
    *dimensions: str, tool: str = "lm-eval", flags: tuple[Flag, ...] = (), at: int = 0
) -> Evidence:
    digest = digest_of(f"{dimensions} {tool} {flags} {at}".encode())
    return Evidence(
        id=uuid.UUID(bytes=digest.raw[:16]),
        subject_kind="version",
        subject_id=str(VERSION.id),
        subject_name=VERSION.name,
        asset_id=VERSION.asset_id,
        kind=EvidenceKind.EVALUATION,
        format="lm-eval",
        format_version="1",
        digest=digest,
        size_bytes=1,
        file_name="run.json",
        parsed={"metrics": [{"metric": "m", "value": 1.0, "dimension": one} for one in dimensions]},
        parsed_digest=digest,
        assurance=Assurance.ASSERTED,
        signer=None,
        context_digest=None,
        bound={"model": str(VERSION.manifest_digest)},
        flags=tuple(sorted(flag.value for flag in flags)),
        tool_name=tool,
        tool_version="0.4",
        produced_at=None,
        recorded_at=NOW + dt.timedelta(hours=at),
        actor=ADA,
        entry_id=uuid.UUID(int=9),
    )


def asset(**state: Any) -> Asset:
    told = AssetState(**{"owner": "ada", **state})
    return Asset(
        VERSION.asset_id, AssetRef.parse("fraud"), Kind.MODEL, told, 1, 2, NOW, ADA, NOW, uuid.UUID(int=4)
    )  # fmt: skip


def told(**held: Any) -> dict[str, Any]:
    known = facts.Held(**{"version": VERSION, "asset": asset(), **held})
    found = facts.document(known, step="approve", at=NOW, environment=None, extra={})
    assert not policy.input_problems(found)
    return found


def test_a_later_run_of_the_same_tool_takes_the_place_of_one_that_measured_no_more() -> None:
    partial = run("quality", flags=(Flag.PARTIAL,))
    whole = run("quality", "bias", at=1)
    assert evaluations.current([partial, whole]) == [whole]
    assert evaluations.current([whole, run("quality", at=2)]) == [whole, run("quality", at=2)]
    aborted = run(flags=(Flag.ABORTED,))
    assert evaluations.current([aborted, whole]) == [whole]


def test_other_tools_take_the_place_only_of_all_that_a_run_measured() -> None:
    both = run("quality", "bias")
    quality, bias = run("quality", tool="other", at=1), run("bias", tool="third", at=2)
    assert evaluations.current([both, quality]) == [both, quality]
    assert evaluations.current([both, quality, bias]) == [quality, bias]
    void = run("bias", tool="third", flags=(Flag.EDITED,), at=2)
    assert evaluations.current([both, quality, void]) == [both, quality, void], (
        "what proves nothing does not"
    )
    nothing = run(tool="another")
    assert evaluations.current([nothing, both]) == [nothing, both]


@given(
    st.lists(st.tuples(st.sets(st.sampled_from(["quality", "bias"])), st.sampled_from(["a", "b"])))
)
def test_the_last_run_counts_always_and_nothing_measured_is_lost(
    made: list[tuple[set[str], str]],
) -> None:
    runs = [run(*sorted(each), tool=tool, at=at) for at, (each, tool) in enumerate(made)]
    found = evaluations.current(runs)
    assert found[-1:] == runs[-1:]
    assert [one for one in runs if one in found] == found
    measured = {dimension for each, _ in made for dimension in each}
    kept = {metric["dimension"] for one in found for metric in one.parsed["metrics"]}
    assert kept == measured


def test_a_version_without_files_runs_nothing_when_it_is_loaded() -> None:
    assert VERSION.file_count == 0
    scan = told()["scan"]
    assert (scan["complete"], scan["executable"], scan["findings"]) == (True, False, [])
    assert "scan" not in told(version=a_version(file_count=1))


def test_what_is_no_sha256_stands_for_itself() -> None:
    assert evaluations.hex_of("sha256:" + "a" * 64) == "a" * 64
    assert evaluations.hex_of("unknown") == digest_of(b"unknown").hex


def test_the_owner_is_active_or_not_or_nobody_we_know() -> None:
    assert "owner_active" not in told()["asset"]
    found = told(asset=asset(backup_owner="bob"), active={"ada": False, "bob": True})["asset"]
    assert (found["owner_active"], found["backup_owner_active"]) == (False, True)


def test_without_a_database_nothing_is_known_of_packages() -> None:
    one = Contained(
        component_id=1, name="a", version="1", purl="pkg:pypi/a@1", package="pkg:pypi/a"
    )
    uncovered = {"pypi": 1, "generic": 2}
    examined = Examined(
        sboms=(), component_count=1, unidentified_count=0, uncovered=uncovered, findings=()
    )
    assert outlook([one], [], examined, [], NOW) is None
    found = outlook([], [], examined, [], NOW)
    assert found is not None
    assert (found.dated_at, found.uncovered) == (NOW, ("pypi",))
