"""Files that the tools themselves wrote, read: what they say, what they lack, and every trap."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from backports.zstd import zipfile as zstd_zipfile
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import canonical
from muniment.server.evidence.plugins import PARSERS, parse
from muniment.server.evidence.plugins.formats import MISREAD
from muniment.server.evidence.records import EvidenceKind, Metric, Parsed, Unreadable
from muniment.server.evidence.rules.parsed import parsed_json
from muniment.server.evidence.rules.reading import Limits
from tests.support.evidence import SAMPLES, sample, sample_json

NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_file() and path.suffix != ".md")


def parsed(data: bytes | Any, name: str = "file", **more: Any) -> Parsed:
    found = parse(data if isinstance(data, bytes) else json.dumps(data).encode(), name, **more)
    assert isinstance(found, Parsed), found
    return found


def refused(data: bytes | Any, name: str = "file", **more: Any) -> list[dict[str, Any]]:
    found = parse(data if isinstance(data, bytes) else json.dumps(data).encode(), name, **more)
    assert isinstance(found, Unreadable), found
    return [dict(one) for one in found.problems]


def flags(found: Parsed) -> set[str]:
    return {flag.value for flag in found.flags}


def metric(found: Parsed, name: str, **where: Any) -> Metric:
    [one] = [
        each for each in found.metrics
        if each.metric == name and all(getattr(each, key) == value for key, value in where.items())
    ]  # fmt: skip
    return one


def changed(name: str, change: Callable[[Any], None]) -> Any:
    value = sample_json(name)
    change(value)
    return value


@pytest.mark.parametrize(
    ("name", "format_", "metrics", "lacks"),
    [
        ("cyclonedx-1.7.json", "cyclonedx", 0, set()),
        ("spdx-3.0.1-package.json", "spdx", 0, {"missing_tool_version"}),
        ("deepeval-4.3.1.json", "deepeval", 2, {"missing_dataset", "missing_direction", "missing_model", "missing_time", "missing_tool_version", "missing_uncertainty"}),
        ("evidently-0.7.23.json", "evidently", 6, {"default_thresholds", "missing_dataset", "missing_direction", "missing_model", "missing_n", "missing_time", "missing_tool_version", "missing_uncertainty"}),
        ("fairlearn-0.15.0-fairness.json", "fairlearn", 13, {"missing_dataset", "missing_direction", "missing_model", "missing_time", "missing_uncertainty"}),
        ("garak-0.14.0-aggregated.report.jsonl", "garak", 2, {"aggregated", "missing_time", "missing_uncertainty"}),
        ("garak-0.14.0-lmrc.report.jsonl", "garak", 1, {"missing_uncertainty"}),
        ("garak-0.14.0-with-intervals.report.jsonl", "garak", 1, set()),
        ("inspect-ai-0.3.285.eval", "inspect-ai", 1, set()),
        ("inspect-ai-0.3.285.json", "inspect-ai", 1, set()),
        ("inspect-ai-0.3.285-failed.json", "inspect-ai", 0, {"failed"}),
        ("inspect-ai-0.3.285-limited.json", "inspect-ai", 1, {"partial"}),
        ("inspect-ai-0.3.285-sample-errors.json", "inspect-ai", 1, {"sample_errors"}),
        ("lm-eval-0.4.13.json", "lm-eval", 2, set()),
        ("lm-eval-0.4.13-limited.json", "lm-eval", 2, {"missing_dataset", "partial"}),
        ("mlflow-3.17.2-evaluate.json", "mlflow-evaluate", 8, {"missing_dataset", "missing_model", "missing_time", "missing_tool_version", "missing_uncertainty"}),
        ("promptfoo-0.121.20.json", "promptfoo", 8, {"missing_dataset", "missing_uncertainty"}),
    ],
)  # fmt: skip
def test_what_tools_write_is_read(name: str, format_: str, metrics: int, lacks: set[str]) -> None:
    found = parsed(sample(name), name)
    assert (found.format, len(found.metrics), flags(found)) == (format_, metrics, lacks)


def test_every_sample_is_tested_and_described() -> None:
    table = (SAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"| {name} |" not in table] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_file_says_the_same_and_can_be_digested(name: str) -> None:
    first, second = (canonical(parsed_json(parsed(sample(name), name))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused_with_its_name_and_place(name: str) -> None:
    data = sample(name).rstrip()
    for at in (len(data) - 1, len(data) // 2, len(data) // 3, 20):
        found = parse(data[:at], name)
        if isinstance(found, Parsed):
            # Lines that are missing at the end cannot be seen but for the run's own last line.
            assert name.endswith(".jsonl")
            assert "aborted" in flags(found) | {"aborted"} & {"aggregated"} or at > len(data) // 2
        else:
            assert all(problem["field"].startswith(name) for problem in found.problems)


# --- hostile values anywhere -------------------------------------------------------------------------

HOSTILE: list[Any] = [
    None, True, -1, 0, 1e308, 10**18, "", "\0\x1b[2J<script>", "x" * 5000, [], {}, [[]], {"": None},
    ["a", 1, None], {"a": {"b": []}}, "9" * 400, "../../etc/passwd", "\u202e",
]  # fmt: skip


def mutated(value: Any, dice: random.Random) -> Any:
    """Put a hostile value somewhere into `value`."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(sorted(value))
        return {**value, key: mutated(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], mutated(value[at], dice), *value[at + 1 :]]
    return dice.choice(HOSTILE)


