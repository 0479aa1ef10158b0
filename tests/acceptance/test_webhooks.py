"""Webhooks from the command line, against a server that is killed while it tells somebody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from muniment import Client
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
from tests.support.receiver import OutsideReceiver
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


def command(server: ServerProcess, *arguments: str) -> Result:
    """Run `muniment ARGUMENTS` in this process against the server."""
    session = Session(connect=lambda _url, _token: Client(server.url, TOKEN))
    return CliRunner().invoke(build(), list(arguments), obj=session)


def webhook(server: ServerProcess, *arguments: str) -> str:
    """Run `muniment webhook ARGUMENTS`, which must do; return what it printed."""
    done = command(server, "webhook", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def states(server: ServerProcess) -> list[list[str]]:
    sent = json.loads(webhook(server, "deliveries", "deploys", "--json"))
    return [[one["event"], one["state"]] for one in sent]


async def test_somebody_is_told_although_the_server_is_killed(tmp_path: Path, db_url: str) -> None:
    environ = {"MUNIMENT_DATABASE_URL": db_url, "MUNIMENT_OUTBOUND_PRIVATE": "127.0.0.1"}
    server = ServerProcess(tmp_path, environ=environ)
    with OutsideReceiver() as receiver, server:
        events = ("--event", "asset.create", "--event", "alias.set")
        made = json.loads(webhook(server, "create", "deploys", receiver.url, *events, "--json"))
        assert webhook(server, "test", "deploys").startswith("answered 200, in")
        receiver.status = 404
        tried = command(server, "webhook", "test", "deploys")
        assert (tried.exit_code, "not delivered" in tried.stdout) == (1, True)
        receiver.status = 200
        receiver.asked.clear()
        receiver.gate.clear()
        command(server, "asset", "create", "m", "--kind", "model", "--owner", "ada")
        receiver.wait_for(1)  # it arrived, and was not answered yet
        server.kill()
        receiver.gate.set()
        connection = await asyncpg.connect(db_url)  # its heartbeat is old, as it will be in 20 s
        await connection.execute("UPDATE pgqueuer SET heartbeat = now() - interval '1 minute'")
        await connection.close()
        server.start()
        receiver.wait_for(2)
        first, second = receiver.asked
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        content = f"{second.headers['webhook-id']}.{second.headers['webhook-timestamp']}.".encode()
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        signed = base64.b64encode(hmac.digest(key, content + second.body, hashlib.sha256)).decode()
        assert second.headers["webhook-signature"] == f"v1,{signed}"
        deadline = time.monotonic() + 30
        while ["asset.create", "delivered"] not in states(server):
            assert time.monotonic() < deadline
        changed = webhook(server, "update", "deploys", "--disable", "--new-secret", "--json")
        assert json.loads(changed)["secret"] != made["secret"]
        assert "disabled" in webhook(server, "show", "deploys")
        sent = first.headers["webhook-id"]
        assert command(server, "webhook", "redeliver", "deploys", sent).exit_code != 0
        assert "active" in webhook(server, "update", made["id"], "--enable")
        webhook(server, "redeliver", "deploys", sent)
        receiver.wait_for(3)
        assert "200" in webhook(server, "deliveries", "deploys", sent)
        secret = ("--secret", "whsec_" + base64.b64encode(b"k" * 24).decode())
        twin = json.loads(webhook(server, "create", "deploys", receiver.url, *secret, "--json"))
        assert twin["secret"] is None
        assert "give the id" in command(server, "webhook", "show", "deploys").output
        assert "webhook list" in command(server, "webhook", "show", "absent").output
        for one in (made, twin):
            webhook(server, "delete", one["id"])
        assert "There is no webhook" in webhook(server, "list")
        server.stop()
