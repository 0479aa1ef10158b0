"""One contract for both engines. A real `opa` takes the stub's place where one is installed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from muniment.server import policy
from muniment.server.policy.records import Bundle
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.opa import Opa
from muniment.server.ports.policy_engine import EngineFailed, EngineFault, PolicyEngine, Program
from tests.support.policies import BODY, DOCUMENT, agent, bundle, starter

CONFLICT = (
    'default applies := true\nx := 1 if true\nx := 2 if true\nviolations contains {"args": [x]}\n'
)
ENDLESS = """default applies := true
big := numbers_of[_]
n contains x if some x in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
violations contains {"args": [a]} if {
	some a in n
	some b in n
	some c in n
	some d in n
	some e in n
	some f in n
	some g in n
	(((((a + b) + c) + d) + e) + f) + g < 0
}
""".replace("big := numbers_of[_]\n", "")
Opened = Callable[[Bundle], AbstractContextManager[PolicyEngine]]


@contextmanager
def embedded(_: Bundle) -> Iterator[PolicyEngine]:
    with contextlib.closing(EmbeddedRego()) as engine:
        yield engine


@contextmanager
def stub(served: Bundle) -> Iterator[PolicyEngine]:
    with agent(served) as url, contextlib.closing(Opa(url)) as engine:
        yield engine


@contextmanager
def real(served: Bundle) -> Iterator[PolicyEngine]:
    binary = shutil.which("opa")
    if binary is None:
        pytest.skip("no `opa` is installed: its REST API is stood in for by `stub`")
    file = Path(os.environ["PYTEST_POLICY_DIR"]) / f"{served.digest}.tar.gz"
    file.write_bytes(policy.pack(served))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    running = subprocess.Popen(
        [binary, "run", "--server", "--addr", address, "--bundle", str(file)]
    )
    try:
        with contextlib.closing(Opa(f"http://{address}")) as engine:
            for _ in range(100):
                with contextlib.suppress(EngineFailed):
                    engine.ask(served.program, "muniment/rules", b"{}")
                    break
                time.sleep(0.1)
            yield engine
    finally:
        running.kill()
        running.wait()


@pytest.fixture(params=[embedded, stub, real], ids=["regopy", "opa-stub", "opa"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Opened:
    monkeypatch.setenv("PYTEST_POLICY_DIR", str(tmp_path))
    made: Opened = request.param
    return made


def test_the_starter_bundle_says_the_same(opened: Opened) -> None:
    with opened(starter()) as engine:
        picked = starter().fixtures[::12]
        said = [policy.evaluate(engine, starter(), one.document) for one in picked]
        assert engine.version
        assert {one.engine for one in said} == {engine.name}
    with embedded(starter()) as other:
        for one, fixture in zip(said, picked, strict=True):
            again = policy.evaluate(other, starter(), fixture.document)
            assert policy.verdict_bytes(one.verdict) == policy.verdict_bytes(again.verdict)


def test_a_broken_rule_is_named_and_the_others_are_asked(opened: Opened) -> None:
    made = bundle(BODY, CONFLICT, "applies if input.nothing\n")
    with opened(made) as engine:
        found = policy.evaluate(engine, made, DOCUMENT).verdict.results
    assert [one.fault for one in found] == [None, "engine_error", "rule_undefined"]
    assert found[0].message == "found a@1.0.0"


def test_rules_are_asked_at_their_steps_alone(opened: Opened) -> None:
    broken = bundle(CONFLICT, BODY)
    with opened(broken) as engine:
        at_promote = policy.evaluate(engine, broken, DOCUMENT).verdict
        daily = policy.evaluate(engine, broken, {**DOCUMENT, "step": "daily"}).verdict
    assert [one.fault for one in at_promote.results] == ["engine_error", None]
    assert [one.outcome for one in daily.results] == ["not_applicable"] * 2
    assert daily.decision == "allow"


def test_what_a_rule_only_reads_itself_is_not_asked_for(opened: Opened) -> None:
    made = bundle(BODY + "\nunused := 1 / (input.at - input.at)\n")
    with opened(made) as engine:
        assert policy.evaluate(engine, made, DOCUMENT).verdict.results[0].fault is None


def test_a_built_in_that_fails_is_an_error(opened: Opened) -> None:
    made = bundle(
        'default applies := true\nviolations contains {"args": [x]} if x := 1 / (input.at - input.at)\n'
    )
    with opened(made) as engine:
        assert policy.evaluate(engine, made, DOCUMENT).verdict.results[0].fault == "engine_error"


def test_what_is_too_slow_is_killed_and_asked_again_afterwards() -> None:
    slow, good = bundle(ENDLESS), bundle()
    with contextlib.closing(EmbeddedRego(seconds=0.3)) as engine:
        found = policy.evaluate(engine, slow, DOCUMENT).verdict.results[0]
        assert (found.fault, found.outcome) == ("engine_timeout", "failed")
        assert policy.evaluate(engine, good, DOCUMENT).verdict.results[0].fault is None


def test_what_takes_too_much_memory_is_killed() -> None:
    with contextlib.closing(EmbeddedRego(memory_bytes=1)) as engine:
        found = policy.evaluate(engine, bundle(ENDLESS), DOCUMENT).verdict.results[0]
    assert found.fault == "engine_error"


def test_what_is_no_rego_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(EmbeddedRego()) as engine:
        assert "rules/1.rego" in policy.unreadable(engine, bundle("foo {{{"))
        assert policy.unreadable(engine, bundle()) == ""
    assert capfd.readouterr().out == ""


def answering(status: int, said: object) -> Callable[[str, bytes], tuple[int, bytes]]:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return lambda _path, _body: (status, body)


OTHER = {"provenance": {"version": "1", "bundles": {"b": {"revision": "other"}}}, "result": {}}


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (200, OTHER, EngineFault.OTHER_BUNDLE),
        (200, {"result": {}}, EngineFault.OTHER_BUNDLE),
        (200, {"provenance": {"bundles": []}, "result": {}}, EngineFault.OTHER_BUNDLE),
        (200, b"<html>", EngineFault.BAD_ANSWER),
        (200, [], EngineFault.BAD_ANSWER),
        (200, b" " * (9 * 1024 * 1024), EngineFault.BAD_ANSWER),
        (401, {"code": "unauthorized", "message": "no"}, EngineFault.ERROR),
        (307, {}, EngineFault.ERROR),
    ],
)
def test_an_agent_is_not_believed(status: int, said: object, fault: EngineFault) -> None:
    made = bundle()
    with agent(made, answering(status, said)) as url, contextlib.closing(Opa(url)) as engine:
        with pytest.raises(EngineFailed) as caught:
            engine.ask(made.program, "muniment/rules", b"{}")
        assert caught.value.fault is fault
        assert policy.evaluate(engine, made, DOCUMENT).verdict.results[0].fault == str(fault)


def test_an_agent_that_is_slow_or_gone_has_a_code_of_its_own() -> None:
    made = bundle()

    def slowly(_path: str, _body: bytes) -> tuple[int, bytes]:
        time.sleep(0.4)
        return 200, b"{}"

    with agent(made, slowly) as url, contextlib.closing(Opa(url, seconds=0.1)) as engine:
        late = policy.evaluate(engine, made, DOCUMENT).verdict.results[0]
    with contextlib.closing(Opa(url, token="t")) as engine:
        gone = policy.evaluate(engine, made, DOCUMENT).verdict.results[0]
    assert (late.fault, gone.fault) == ("engine_timeout", "engine_unavailable")


def test_an_answer_of_another_form_is_none() -> None:
    class Odd:
        name, version = "odd", "0"

        def ask(self, _program: Program, _path: str, _document: bytes) -> object:
            return 3

        def close(self) -> None:
            return

    found = policy.evaluate(Odd(), bundle(), DOCUMENT)
    assert found.verdict.results[0].fault == "rule_undefined"