def values_of(name: str) -> list[Any]:
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in sample(name).splitlines()]
    if name.endswith(".eval"):
        with zipfile.ZipFile(io.BytesIO(zstd_free(name))) as archive:
            return [json.loads(archive.read("header.json"))]
    return [sample_json(name)]


def zstd_free(name: str) -> bytes:
    out = io.BytesIO()
    with (
        zstd_zipfile.ZipFile(io.BytesIO(sample(name))) as source,
        zipfile.ZipFile(out, "w") as target,
    ):
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_no_value_in_any_place_makes_a_parser_fail(name: str) -> None:
    dice = random.Random(name)
    lines = values_of(name)
    for _ in range(150):
        at = dice.randrange(len(lines))
        hostile = [*lines[:at], mutated(lines[at], dice), *lines[at + 1 :]]
        data = "\n".join(json.dumps(line) for line in hostile).encode()
        found = parse(data, name)
        if isinstance(found, Parsed):
            assert "\0" not in canonical(parsed_json(found)).decode()
            assert "\\u0000" not in canonical(parsed_json(found)).decode()
        else:
            assert found.problems
            assert all(problem["field"].startswith(name) for problem in found.problems)
            assert not any(MISREAD in problem["message"] for problem in found.problems)


@given(st.sampled_from(NAMES), st.binary(min_size=1, max_size=8), st.integers(0, 2**31))
def test_bytes_anywhere_never_make_a_parser_fail(name: str, junk: bytes, at: int) -> None:
    data = sample(name)
    at %= len(data)
    found = parse(data[:at] + junk + data[at + len(junk) :], name)
    assert isinstance(found, Parsed | Unreadable)


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith(".json")])
def test_nan_is_refused_unless_its_tool_writes_it(name: str) -> None:
    value = sample_json(name)
    value["zzz"] = float("nan")
    found = parse(json.dumps(value).encode(), name)
    tolerant = {each.name for each in PARSERS if each.takes_nonfinite}
    if isinstance(found, Parsed):
        assert found.format in tolerant
    else:
        assert "NaN" in found.problems[0]["message"]
        assert "(/zzz)" in found.problems[0]["field"]


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith(".json")])
def test_a_member_that_is_there_twice_is_refused(name: str) -> None:
    text = sample(name).decode().lstrip()
    first = next(iter(sample_json(name)))
    [problem] = refused(f'{{"{first}": 1, {text[1:]}'.encode(), name)
    assert f"{first!r} again" in problem["message"]


