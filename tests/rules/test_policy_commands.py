"""`muniment policy`, as it is run: what it prints, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from muniment.__main__ import server_commands
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
from muniment.server import policy
from muniment.server.policy.rules.fixtures import merged
from tests.support.policies import BODY, agent, rule, starter

BASE = next(one for one in starter().fixtures if one.name == "all is there").document


def run(*words: str, told: bytes = b"") -> Result:
    app: typer.Typer = build(server_commands())
    return CliRunner().invoke(app, ["policy", *words], obj=Session(), input=told)


def folder(at: Path, files: dict[str, bytes]) -> str:
    for path, data in files.items():
        (at / path).parent.mkdir(parents=True, exist_ok=True)
        (at / path).write_bytes(data)
    return str(at)


def test_the_starter_bundle_is_in_order_and_shown() -> None:
    found = run("lint", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == {"digest": starter().digest, "problems": []}
    assert starter().digest in run("show").stdout
    assert len(json.loads(run("show", "--json").stdout)["rules"]) == 22


def test_lint_says_all_and_exits_with_one(tmp_path: Path) -> None:
    place = folder(tmp_path, {"rules/a.rego": rule("x := time.now_ns()\n"), "x": b""})
    found = run("lint", place)
    assert found.exit_code == 1
    assert "`time.now_ns` is not for rules" in found.stdout
    assert "is no part of a bundle" in found.stdout
    broken = folder(tmp_path / "b", {"rules/a.rego": rule("foo {{{\n")})
    told = json.loads(run("lint", broken, "--json").stdout)["problems"]
    assert [one["message"][:20] for one in told[:2]] == [
        "SEC-001 has no fixtu", "SEC-001 has no fixtu",
    ]  # fmt: skip
    assert "rules/a.rego" in told[2]["message"]


def test_fixtures_that_differ_are_named(tmp_path: Path) -> None:
    fixtures = b"""rule: SEC-001
base: {schema: muniment.policy-input.v1, step: promote, at: 1, asset: {name: a}, subject: {ref: a, kind: model,
  lifecycle: draft, artifact_sha256: "%s", quarantined: false}}
fixtures:
  - {name: good, outcome: passed}
  - {name: bad, with: {subject: {quarantined: true}}, outcome: failed, cases: [bad]}
  - {name: other case, with: {subject: {quarantined: true}}, outcome: failed, cases: [worse]}
  - {name: wrong, outcome: failed}
  - {name: other step, with: {step: daily}, outcome: passed}
  - {name: no document, with: {at: soon}, outcome: passed}
""" % (b"1" * 64)
    place = folder(tmp_path, {"rules/a.rego": rule(BODY), "fixtures/a.yaml": fixtures})
    found = run("test", place)
    assert found.exit_code == 1
    assert "2 of 6 fixtures as expected" in found.stdout
    assert "expected the cases worse, found bad" in found.stdout
    assert "expected failed, found passed" in found.stdout
    assert "it is to say something at daily" in found.stdout
    assert "`at`:" in found.stdout
    told = json.loads(run("test", place, "--json").stdout)
    assert [one["ok"] for one in told["fixtures"]] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"executor": {"kind": "human"}}, 3),
        ({"rollback": None}, 4),
        ({"approvals": []}, 5),
        ({"at": "soon"}, 1),
    ],
)
def test_eval_exits_as_promote_does(change: dict[str, Any], code: int) -> None:
    document = json.dumps(merged({**BASE, "step": "promote"}, change)).encode()
    found = run("eval", "--input", "-", told=document)
    assert found.exit_code == code, found.output
    assert ("policy " in found.stdout) == (code != 1)


def test_eval_in_json_and_by_an_agent_is_the_same_verdict(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps({**BASE, "step": "approve"}))
    one = json.loads(run("eval", "--input", str(file), "--json").stdout)
    with agent(starter()) as url:
        other = json.loads(run("eval", "--input", str(file), "--opa", url, "--json").stdout)
    assert one["verdict"] == other["verdict"]
    assert (one["engine"], other["engine"]) == ("regopy", "opa")
    missing = run("eval", "--input", str(tmp_path / "none"), "--json")
    assert missing.exit_code == 1
    assert "cannot be read" in json.loads(missing.stdout)["error"]["message"]


def test_bundles_are_packed_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    assert starter().digest in run("pack", "-o", str(file)).stdout
    assert json.loads(run("pack", "-o", str(file), "--json").stdout)["digest"] == starter().digest
    assert run("pack", "-o", str(tmp_path)).exit_code == 1
    assert run("diff", "starter", str(file)).stdout == "the same\n"
    changed = json.loads(starter().files["data.json"])
    changed["profiles"]["high"]["approval_days"] = 30
    files = {**starter().files, "data.json": json.dumps(changed).encode()}
    place = folder(tmp_path / "mine", files)
    shown = run("diff", str(file), place).stdout
    assert "data.json changed: profiles.high.approval_days: 90 -> 30" in shown
    told = json.loads(run("diff", "starter", place, "--json").stdout)
    assert told["after"] == policy.read_bundle(files).digest


def test_what_is_no_bundle_is_an_error_with_all_problems(tmp_path: Path) -> None:
    found = run("show", str(tmp_path), "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["code"] == "bad_policy"
