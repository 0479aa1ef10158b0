"""What webhooks are told of, how deliveries are signed, and what follows from how sending went."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody, IntegrityError
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.federation.records import (
    DeliveryState,
    Envelope,
    Outcome,
    Told,
    ToldVersion,
    WebhookState,
    WebhookStatus,
    WebhookWish,
)
from muniment.server.federation.rules import sealing, sending, webhooks
from muniment.server.federation.rules.events import KNOWN, NATIVE_DIALECT, version_ids
from muniment.server.ledger.records import Actor, Recorded, Subject

NOW = dt.datetime(2026, 4, 20, 9, tzinfo=dt.UTC)
ADA = Actor("person", "ada")
WISH = WebhookWish(name="deploys", url="https://example.com/hook", events=["version.promote"])


def entry(act: str, payload: dict[str, Any] | None, subject: Subject | None = None) -> Recorded:
    about = subject or Subject("version", "v1", "m@1.0.0", uuid.UUID(int=5))
    return Recorded(uuid.UUID(int=1), NOW, act, ADA, about, payload, None, (digest_of(b"x"),))


def told(act: str, payload: dict[str, Any] | None = None) -> Told:
    asset = AssetRef(Namespace("default"), AssetName("m"))
    return Told(entry(act, payload), asset, "model", {"v1": ToldVersion(1, "1.0.0")})


def test_an_act_is_told_under_its_own_name() -> None:
    (event,) = NATIVE_DIALECT.events_of(told("version.retire", {"reason": "old"}))
    assert event.name == "version.retire"
    assert event.data == {
        "entry_id": str(uuid.UUID(int=1)),
        "act": "version.retire",
        "actor": {"kind": "person", "id": "ada"},
        "subject": {"kind": "version", "id": "v1", "name": "m@1.0.0"},
        "digests": [str(digest_of(b"x"))],
        "asset": {
            "id": str(uuid.UUID(int=5)),
            "namespace": "default",
            "name": "m",
            "kind": "model",
        },
        "versions": {"v1": {"number": 1, "version": "1.0.0"}},
        "payload": {"reason": "old"},
    }


def test_aliases_that_another_act_moved_are_told_as_well() -> None:
    moves: list[dict[str, Any]] = [
        {"alias": "champion", "version_id": "v1"},
        {"alias": "old", "version_id": None},
    ]
    events = NATIVE_DIALECT.events_of(told("version.promote", {"alias_moves": moves}))
    assert [event.name for event in events] == ["version.promote", "alias.set", "alias.set"]
    assert [event.data["payload"] for event in events[1:]] == moves
    (only,) = NATIVE_DIALECT.events_of(told("alias.set", moves[0]))
    assert only.name == "alias.set"


@pytest.mark.parametrize("act", ["token.create", "role.grant", "webhook.create", "entry.erase"])
def test_what_concerns_access_is_told_to_nobody(act: str) -> None:
    assert NATIVE_DIALECT.events_of(told(act, {})) == []


def test_what_was_erased_or_is_too_large_is_told_without_its_payload() -> None:
    (erased,) = NATIVE_DIALECT.events_of(told("version.retire", None))
    assert erased.data["payload"] is None
    assert "left_out" not in erased.data
    (large,) = NATIVE_DIALECT.events_of(told("version.register", {"x": "y" * 70_000}))
    assert (large.data["payload"], large.data["left_out"]) == (None, True)
    deep: Any = {}
    for _ in range(2000):
        deep = {"a": deep}
    (nested,) = NATIVE_DIALECT.events_of(told("version.register", deep))
    assert nested.data["left_out"] is True


def test_an_entry_without_an_asset_is_told_of_its_subject_alone() -> None:
    bare = Told(entry("scrub.finish", {}, Subject("scrub", "s", "every stored blob")))
    (event,) = NATIVE_DIALECT.events_of(bare)
    assert {"asset", "versions"}.isdisjoint(event.data)


@pytest.mark.parametrize(
    ("asked", "name", "wanted"),
    [
        (("version.promote",), "version.promote", True),
        (("version.promote",), "version.retire", False),
        (("version.*",), "version.retire", True),
        (("version.*",), "alias.set", False),
        (("*",), "anything.new", True),
    ],
)
def test_events_are_matched_by_name_noun_or_all(
    asked: tuple[str, ...], name: str, wanted: bool
) -> None:
    assert NATIVE_DIALECT.wants(asked, name) is wanted


@given(st.sets(st.sampled_from([*KNOWN, "version.*", "alias.*", "asset.*", "*"]), min_size=1))
def test_the_acts_looked_for_cover_every_event_asked_for(asked: set[str]) -> None:
    events = tuple(sorted(asked))
    acts = set(NATIVE_DIALECT.acts(events))
    moving = {"alias_moves": [{"alias": "a", "version_id": "v1"}]}
    for act in KNOWN:
        found = NATIVE_DIALECT.events_of(told(act, moving if act != "alias.set" else {}))
        wanted = any(NATIVE_DIALECT.wants(events, event.name) for event in found)
        covered = not {"*", act, act.partition(".")[0] + ".*"}.isdisjoint(acts)
        assert covered or not wanted or act.partition(".")[0] not in {"asset", "version", "alias"}


def test_the_versions_an_entry_names_are_found() -> None:
    moves = [{"version_id": "b", "previous_version_id": "c"}, {"version_id": None}]
    assert version_ids({"alias_moves": moves}, ("version", "a")) == ["a", "b", "c"]
    assert version_ids({"version_id": "z"}, ("alias", "x/y")) == ["z"]
    assert version_ids(None, ("alias", "x/y")) == []


def test_a_message_is_signed_as_standard_webhooks_says() -> None:
    secret = sealing.secret_of(b"k" * 32)
    event = NATIVE_DIALECT.example(())
    envelope = Envelope(uuid.UUID(int=9), NOW, NOW + dt.timedelta(minutes=1), [secret, secret])
    message = NATIVE_DIALECT.message(event, envelope)
    assert json.loads(message.body) == {
        "type": "webhook.test",
        "timestamp": "2026-04-20T09:00:00.000000Z",
        "data": dict(event.data),
    }
    assert message.headers["webhook-id"] == str(uuid.UUID(int=9))
    assert message.headers["webhook-timestamp"] == str(int(NOW.timestamp()) + 60)
    first, second = message.headers["webhook-signature"].split(" ")
    assert first == second
    assert first == sealing.signature(
        b"k" * 32, str(uuid.UUID(int=9)), int(NOW.timestamp()) + 60, message.body
    )
    unsigned = NATIVE_DIALECT.message(event, Envelope(uuid.UUID(int=9), NOW, NOW))
    assert "webhook-signature" not in unsigned.headers


def test_the_published_vector_of_the_signature() -> None:
    key = sealing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = sealing.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_reads_back(key: bytes) -> None:
    assert sealing.key_of(sealing.secret_of(key)) == key


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "whsec_" + "QUFB" * 4, "s3cret"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(BadBody, match="whsec_"):
        sealing.key_of(secret)


@given(st.text(max_size=50), st.integers(0, 200))
def test_a_sealed_secret_opens_for_its_owner_and_key_alone(text: str, flip: int) -> None:
    key, owner = b"k" * 32, (uuid.UUID(int=1), uuid.UUID(int=2))
    sealed = sealing.seal(key, text.encode("utf-8", "replace").decode(), owner, b"n" * 12)
    assert sealing.unseal(key, sealed, owner) == text.encode("utf-8", "replace").decode()
    broken = bytearray(sealed)
    broken[flip % len(sealed)] ^= 1
    for wrong in (
        (b"j" * 32, sealed, owner),
        (key, sealed, (uuid.UUID(int=2), uuid.UUID(int=1))),
        (key, bytes(broken), owner),
        (key, b"", owner),
    ):
        with pytest.raises(IntegrityError):
            sealing.unseal(*wrong)


@pytest.mark.parametrize(
    ("outcome", "tries", "state", "after_s"),
    [
        (Outcome(200, 1), 1, "delivered", None),
        (Outcome(299, 1), 10, "delivered", None),
        (Outcome(503, 1), 1, "due", 5),
        (Outcome(503, 1), 2, "due", 20),
        (Outcome(429, 1, wait=dt.timedelta(seconds=90)), 1, "due", 90),
        (Outcome(429, 1, wait=dt.timedelta(seconds=1)), 3, "due", 80),
        (Outcome(503, 1, wait=dt.timedelta(days=9)), 1, "due", 6 * 3600),
        (Outcome(408, 1), 9, "due", 6 * 3600),
        (Outcome(None, 1, "no answer"), 1, "due", 5),
        (Outcome(503, 1), 10, "failed", None),
        (Outcome(None, 1, "private", refused=True), 1, "failed", None),
        (Outcome(302, 1), 1, "failed", None),
        (Outcome(404, 1), 1, "failed", None),
        (Outcome(199, 1), 1, "failed", None),
    ],
)
def test_what_follows_from_how_sending_went(
    outcome: Outcome, tries: int, state: str, after_s: int | None
) -> None:
    judged = sending.judge(outcome, tries)
    assert judged.state is DeliveryState(state)
    assert judged.after == (None if after_s is None else dt.timedelta(seconds=after_s))
    assert bool(judged.error) is (state != "delivered")


def test_waits_grow_over_hours() -> None:
    waits = [sending.wait_after(tries) for tries in range(1, sending.TRIES_MAX)]
    assert waits == sorted(waits)
    assert dt.timedelta(hours=12) < sum(waits, dt.timedelta(0)) < dt.timedelta(hours=48)
    assert sending.wait_after(10_000) == dt.timedelta(hours=6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("7", 7), (" 7 ", 7), ("soon", None), ("-1", None), ("9" * 12, None)],
)
def test_retry_after_is_read_in_seconds(text: str | None, seconds: int | None) -> None:
    wanted = None if seconds is None else dt.timedelta(seconds=seconds)
    assert sending.asked_wait(text) == wanted


def test_what_others_sent_is_made_printable() -> None:
    assert sending.printable("a\x1b[31m\0é\n") == "a [31m é "


def test_a_wish_makes_a_webhook_and_a_second_changes_it() -> None:
    made = webhooks.wished(None, WISH, NATIVE_DIALECT)
    assert made == WebhookState(
        "deploys", "https://example.com/hook", ("version.promote",), ("version.promote",)
    )
    changed = webhooks.wished(
        made,
        WebhookWish(
            events=["alias.set", "alias.set"], namespace="risk", status=WebhookStatus.DISABLED
        ),
        NATIVE_DIALECT,
    )
    assert changed.events == ("alias.set",)
    assert changed.acts == ("alias.set", "asset.*", "version.*")
    assert changed.namespace == "risk"
    back = webhooks.wished(changed, WebhookWish(namespace=""), NATIVE_DIALECT)
    assert back.namespace is None
    assert webhooks.state_from(webhooks.state_json(changed)) == changed


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (WebhookWish(name="-a"), "name"),
        (WebhookWish(name="a" * 64), "name"),
        (WebhookWish(name="ä"), "name"),
        (WebhookWish(url="x" * 2001), "url"),
        (WebhookWish(url="https://a/\n"), "url"),
        (WebhookWish(events=[]), "events"),
        (WebhookWish(events=["version.promoted"]), "events"),
        (WebhookWish(events=["zzz"]), "events"),
        (WebhookWish(description="x" * 1001), "description"),
        (WebhookWish(description="a\0b"), "description"),
        (WebhookWish(description="\ud800"), "description"),
        (WebhookWish(namespace="Not One"), "namespace"),
    ],
)
def test_what_a_webhook_may_not_be_is_named(wish: WebhookWish, field: str) -> None:
    made = webhooks.wished(None, WISH, NATIVE_DIALECT)
    with pytest.raises(BadBody) as refused:
        webhooks.wished(made, wish, NATIVE_DIALECT)
    assert [one["field"] for one in refused.value.problems] == [field]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(BadBody, match="and 2 more") as refused:
        webhooks.wished(None, WebhookWish(name="-", url="", events=[]), NATIVE_DIALECT)
    assert len(refused.value.problems) == 3


def test_a_misspelt_event_is_guessed() -> None:
    with pytest.raises(BadBody) as refused:
        webhooks.wished(
            None, WebhookWish(name="a", url="u", events=["version.promoted"]), NATIVE_DIALECT
        )
    assert "did you mean version.promote?" in refused.value.problems[0]["fix"]


def test_erased_and_other_entries_leave_the_table_as_it_is() -> None:
    rows: dict[str, Any] = {}
    subject = Subject("webhook", "w", "deploys")
    webhooks.fold_webhook(rows, entry("webhook.create", None, subject))
    webhooks.fold_webhook(rows, entry("version.retire", {}, subject))
    assert rows == {}
    payload = {"dialect": "muniment", "state": {"name": "a"}, "secret_id": None, "revision": 1}
    webhooks.fold_webhook(rows, entry("webhook.create", payload, subject))
    again = {**payload, "state": {"name": "b"}, "revision": 2}
    webhooks.fold_webhook(rows, entry("webhook.update", again, subject))
    assert (rows["w"]["name"], rows["w"]["revision"], rows["w"]["actor_id"]) == ("b", 2, "ada")
    webhooks.fold_webhook(rows, entry("webhook.delete", None, subject))
    assert rows == {}
