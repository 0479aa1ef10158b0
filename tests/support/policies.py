"""Bundles of rules for tests, and an Open Policy Agent's Data API over the embedded engine."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from muniment.server import ledger, policy
from muniment.server.catalog.records import Version
from muniment.server.identity import By
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.policy.records import Bundle, Judged
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.policy_engine import EngineFailed

#: The same where a server process reads it (`MUNIMENT_FIRST_POLICY`).
BARE = Path(__file__).parent / "bare_policy"
META = """# METADATA
# title: A rule
# custom:
#   id: {id}
#   class: {rule_class}
#   source: nowhere
#   steps: [candidate, approve, promote]
#   passed: it holds
#   not_applicable: it is not asked
#   violations:
#     bad: {{message: "found {{0}}", remedy: "mend {{0}}"}}
package muniment.rules.{package}

"""
BODY = """default applies := true

violations contains {"case": "bad", "args": [input.subject.ref]} if input.subject.quarantined
"""
DOCUMENT: dict[str, Any] = {
    "schema": "muniment.policy-input.v1",
    "step": "promote",
    "at": 1784000000,
    "subject": {
        "ref": "a@1.0.0", "kind": "model", "lifecycle": "candidate", "artifact_sha256": "1" * 64,
        "quarantined": True,
    },
    "asset": {"name": "a"},
}  # fmt: skip


FIXTURES = b"""rule: SEC-001
base: %s
fixtures:
  - {name: good, with: {subject: {quarantined: false}}, outcome: passed}
  - {name: bad, outcome: failed}
""" % json.dumps(DOCUMENT).encode()


def small_files(**more: bytes) -> dict[str, bytes]:
    """Return the files of a small bundle that a registry takes: one rule, what passes, what fails."""
    files = {"rules/1.rego": rule(rule_class="critical_safety"), "fixtures/1.yaml": FIXTURES}
    return {**files, **more}


@functools.cache
def shared_engines() -> EnginePool:
    """Return engines that all tests of a process share: starting one costs half a second."""
    pool = EnginePool(EmbeddedRego)
    atexit.register(pool.close)
    return pool


@functools.cache
def starter() -> Bundle:
    return policy.read_bundle(policy.read_files(policy.STARTER))


@functools.cache
def bare() -> Bundle:
    """Return a bundle that asks for little: for tests that promote and are about something else."""
    return policy.read_bundle(policy.read_files(BARE))


def rule(body: str = BODY, rule_id: str = "SEC-001", rule_class: str = "waivable") -> bytes:
    package = rule_id.lower().replace("-", "_")
    return (META.format(id=rule_id, rule_class=rule_class, package=package) + body).encode()


def bundle(*bodies: str, rule_class: str = "waivable", data: bytes = b"{}") -> Bundle:
    """Return a bundle of rules SEC-001, SEC-002 …, one a body."""
    files = {
        f"rules/{number}.rego": rule(body, f"SEC-{number:03}", rule_class)
        for number, body in enumerate(bodies or (BODY,), 1)
    }
    return policy.read_bundle({**files, "data.json": data})


@contextmanager
def agent(
    served: Bundle, answer: Callable[[str, bytes], tuple[int, bytes]] | None = None
) -> Iterator[str]:
    """Run an agent that serves `served`, or answers as it is told; yield its URL.

    It stands in for OPA's REST API alone; the Rego in it is evaluated by the embedded engine.
    """
    engine = EmbeddedRego()
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.split("?")[0].removeprefix("/v1/data/")
            with turn:
                status, said = (
                    answer(path, body) if answer else data_api(engine, served, path, body)
                )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who asked may have given up
                self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        engine.close()


def data_api(engine: EmbeddedRego, served: Bundle, path: str, body: bytes) -> tuple[int, bytes]:
    """Answer as `POST /v1/data/PATH?provenance=true` does."""
    document = json.dumps(json.loads(body)["input"]).encode()
    try:
        value = engine.ask(served.program, path, document)
    except EngineFailed as error:
        return 500, json.dumps({"code": "internal_error", "message": error.message}).encode()
    said: dict[str, Any] = {
        "provenance": {"version": "1.18.1", "bundles": {"muniment": {"revision": served.digest}}}
    }
    return 200, json.dumps({**said, **({} if value is None else {"result": value})}).encode()


async def begin(db: Database, clock: Clock, first: Bundle | None = None) -> Bundle:
    """Have a database begin with a bundle, as a new registry does; else with the starter bundle."""
    made = first or starter()
    by = By(Actor("system", "bootstrap"), clock.now(), clock.new_id)
    async with db.transaction() as tx:
        assert await policy.bring_first(tx, made, by)
    return made


async def act(
    tx: Tx,
    made: Bundle,
    document: dict[str, Any],
    version: Version,
    by: By,
    *,
    carried_out: bool = True,
    environment: str | None = "production",
    under: str | None = None,
) -> Judged:
    """Ask about an act on a version, and record both as slices above policy do.

    `under` is another digest than that of the bundle that was asked: a lie.
    """
    evaluation = await policy.judge(shared_engines(), made, document)
    if under is not None:
        verdict = dataclasses.replace(evaluation.verdict, policy_digest=under)
        evaluation = dataclasses.replace(evaluation, verdict=verdict)
    judged = policy.judged(by.new_id(), evaluation, document)
    about: dict[str, Any] = {
        "asset_id": version.asset_id,
        "version_id": version.id,
        "environment": environment,
        "carried_out": carried_out,
    }
    entry = Entry(
        id=by.new_id(),
        at=by.at,
        act="version.promote",
        actor=by.actor,
        subject=Subject("version", str(version.id), version.name, version.asset_id),
        payload={"judged": policy.judged_payload(judged, **about)},
    )
    await policy.keep(tx, judged, entry_id=entry.id, at=entry.at, **about)
    await ledger.append(tx, entry)
    return judged