def test_unknown_formats_name_the_known_ones() -> None:
    [problem] = refused({"hello": "world"})
    assert "lm-eval" in problem["message"]
    assert "other" in problem["fix"]


def test_only_so_many_problems_are_shown() -> None:
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}] * 500}
    assert len(refused(bom)) == 100
    assert len(refused(b'{"a": [' + b"NaN," * 200 + b'1], "schema": "muniment/fairness/v1"}')) == 20


# --- SBOMs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.4", "1.5", "1.6", "1.7"])
def test_components_of_all_levels_are_read(version: str) -> None:
    inner = {"type": "library", "name": "inner", "version": "2", "purl": "pkg:pypi/inner@2"}
    outer = {
        "type": "library", "name": "outer", "components": [inner],
        "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Own"}}],
        "hashes": [{"alg": "SHA-1", "content": "A" * 40}],
    }  # fmt: skip
    tools: Any = [{"name": "cdxgen", "version": "9"}]
    if version != "1.4":
        tools = {"components": [{"type": "application", "name": "cdxgen", "version": "9"}]}
    bom = {
        "bomFormat": "CycloneDX", "specVersion": version, "version": 1,
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "tools": tools},
        "components": [outer, {"type": "library", "name": "last", "licenses": [{"expression": "MIT OR X11"}]}],
    }  # fmt: skip
    found = parsed(bom)
    assert [one.name for one in found.components] == ["outer", "inner", "last"]
    assert found.components[0].licenses == ("MIT", "Own")
    assert found.components[0].hashes == {"sha-1": "a" * 40}
    assert found.components[1].purl == "pkg:pypi/inner@2"
    assert found.components[2].licenses == ("MIT OR X11",)
    assert (found.run.tool_name, found.run.tool_version, flags(found)) == ("cdxgen", "9", set())


def test_versions_of_cyclonedx_nobody_checks_are_refused() -> None:
    for version in ("1.3", "2.0", None, 1.5):
        bom = {"bomFormat": "CycloneDX", "specVersion": version}
        [problem] = refused(bom, "bom.json")
        assert problem["field"] == "bom.json /specVersion"


def spdx_2(**more: Any) -> dict[str, Any]:
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "d",
        "documentNamespace": "https://example.com/d",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: syft-1.2.3", "Person: A"]},
        "packages": [
            {
                "SPDXID": "SPDXRef-p", "name": "numpy", "versionInfo": "2.3.1", "downloadLocation": "NOASSERTION",
                "licenseConcluded": "NOASSERTION", "licenseDeclared": "BSD-3-Clause",
                "checksums": [{"algorithm": "SHA256", "checksumValue": "a" * 64}],
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": "pkg:pypi/numpy@2.3.1"}],
            }
        ],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": "SPDXRef-p"}],
        **more,
    }  # fmt: skip


def test_packages_of_spdx_2_are_read() -> None:
    found = parsed(spdx_2())
    [package] = found.components
    assert (package.name, package.version, package.purl) == (
        "numpy",
        "2.3.1",
        "pkg:pypi/numpy@2.3.1",
    )
    assert (package.licenses, package.hashes) == (("BSD-3-Clause",), {"sha-256": "a" * 64})
    assert (found.run.tool_name, found.run.tool_version) == ("syft", "1.2.3")
    assert found.details["subject"] == "numpy"


def test_spdx_that_breaks_its_schema_or_model_is_refused() -> None:
    assert refused(spdx_2(spdxVersion="SPDX-2.2"), "d.json")[0]["field"] == "d.json /spdxVersion"
    broken = spdx_2()
    del broken["packages"][0]["SPDXID"]
    assert refused(broken, "d.json")[0]["field"] == "d.json /packages/0"
    three = sample_json("spdx-3.0.1-package.json")
    three["@graph"][1]["bogus"] = 1
    assert "Unknown property" in refused(three)[0]["message"]
    three["@context"] = "https://spdx.org/rdf/3.1.0/spdx-context.jsonld"
    assert "3.0.1" in refused(three, "d.json")[0]["message"]


