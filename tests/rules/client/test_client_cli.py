"""The command line against a fake registry: what people read, what programs read, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from muniment.client.cli.app import COMMANDS, build
from muniment.client.cli.lazy import Later
from muniment.client.cli.screen import safe
from tests.support.fake_registry import TOKEN, URL, FakeLog, FakeRegistry

Run = Callable[..., Result]


@pytest.fixture
def registered(run: Run, model: Path) -> str:
    result = run(
        "register", "fraud", "--version", "1.0.0", "--artifact", str(model), "--kind", "model",
        "--owner", "ada", "--set", "metrics.auc=0.93", "--tag", "team=risk",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return "fraud@1.0.0"


def data_of(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help").output
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_and_json(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output
    later = COMMANDS[name]
    assert later.help.endswith(".")


def test_help_and_names_load_no_command() -> None:
    code = (
        "import sys; from muniment.client.cli.app import build\n"
        "try: build()(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'httpx', 'msgspec', 'yaml', 'rich', 'cryptography', 'muniment.client.client'}\n"
        "sys.exit(str(slow & set(sys.modules)) if slow & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import muniment; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"muniment", "importlib", "typing", "__future__"} | {
        name for name in done.stdout.split() if name.split(".")[0] in sys.stdlib_module_names
    }


def test_a_typo_gets_a_suggestion(run: Run) -> None:
    result = run("regster")
    assert result.exit_code == 2
    assert "register" in result.output


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").output.startswith("muniment 0.")


def test_a_server_command_without_the_server_says_how_to_get_it() -> None:
    group = build({"serve": Later("no.such.module", "Run.", "Run", "serve", "`{name}`: {missing}")})
    result = CliRunner().invoke(group, ["serve"])
    assert result.exit_code == 1
    assert "`serve`: no" in result.output


def test_registering_says_what_is_missing_and_how_to_fix_it(
    run: Run, registry: FakeRegistry, model: Path
) -> None:
    gap = {"field": "license", "why": "due for candidate", "fix": "add `license: MIT`"}
    registry.missing_gaps = [gap]
    args = ("register", "a", "--version", "1.0.0", "-a", str(model), "--kind", "model")
    result = run(*args)
    assert result.exit_code == 0
    assert "Registered a@1.0.0: 4 files, 3.5 KiB" in result.output
    assert "Fix: add `license: MIT`" in result.output
    refused = run("register", "a", "--version", "1.1.0", "-a", str(model), "--require", "candidate")
    assert refused.exit_code == 1
    assert "`license`: due for candidate" in refused.stderr
    assert refused.stdout == ""


def test_registering_speaks_json(run: Run, registry: FakeRegistry, model: Path) -> None:
    (model.parent / "m.json").write_text('{"kind": "model", "owner": "ada", "metrics": {"f1": 1}}')
    found = data_of(
        run("register", "a", "--version", "1.0.0", "-a", str(model), "-m",
            str(model.parent / "m.json"), "--set", "metrics.auc=0.9", "--json")
    )  # fmt: skip
    assert (found["version"], found["created"], found["file_count"]) == ("1.0.0", True, 4)
    assert registry.version("a@1.0.0")["metadata"]["metrics"] == {"f1": 1, "auc": 0.9}
    again = run("register", "a", "--version", "1.0.0", "-a", str(model))
    assert "was registered before with the same content" in again.output


def test_errors_speak_json_too(run: Run) -> None:
    result = run("show", "a@1.0.0", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "not_found"


def test_debug_shows_where(run: Run) -> None:
    result = run("--debug", "show", "a@1.0.0")
    assert result.exception is not None
    assert type(result.exception).__name__ == "NotFound"


def test_showing_a_version_lists_its_files(run: Run, registered: str) -> None:
    shown = run("show", registered).output
    for part in ("fraud@1.0.0", "deep/er/weights.bin", "draft", "Complete for candidate"):
        assert part in shown
    found = data_of(run("show", registered, "--json"))
    assert found["files"][0]["path"] == "config.json"
    assert found["completeness"]["present_percent"] == 100.0
    assert found["approvals"] == []


def test_showing_a_version_says_what_it_may_do(
    run: Run, registered: str, registry: FakeRegistry
) -> None:
    registry.lifecycle = {
        "lifecycle": "approved",
        "approvals": [
            {
                "environment": "production", "holds": True, "decision_id": "d3",
                "expires_at": "2026-07-30T10:00:00Z",
            },
            {
                "environment": "staging", "holds": False, "decision_id": "d1",
                "reasons": [{"code": "expired", "message": "it ended"}],
            },
        ],
    }  # fmt: skip
    shown = run("show", registered).output
    assert "for production until 2026-07-30 (d3)" in shown
    assert "not for staging: it ended" in shown
    assert "No candidate" not in shown
    told = data_of(run("show", registered, "--json"))
    assert told["lifecycle"] == "approved"
    assert [one["decision_id"] for one in told["approvals"]] == ["d3", "d1"]
    registry.lifecycle = {
        "reasons": [
            {"code": "metadata", "message": "license: nobody may use it"},
            {"code": "SEC-001", "message": "there is no SBOM"},
        ]
    }
    shown = run("show", registered).output
    assert "SEC-001: there is no SBOM" in shown
    assert "nobody may use it" not in shown  # said with how complete it is


def test_showing_says_how_many_consumers_there_are(
    run: Run, registry: FakeRegistry, registered: str
) -> None:
    assert "Consumers" not in run("show", registered).output
    registry.consumers = {"consumers": 3, "unacknowledged": 1, "by_version": {"1.0.0": 3}}
    for ref in (registered, "fraud"):
        shown = run("show", ref).output
        assert f"Consumers: 3, 1 to be acknowledged (`muniment consumer list {ref}`)" in shown
        assert data_of(run("show", ref, "--json"))["consumers"]["consumers"] == 3


def test_a_binding_is_to_one_version(run: Run) -> None:
    two = ("a@1.0.0", "--version", "2.0.0", "--system", "s", "--endpoint", "e", "--use-case", "u")
    done = run("consumer", "bind", *two)
    assert (done.exit_code, "expected one version" in done.output) == (1, True)


def test_showing_an_asset_lists_its_versions(run: Run, registered: str) -> None:
    assert registered in run("show", "fraud").output
    assert data_of(run("asset", "show", "fraud", "--json"))["versions"][0]["version"] == "1.0.0"
    run("asset", "create", "risk/bare")
    assert "muniment register risk/bare" in run("show", "risk/bare").output


def test_assets_are_created_listed_and_edited(run: Run, registry: FakeRegistry) -> None:
    assert "muniment asset create" in run("asset", "list").output
    made = data_of(run("asset", "create", "risk/fraud", "--risk-tier", "high", "--json"))
    assert (made["namespace"], made["owner"], made["risk_tier"]) == ("risk", "ada", "high")
    assert "risk/fraud" in run("asset", "list").output
    edited = data_of(
        run("asset", "edit", "risk/fraud", "--owner", "bob", "--tag", "a=b", "--reason", "moved",
            "--revision", "1", "--json")
    )  # fmt: skip
    assert (edited["owner"], edited["tags"], edited["revision"]) == ("bob", {"a": "b"}, 2)
    assert json.loads(registry.calls[-1].content)["reason"] == "moved"
    assert run("asset", "edit", "risk/fraud").exit_code == 2
    assert run("asset", "create", "risk/fraud").exit_code == 1


def test_searching_narrows_and_pages(run: Run, registry: FakeRegistry) -> None:
    assert "muniment register" in run("search").output
    for number in range(5):
        registry.add_version(f"a@1.{number}.0", {"f": b"%d" % number})
    assert len(data_of(run("search", "--limit", "3", "--json"))) == 3
    result = run("search", "tags.x = 'y'", "--kind", "model", "--limit", "2", "--order-by", "name")
    assert registry.calls[-1].url.params["filter"] == "kind = 'model' AND (tags.x = 'y')"
    assert registry.calls[-1].url.params["order_by"] == "name"
    assert "`--all`" in result.stderr
    assert len(data_of(run("search", "--all", "--json"))) == 5


def test_tags_are_set_and_removed(run: Run, registered: str, registry: FakeRegistry) -> None:
    run("tag", registered, "a=1", "b=2")
    found = data_of(run("tag", registered, "c=3", "--remove", "a", "--reason", "r", "--json"))
    assert found["tags"] == {"b": "2", "c": "3"}
    assert data_of(run("tag", "fraud", "x=y", "--json"))["tags"]["x"] == "y"
    assert run("tag", registered).exit_code == 2
    assert run("tag", registered, "nonsense").exit_code == 2


def test_aliases_are_set_shown_and_followed(run: Run, registered: str) -> None:
    assert "muniment alias set" in run("alias", "show", "fraud").output
    assert "fraud@champion is now 1.0.0" in run("alias", "set", registered, "champion").output
    assert "1.0.0" in run("alias", "show", "fraud").output
    assert data_of(run("show", "fraud@champion", "--json"))["version"] == "1.0.0"
    assert data_of(run("alias", "show", "fraud@champion", "--json"))["version"] == "1.0.0"
    assert run("alias", "unset", "fraud@champion").exit_code == 0
    moves = data_of(run("alias", "history", "fraud@champion", "--json"))
    assert [move["version"] for move in moves] == [None, "1.0.0"]
    assert "nothing → 1.0.0" in run("alias", "history", "fraud@champion").output
    assert run("alias", "unset", "fraud").exit_code == 1
    assert "is now 1.0.0" in run("alias", "set", "fraud", "champion", "1.0.0").output
    assert run("alias", "set", "fraud", "champion").exit_code == 1
    assert run("alias", "set", registered, "champion", "1.0.0").exit_code == 1


def test_comparing_shows_both_sides(run: Run, registered: str, registry: FakeRegistry) -> None:
    registry.add_version("fraud@2.0.0", {"f": b"other"})
    shown = run("compare", registered, "fraud@2.0.0").output
    assert "+0.05 better" in shown
    assert "do not differ" in run("compare", registered, registered).output
    assert data_of(run("compare", registered, "fraud@2", "--json"))["same"] is False
    for part in ("added", "new (3 B)", "moved", "a → b", "1 B → 2.0 KiB", "7 files unchanged"):
        assert part in shown


def test_downloading_and_verifying(run: Run, registered: str, model: Path, tmp_path: Path) -> None:
    receipt, out = tmp_path / "fraud.receipt.json", tmp_path / "out"
    result = run("download", registered, "--into", str(out), "--verify", "--receipt", str(receipt))
    assert "every byte checked" in result.output
    assert (out / "config.json").read_bytes() == (model / "config.json").read_bytes()
    online = run("verify", registered)
    assert online.exit_code == 0, online.output
    assert "Verified: fraud@1.0.0" in online.output
    offline = run("verify", str(receipt), "--offline", "--dir", str(out))
    assert offline.exit_code == 0, offline.output
    for step in ("1. Receipt", "2. Log entry", "3. Manifest", "4. Files"):
        assert step in offline.output
    (out / "config.json").write_bytes(b"{}")
    failed = run("verify", str(receipt), "--offline", "--dir", str(out))
    assert failed.exit_code == 1
    assert "Not verified: step 4, `config.json`" in failed.output
    found = json.loads(run("verify", str(receipt), "--dir", str(out), "--json").stdout)
    assert found["ok"] is False


def test_verifying_with_given_keys(run: Run, registered: str, tmp_path: Path) -> None:
    receipt, keys = tmp_path / "r.json", tmp_path / "keys.json"
    assert run("log", "receipt", registered, "-o", str(receipt)).exit_code == 0
    assert run("verify", str(receipt), "--offline").exit_code == 1
    keys.write_text(run("log", "keys", "--json").stdout)
    assert run("verify", str(receipt), "--offline", "--keys", str(keys)).exit_code == 0
    assert run("log", "keys", "--out", str(keys)).exit_code == 0
    assert run("verify", str(receipt), "--offline", "--keys", str(keys)).exit_code == 0
    keys.write_text(FakeLog(seed=3).key.vkey)
    assert run("verify", str(receipt), "--offline", "--keys", str(keys)).exit_code == 1


def test_history_is_shown(run: Run, registered: str) -> None:
    assert "version.register" in run("history", registered).output
    acts = [change["act"] for change in data_of(run("history", "fraud", "--json"))]
    assert acts == ["version.register", "asset.create"]


def test_the_log_is_read_and_proved(run: Run, registered: str, registry: FakeRegistry) -> None:
    assert "Signature checked" in run("log", "checkpoint").output
    assert data_of(run("log", "checkpoint", "--json"))["size"] == 2
    entry = registry.log.entries[0]["id"]
    assert "Checked: they lead to the root" in run("log", "proof", entry).output
    assert "extends root" in run("log", "consistency", "1", "2").output
    assert run("log", "consistency", "2", "9").exit_code == 1
    assert [each["index"] for each in data_of(run("log", "tail", "--json"))] == [0, 1]
    assert "version.register" in run("log", "tail", "-n", "1").output
    assert data_of(run("log", "receipt", entry))["index"] == 0
    assert run("log", "receipt", "unknown").exit_code == 1


def test_a_log_is_monitored(run: Run, registered: str, registry: FakeRegistry) -> None:
    assert data_of(run("log", "monitor", URL, "--once", "--json"))["new_entries"] == 2
    assert "0 of them new" in run("log", "monitor", "--once").output
    registry.log.leaves[0] += b" "
    forked = run("log", "monitor", "--once")
    assert forked.exit_code == 1
    assert "forked" in forked.stderr
    assert run("log", "monitor", "--once", "--key", FakeLog(seed=2).key.vkey).exit_code == 1


def test_keys_are_saved_once(run: Run, registry: FakeRegistry) -> None:
    assert "Trusted from now on" in run("log", "keys", "--save").stderr
    assert "unchanged" in run("log", "keys", "--save").stderr
    registry.log.key = FakeLog(seed=2).key
    assert run("log", "keys", "--save").exit_code == 1


def test_login_keeps_token_and_key(run: Run, homes: Path) -> None:
    result = run("login", URL, "--token-stdin", stdin=f"{TOKEN}\n")
    assert result.exit_code == 0, result.output
    assert TOKEN not in result.output
    saved = json.loads((homes / "config" / "credentials.json").read_text())
    assert saved["servers"][URL]["token"] == TOKEN
    assert URL in (homes / "config" / "trusted-keys.json").read_text()
    assert "admin" in run("whoami").output
    assert data_of(run("whoami", "--json"))["url"] == URL
    assert run("login", URL, "--token-stdin", stdin="wrong\n").exit_code == 1
    assert run("login", URL, "--token-stdin", stdin="\n").exit_code == 1
    assert run("login", "--token-stdin", stdin="x\n").exit_code == 1


def test_tokens_are_made_shown_once_and_ended(run: Run, registry: FakeRegistry) -> None:
    made = run("token", "create", "ci", "--expires", "30d", "--role", "contributor:risk")
    assert made.stdout.strip() == "mun_new_secret"
    limits = json.loads(registry.calls[-1].content)["limits"]
    assert limits == [{"role": "contributor", "namespace": "risk", "asset": None}]
    assert data_of(run("token", "list", "--json"))[0]["label"] == "ci"
    assert run("token", "revoke", "t1").exit_code == 0
    assert run("token", "create", "ci", "--expires", "soon").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(run: Run, shell: str) -> None:
    assert "_MUNIMENT_COMPLETE" in run("completion", shell).output


def test_the_shell_is_offered_commands_and_options() -> None:
    words = {
        "muniment al": "alias",
        "muniment alias s": "set",
        "muniment register --re": "--require",
    }
    for line, expected in words.items():
        env = {
            **os.environ,
            "_MUNIMENT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        command = [sys.executable, "-m", "muniment"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert expected in done.stdout.split(), done


def test_terminal_control_is_made_visible() -> None:
    assert safe("a\x1b[31mb\x07") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