def test_packages_of_spdx_3_are_read() -> None:
    found = parsed(sample("spdx-3.0.1-package.json"))
    [package] = found.components
    assert package.name == "my-package"
    assert package.version == "1.0.0"


# --- traps of evaluations ------------------------------------------------------------------------------


def test_lm_eval_reads_intervals_and_says_what_is_no_version() -> None:
    found = parsed(sample("lm-eval-0.4.13.json"))
    acc = metric(found, "acc")
    assert (acc.value, acc.stderr, acc.n, acc.higher_is_better) == (0.75, 0.25, 4, True)
    assert str(found.run.dataset_digest).startswith("lm-eval-tasks:")

    def at_main(value: Any) -> None:
        value["config"] |= {"model_revision": "main"}
        value["results"]["tiny_sums"]["acc_stderr,none"] = "N/A"
        value["task_hashes"] = {}

    found = parsed(changed("lm-eval-0.4.13.json", at_main))
    assert {"mutable_model", "missing_dataset", "missing_uncertainty"} <= flags(found)
    assert metric(found, "acc").stderr is None
    assert refused(changed("lm-eval-0.4.13.json", lambda value: value["results"].clear()))


def test_lm_eval_with_nan_is_flagged_and_the_number_left_out() -> None:
    value = changed(
        "lm-eval-0.4.13.json",
        lambda value: value["results"]["tiny_sums"].update({"acc,none": float("nan")}),
    )
    found = parsed(value)
    assert "not_a_number" in flags(found)
    assert [one.metric for one in found.metrics] == ["acc_norm"]


def test_inspect_logs_say_the_same_as_zip_and_as_json() -> None:
    one, other = (parsed(sample(f"inspect-ai-0.3.285.{each}")) for each in ("eval", "json"))
    assert one.metrics == other.metrics
    accuracy = metric(one, "accuracy")
    assert (accuracy.value, accuracy.stderr, accuracy.n) == (0.75, 0.25, 4)


def test_inspect_runs_that_did_not_end_or_were_touched_are_flagged() -> None:
    name = "inspect-ai-0.3.285.json"
    assert "aborted" in flags(parsed(changed(name, lambda log: log.update(status="cancelled"))))
    assert "invalidated" in flags(parsed(changed(name, lambda log: log.update(invalidated=True))))
    dirty = {"type": "git", "commit": "a" * 7, "dirty": True, "origin": ""}
    found = parsed(changed(name, lambda log: log["eval"].update(revision=dirty)))
    assert "dirty" in flags(found)
    assert found.run.commit == "a" * 7

    def edit(log: Any) -> None:
        log["samples"][0]["scores"]["match"]["history"] = [{"value": "C"}]

    assert "edited" in flags(parsed(changed(name, edit)))
    assert refused(changed(name, lambda log: log.update(version=9)))[0]["field"] == "file /version"
    assert (
        refused(changed(name, lambda log: log.update(status="odd")))[0]["field"] == "file /status"
    )


def test_an_inspect_zip_that_was_cut_short_is_an_aborted_run() -> None:
    out = io.BytesIO()
    start = {"version": 2, "eval": sample_json("inspect-ai-0.3.285.json")["eval"]}
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("_journal/start.json", json.dumps(start))
    found = parsed(out.getvalue(), "x.eval")
    assert "aborted" in flags(found)
    assert found.metrics == ()


def test_an_inspect_zip_with_edited_scores_is_flagged() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(zstd_free("inspect-ai-0.3.285.eval"))) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for each in source.namelist():
            data = source.read(each)
            if each == "samples/2_epoch_1.json":
                value = json.loads(data)
                value["scores"]["match"]["history"] = [{"value": "I"}]
                data = json.dumps(value).encode()
            target.writestr(each, data)
    assert "edited" in flags(parsed(out.getvalue()))


def test_a_zip_bomb_in_an_inspect_log_is_refused_by_name() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b"[" + b" " * 20_000_000 + b"]")
    limits = Limits(max_unpacked_bytes=1_000_000)
    [problem] = refused(out.getvalue(), "x.eval", limits=limits)
    assert problem["field"] == "x.eval!header.json"
    assert "1000000 bytes allowed" in problem["message"]


HELM_STATS = [
    {"name": {"name": "exact_match", "split": "test"}, "count": 1, "sum": 0.111, "mean": 0.111, "stddev": 0.0},
    {"name": {"name": "exact_match", "split": "test", "perturbation": {"name": "typos"}}, "count": 1, "mean": 0.1},
    {"name": {"name": "num_instances", "split": "test"}, "count": 1, "mean": 9.0},
    {"name": {"name": "inference_runtime", "split": "test"}, "count": 1, "mean": 0.4},
    {"name": {"name": "num_prompt_tokens", "split": "test"}, "count": 1, "mean": 80.0},
]  # fmt: skip


def helm_zip(spec: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("run/stats.json", json.dumps(HELM_STATS))
        archive.writestr("run/run_spec.json", json.dumps(spec))
    return out.getvalue()


def test_helm_takes_the_sample_size_from_the_metric_and_not_from_trials() -> None:
    found = parsed(HELM_STATS)
    match = metric(found, "exact_match", slice=None)
    assert (match.n, match.stderr, match.ci) == (9, None, None)
    assert metric(found, "exact_match", slice="perturbation:typos").n == 9
    assert metric(found, "inference_runtime").dimension == "latency"
    assert {
        "missing_model",
        "missing_tool_version",
        "missing_time",
        "missing_uncertainty",
    } <= flags(found)
    assert refused([HELM_STATS[2]])


def test_a_helm_run_that_reached_its_limit_is_partial() -> None:
    spec = {"name": "mmlu:x", "adapter_spec": {"model": "acme/m", "max_eval_instances": 9}}
    found = parsed(helm_zip(spec))
    assert (found.run.model, found.run.dataset) == ("acme/m", "mmlu:x")
    assert "partial" in flags(found)
    spec["adapter_spec"] = {"model": "acme/m", "max_eval_instances": 100}
    assert "partial" not in flags(parsed(helm_zip(spec)))


def garak(change: Callable[[list[Any]], None], name: str = "garak-0.14.0-with-intervals") -> bytes:
    lines = values_of(f"{name}.report.jsonl")
    change(lines)
    return "\n".join(map(json.dumps, lines)).encode()


def test_garak_gives_one_attack_success_rate_a_detector() -> None:
    found = parsed(sample("garak-0.14.0-with-intervals.report.jsonl"))
    [rate] = found.metrics
    assert (rate.value, rate.ci, rate.n, rate.higher_is_better) == (0.26, (0.14, 0.38), 50, False)
    assert rate.ci_method == "bootstrap 0.95"


def test_garak_runs_that_broke_off_or_contradict_themselves_are_flagged() -> None:
    def without(kind: str) -> Callable[[list[Any]], None]:
        def drop(lines: list[Any]) -> None:
            lines[:] = [line for line in lines if line["entry_type"] != kind]

        return drop

    def edit(lines: list[Any]) -> None:
        next(line for line in lines if line["entry_type"] == "eval")["passed"] = 49

    def old(lines: list[Any]) -> None:
        line = next(line for line in lines if line["entry_type"] == "eval")
        for each in ("total_evaluated", "fails", "nones"):
            line.pop(each)
        line["total"] = 50

    def nones(lines: list[Any]) -> None:
        next(line for line in lines if line["entry_type"] == "eval")["nones"] = 3

    def secret(lines: list[Any]) -> None:
        lines[0]["plugins.generators.api_key"] = "abcdefgh12345678"

    assert "aborted" in flags(parsed(garak(without("completion"))))
    assert "edited" in flags(parsed(garak(edit)))
    assert parsed(garak(old)).metrics[0].value == 0.26
    assert "sample_errors" in flags(parsed(garak(nones)))
    assert "secrets" in flags(parsed(garak(secret)))
    assert refused(garak(without("eval")))
    only_init = json.dumps({"entry_type": "init", "garak_version": "0.14.0"}).encode()
    assert "aborted" in flags(parsed(only_init))


def test_promptfoo_names_prompts_by_their_text() -> None:
    found = parsed(sample("promptfoo-0.121.20.json"))
    prompts = found.details["prompts"]
    assert [one["label"] for one in prompts] == ["hello {{x}}", "greet"]
    ids = {one["id"] for one in sample_json("promptfoo-0.121.20.json")["results"]["prompts"]}
    assert prompts[0]["text_digest"].removeprefix("sha256:") in ids
    assert prompts[1]["text_digest"].removeprefix("sha256:") not in ids
    assert metric(found, "latency_mean", task="greet").unit == "ms"


def test_promptfoo_errors_are_no_failures_and_edits_are_seen() -> None:
    name = "promptfoo-0.121.20.json"

    def error(value: Any) -> None:
        row = next(row for row in value["results"]["results"] if not row["success"])
        row["failureReason"] = 2
        value["results"]["stats"] |= {"failures": 1, "errors": 1}

    found = parsed(changed(name, error))
    assert "sample_errors" in flags(found)
    assert "edited" not in flags(found)
    assert sorted(one.n or 0 for one in found.metrics if one.metric == "pass_rate") == [1, 2]

    def edit(value: Any) -> None:
        value["results"]["results"][-1]["success"] = True

    assert "edited" in flags(parsed(changed(name, edit)))

    def cache(value: Any) -> None:
        value["results"]["results"][0]["response"]["cached"] = True
        value["config"]["env"] = {"OPENAI_API_KEY": "sk-" + "a" * 40}

    assert {"cached", "secrets"} <= flags(parsed(changed(name, cache)))

    def attack(value: Any) -> None:
        for row in value["results"]["results"]:
            row["testCase"]["metadata"] = {"pluginId": "harmful:hate"}

    rates = [one for one in parsed(changed(name, attack)).metrics if one.metric == "pass_rate"]
    assert {(one.task, one.dimension) for one in rates} == {("harmful:hate", "toxicity")}
    assert refused(changed(name, lambda value: value["results"].update(version=4)))
    assert refused(changed(name, lambda value: value["results"].update(results=[])))


def test_deepeval_flags_errors_flaky_tests_and_contradictions() -> None:
    name = "deepeval-4.3.1.json"
    assert metric(parsed(sample(name)), "Exact").value == 0.5
    assert "flaky" in flags(
        parsed(changed(name, lambda run: run["testCases"][0].update(flaky=True)))
    )
    assert "sample_errors" in flags(
        parsed(changed(name, lambda run: run["metricsScores"][0].update(errors=1)))
    )
    assert "edited" in flags(
        parsed(changed(name, lambda run: run.update(testPassed=2, testFailed=0)))
    )
    assert "edited" in flags(
        parsed(changed(name, lambda run: run["metricsScores"][0].update(scores=[1.0, 1.0])))
    )

    def judged(run: Any) -> None:
        run["testCases"][0]["metricsData"][0]["evaluationModel"] = "gpt-4o"

    assert parsed(changed(name, judged)).run.judge == "gpt-4o"
    assert refused(changed(name, lambda run: run.update(metricsScores=[])))


def test_evidently_of_older_versions_is_read_too() -> None:
    report = {
        "version": "0.4.0",
        "metrics": [{"metric": "DatasetDriftMetric", "result": {"drift_share": 0.5, "n": "x"}}],
    }
    found = parsed(report)
    assert (found.metrics[0].metric, found.metrics[0].higher_is_better) == (
        "DatasetDriftMetric.drift_share",
        None,
    )
    suite = {
        "version": "0.4.0", "tests": [{"name": "a", "status": "SUCCESS"}, {"name": "b", "status": "ERROR"}],
        "summary": {"by_status": {"SUCCESS": 1}, "success_tests": 2},
    }  # fmt: skip
    found = parsed(suite)
    assert found.metrics[0].value == 1.0
    assert {"edited", "sample_errors"} <= flags(found)
    assert found.details["failed_tests"] == ["b"]


def test_fairlearn_gives_both_readings_of_the_ratio() -> None:
    found = parsed(sample("fairlearn-0.15.0-fairness.json"))
    both = metric(found, "demographic_parity_ratio", slice="sex\N{MULTIPLICATION SIGN}age")
    assert (both.value, both.ci, both.min_group_n, both.ci_method) == (
        0.876713,
        (0.779839, 0.938237),
        470,
        "bootstrap-200",
    )
    single = metric(found, "demographic_parity_ratio", slice="sex")
    assert (single.value, single.ci, single.min_group_n) == (0.905078, (0.844033, 0.979411), 957)
    impact = [one.value for one in found.metrics if one.metric == "impact_ratio"]
    assert max(impact) == 1.0
    assert min(impact) == pytest.approx(both.value, abs=1e-5)


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value["ratio"].update(selection_rate=0.99),
        lambda value: value["difference"].update(accuracy=0.01),
        lambda value: value["by_group"][0].update(n=1),
    ],
)
def test_ratios_that_contradict_the_groups_are_flagged_as_edited(edit: Any) -> None:
    assert "edited" not in flags(parsed(sample("fairlearn-0.15.0-fairness.json")))
    assert "edited" in flags(parsed(changed("fairlearn-0.15.0-fairness.json", edit)))


def test_fairness_without_groups_is_refused_with_all_that_is_missing() -> None:
    found = refused({"schema": "muniment/fairness/v1"}, "f.json")
    assert [one["field"] for one in found] == [
        "f.json /n",
        "f.json /sensitive_features",
        "f.json /by_group",
    ]


def test_generic_results_can_say_everything() -> None:
    document = {
        "schema": "muniment/evaluation/v1",
        "tool": {"name": "mine", "version": "1"}, "model": {"name": "m", "digest": "sha256:" + "a" * 64},
        "dataset": {"name": "d", "digest": "sha256:" + "b" * 64, "n": 10},
        "run": {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T01:00:00+01:00"},
        "metrics": [{"metric": "auc_roc", "value": 0.9, "ci": [0.8, 0.95], "n": 10}],
        "not_applicable": {"toxicity": "the model writes no text"},
    }  # fmt: skip
    found = parsed(document)
    assert flags(found) == set()
    assert found.metrics[0].higher_is_better is True
    assert found.not_applicable == {"toxicity": "the model writes no text"}
    for edit, field in (
        ({"metrics": [{"metric": "a", "value": "0.9"}]}, "f /metrics/0/value"),
        ({"metrics": [{"metric": "a", "value": 1, "ci": [2, 1]}]}, "f /metrics/0/ci"),
        (
            {"run": {"started": "2026-01-02T00:00:00Z", "ended": "2026-01-01T00:00:00Z"}},
            "f /run/ended",
        ),
        ({"not_applicable": {"toxicity": "no"}}, "f /not_applicable/toxicity"),
    ):
        assert refused(document | edit, "f")[0]["field"] == field
    assert "aborted" in flags(parsed(document | {"completeness": "aborted"}))


def test_a_kind_that_was_asked_for_must_be_found() -> None:
    assert parsed(sample("cyclonedx-1.7.json"), kind=EvidenceKind.SBOM).kind == "sbom"
    assert (
        "found sbom"
        in refused(sample("cyclonedx-1.7.json"), kind=EvidenceKind.EVALUATION)[0]["message"]
    )
    assert parsed(b"\0anything", kind=EvidenceKind.OTHER).format == "unknown"
