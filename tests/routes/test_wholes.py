"""Composites are approved, promoted, refused, gone back to and taken out whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from muniment.server.http.records import Grant, Role, Scope, Verb
from muniment.server.identity.rules.access import VERBS
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import ASK
from tests.support.artifacts import fine
from tests.support.wholes import PRODUCTION, REASON, Fleet, approving, components, names, open_fleet

DEFAULT = "/api/v1/assets/default"
BOTH = ("fraud", "fraud-prompt")


@pytest.fixture
async def fleet(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Fleet]:
    async with open_fleet(db, blobs, keys, clock) as opened:
        yield opened


async def both(fleet: Fleet) -> tuple[str, str]:
    """Two composites of one model with different prompts."""
    await fleet.version("fraud")
    for version in ("1.0.0", "2.0.0"):
        await fleet.version("fraud-prompt", version)
    return (
        await fleet.composite("fraud@1.0.0", "fraud-prompt@1.0.0"),
        await fleet.composite("fraud@1.0.0", "fraud-prompt@2.0.0"),
    )


async def test_a_composite_goes_to_production_and_production_goes_back_whole(  # noqa: PLR0915 -- one story
    fleet: Fleet,
) -> None:
    one, other = await both(fleet)
    refused = await fleet.promote(one)
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_pending")
    assert refused.json()["composite"] == one
    assert f"{one} is not promoted to production" in refused.json()["detail"]
    done = await fleet.approve(one)
    decision = done["decision"]["id"]
    assert await fleet.failing(one) == []
    # A version of it alone is not approved by that.
    alone = f"{DEFAULT}/fraud/versions/1.0.0/promote"
    assert (await fleet.pipeline.post(alone, json=PRODUCTION)).json()["code"] == "approval_pending"
    # A person may not, whoever it is; dry runs change nothing.
    person = await fleet.promote(one, fleet.room.admin)
    assert (person.status_code, person.json()["code"]) == (403, "refused")
    assert "PROM-001" in names(person.json()["problems"])
    assert f"muniment promote {one} --env production" in person.text
    dry = fine(await fleet.promote(one, dry_run=True))
    assert (dry["dry_run"], dry["entry_id"], [m["ref"] for m in dry["members"]]) == (
        True,
        None,
        ["fraud@1.0.0", "fraud-prompt@1.0.0"],
    )
    assert await fleet.champions(*BOTH) == [None, None]
    wrong = await fleet.promote(one, decision="01890000-0000-7000-8000-000000000000")
    assert (wrong.status_code, names(wrong.json()["problems"])) == (422, ["decision"])
    first = fine(await fleet.promote(one, decision=decision, reason="release 7"))
    assert await fleet.champions(*BOTH) == ["1.0.0", "1.0.0"]
    assert await fleet.live(*BOTH) == {name: [("1.0.0", one)] for name in BOTH}
    entries = [member["entry_id"] for member in first["members"]]
    assert len(set(entries)) == 2
    assert first["entry_id"] == entries[0]
    shown = [
        fine(await fleet.room.admin.get(f"/api/v1/log/entries/{entry}"))["payload"]
        for entry in entries
    ]
    assert [each["composite"] for each in shown] == [one, one]
    said = [each["promotion"] for each in shown]
    assert {each["composite"] for each in said} == {one}
    assert {each["decision"]["id"] for each in said} == {decision}
    assert len({each["verdict_sha256"] for each in said}) == 1
    assert ["judged" in each for each in shown] == [True, False]
    again = fine(await fleet.promote(one))
    assert (again["entry_id"], again["members"][1]["deployment"]["entry_id"]) == (None, entries[1])
    # Another prompt is another composite: what was approved is not this.
    assert (await fleet.promote(other)).json()["code"] == "approval_pending"
    assert await fleet.failing(other) == ["APPR-001", "APPR-002"]
    # Nor does the prompt go there alone, by whatever way.
    await sneak(fleet, one)
    await fleet.approve(other)
    second = fine(await fleet.promote(other))
    assert [member["superseded"][0]["composite"] for member in second["members"]] == [one, one]
    assert await fleet.live(*BOTH) == {"fraud": [("1.0.0", other)], "fraud-prompt": [("2.0.0", other)]}  # fmt: skip
    back = await fleet.room.person("security").post(f"{DEFAULT}/fraud-prompt/rollback", json=REASON)
    found = fine(back)
    assert (found["composite"], found["version"], found["members"][0]["ref"]) == (
        one,
        "1.0.0",
        "fraud@1.0.0",
    )
    assert found["deployment"]["asset"] == "fraud-prompt"
    assert await fleet.champions(*BOTH) == ["1.0.0", "1.0.0"]
    assert await fleet.live(*BOTH) == {name: [("1.0.0", one)] for name in BOTH}
    to = {**REASON, "to": other}
    fine(await fleet.room.person("security").post(f"{DEFAULT}/fraud/rollback", json=to))
    assert await fleet.champions(*BOTH) == ["1.0.0", "2.0.0"]
    listed = fine(await fleet.viewer.get(f"{DEFAULT}/fraud-prompt/deployments"))["items"]
    assert [(each["composite"], each["ended_as"]) for each in listed] == [
        (other, None),
        (one, "rolled_back"),
        (other, "rolled_back"),
        (one, "superseded"),
    ]


async def sneak(fleet: Fleet, cvi: str) -> None:
    """Try to move the prompt alone; every way is refused and says why."""
    prompt = f"{DEFAULT}/fraud-prompt"
    asked = await fleet.room.ask(f"{prompt}/versions/2.0.0")
    await fleet.room.approve(asked["id"], "product", "platform")
    pipeline = fleet.pipeline
    move = {"name": "fraud-prompt", "alias": "champion", "version": "2"}
    mlflow = "/api/2.0/mlflow/registered-models/alias"
    for answer in (
        await pipeline.post(f"{prompt}/versions/2.0.0/promote", json=PRODUCTION),
        await pipeline.put(f"{prompt}/aliases/champion", json={"version": "2.0.0"}),
        await pipeline.post(mlflow, json=move),
    ):
        assert answer.status_code == 403, answer.text
        assert "COMP-001" in answer.text
        assert cvi in answer.text
        assert "muniment composite create" in answer.text
    back = await fleet.room.admin.post(f"{prompt}/rollback", json={**REASON, "to": "2.0.0"})
    assert (back.status_code, "was never in production as champion" in back.text) == (409, True)
    assert await fleet.champions("fraud-prompt") == ["1.0.0"]
    # What is there already stays there: asking for it is no act.
    same = await pipeline.put(f"{prompt}/aliases/champion", json={"version": "1.0.0"})
    assert same.status_code == 200


async def test_a_member_that_may_not_be_handed_out_refuses_the_whole(fleet: Fleet) -> None:
    one, _ = await both(fleet)
    await fleet.approve(one)
    prompt = f"{DEFAULT}/fraud-prompt/versions/1.0.0"
    fine(await fleet.room.admin.post(f"{prompt}/quarantine", json={"reason": "odd"}))
    answer = await fleet.promote(one)
    assert (answer.status_code, answer.json()["code"]) == (403, "refused")
    [said] = [each for each in answer.json()["problems"] if each["field"] == "STATE-002"]
    assert said["message"] == "fraud-prompt@1.0.0: it is quarantined"
    fine(await fleet.room.admin.post(f"{prompt}/release", json={"reason": "fine"}))
    fine(await fleet.promote(one))
    attempts = fine(await fleet.viewer.get("/api/v1/namespaces/default/attempts"))["items"]
    assert [(each["composite"], each["subject"]) for each in attempts] == [(one, "fraud@1.0.0")]
    stays = await fleet.room.admin.post(f"{prompt}/retire", json={"reason": "old"})
    assert (stays.status_code, stays.json()["code"]) == (409, "lifecycle_conflict")
    # One person may stop one of it; what is left there is still a part of it.
    fine(await fleet.room.person("security").post(f"{prompt}/withdraw", json=REASON))
    assert await fleet.live(*BOTH) == {"fraud": [("1.0.0", one)], "fraud-prompt": []}
    fine(await fleet.room.admin.post(f"{prompt}/retire", json={"reason": "old"}))
    assert "STATE-001" in names((await fleet.promote(one)).json()["problems"])
    shown = f"/api/v1/composites/{one}/deployments"
    found = fine(await fleet.viewer.get(shown, params={"limit": 1}))
    assert (len(found["items"]), found["items"][0]["composite"]) == (1, one)
    found = fine(await fleet.viewer.get(shown, params={"cursor": found["next_cursor"]}))
    assert (len(found["items"]), found["next_cursor"]) == (1, None)
    live = fine(await fleet.viewer.get(shown, params={"live": "true", **PRODUCTION}))["items"]
    assert [each["asset"] for each in live] == ["fraud"]
    ended = fine(
        await fleet.room.person("security").post(f"/api/v1/composites/{one}/withdraw", json=REASON)
    )["ended"]
    assert [each["asset"] for each in ended] == ["fraud"]
    assert await fleet.champions(*BOTH) == [None, None]
    nothing = await fleet.room.admin.post(f"/api/v1/composites/{one}/withdraw", json=REASON)
    assert fine(nothing)["ended"] == []


async def test_who_may_promote_some_of_it_alone_is_told_all_that_is_missing(fleet: Fleet) -> None:
    await fleet.version("fraud")
    for namespace in ("team-a", "team-b"):
        await fleet.version("base-prompt", namespace=namespace)
    cvi = await fleet.composite("fraud@1", "team-a/base-prompt@1", "team-b/base-prompt@1")
    registry = fleet.room.house.registry
    half = registry.workload(Role.PUBLISHER, Scope("default"))
    answer = await fleet.promote(cvi, half, environment="staging")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert sorted(names(answer.json()["problems"])) == ["team-a/base-prompt", "team-b/base-prompt"]
    person = registry.as_(Role.PUBLISHER, Scope("default"))
    stop = await person.post(f"/api/v1/composites/{cvi}/withdraw", json=REASON)
    assert (stop.status_code, len(stop.json()["problems"])) == (403, 2)
    for what in ("why-not", "deployments"):
        viewer = registry.as_(Role.VIEWER, Scope("default"))
        hidden = await viewer.get(f"/api/v1/composites/{cvi}/{what}")
        assert (hidden.status_code, len(hidden.json()["problems"])) == (403, 2)
    fine(await fleet.promote(cvi, fleet.room.admin, environment="development"))
    back = await person.post(
        f"{DEFAULT}/fraud/rollback", json={**REASON, "environment": "development"}
    )
    assert (back.status_code, back.json()["code"]) == (409, "lifecycle_conflict")
    assert f"muniment withdraw {cvi}" in back.json()["detail"]


async def test_a_pipeline_that_some_of_it_does_not_trust_is_refused(fleet: Fleet) -> None:
    await fleet.version("fraud")
    await fleet.version("other-prompt")
    cvi = await fleet.composite("fraud@1", "other-prompt@1")
    await fleet.approve(cvi)
    for environment in ("staging", "production"):
        answer = await fleet.promote(cvi, environment=environment)
        assert (answer.status_code, answer.json()["code"]) == (403, "refused")
        [said] = [one for one in answer.json()["problems"] if one["field"] == "TRUST-001"]
        assert said["message"].startswith("other-prompt@1.0.0: the pipeline is not trusted")
        assert "fraud@1.0.0" not in said["message"]
    assert await fleet.live("fraud", "other-prompt") == {"fraud": [], "other-prompt": []}


async def test_only_who_has_the_verb_gets_in(fleet: Fleet) -> None:
    await fleet.version("fraud")
    cvi = await fleet.composite("fraud@1")
    registry = fleet.room.house.registry
    elsewhere = registry.with_grants(Grant(Role.ADMIN, Scope("team-a")))
    for verb, needs, body in (
        ("promote", Verb.PROMOTE, {"environment": "development"}),
        ("withdraw", Verb.STOP, REASON),
        ("why-not", Verb.READ, None),
        ("deployments", Verb.READ, None),
    ):
        url, method = f"/api/v1/composites/{cvi}/{verb}", "GET" if body is None else "POST"
        unknown = await registry.anonymous.request(method, url, json=body)
        assert unknown.status_code == 401
        assert (await elsewhere.request(method, url, json=body)).status_code == 404
        for role in Role:
            answer = await registry.as_(role).request(method, url, json=body)
            if needs not in VERBS[role]:
                assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), role
            else:
                assert answer.status_code == 200, (role, answer.text)


async def test_what_pins_nothing_or_one_asset_twice_cannot_be_deployed(fleet: Fleet) -> None:
    for version in ("1.0.0", "2.0.0"):
        await fleet.version("fraud-prompt", version)
    twice = [{"pin": f"fraud-prompt@{number}", "name": f"p{number}"} for number in (1, 2)]
    rest = [
        {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
        for kind in ("code", "data", "adapter", "model", "config", "env")
    ]
    url = "/api/v1/composites"
    body = {"system": "s", "components": [*twice, *rest]}
    cvi = fine(await fleet.room.admin.post(url, json=body))["cvi"]
    answer = await fleet.promote(cvi)
    assert (answer.status_code, answer.json()["code"]) == (409, "lifecycle_conflict")
    assert "fraud-prompt@1.0.0 and fraud-prompt@2.0.0" in answer.json()["detail"]
    # Where nothing is found through an alias both may run.
    fine(await fleet.promote(cvi, environment="development"))
    assert len((await fleet.live("fraud-prompt", environment="development"))["fraud-prompt"]) == 2
    bare = {"kind": "prompt", "name": "x", "digest": {"sha256": "0" * 64}}
    body = {"system": "s", "components": [bare, *rest]}
    empty = fine(await fleet.room.admin.post(url, json=body))["cvi"]
    for answer in (
        await fleet.promote(empty),
        await fleet.viewer.get(f"{url}/{empty}/why-not"),
        await fleet.room.admin.post(f"{url}/{empty}/withdraw", json=REASON),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_composite")
        assert "pins no version" in answer.json()["detail"]
    unknown = "cvi1-" + "a" * 52
    assert (await fleet.promote(unknown)).status_code == 404
    for alias in ("no such", "nowhere"):
        odd = await fleet.promote(cvi, alias=alias)
        assert (odd.status_code, odd.json()["code"]) in {(422, "bad_body"), (422, "bad_name")}


async def test_what_the_next_one_has_not_is_taken_out_with_it(fleet: Fleet) -> None:
    for name in ("fraud", "fraud-prompt", "fraud-adapter", "churn"):
        await fleet.version(name)
    await fleet.version("fraud-prompt", "2.0.0")
    three = await fleet.composite("fraud@1", "fraud-prompt@1", "fraud-adapter@1")
    two = await fleet.composite("fraud@1", "fraud-prompt@1")
    shared = await fleet.composite("churn@1", "fraud-prompt@2.0.0", system="churn")
    for cvi in (three, two, shared):
        await fleet.approve(cvi)
    fine(await fleet.promote(three))
    # Who may not take out what has to go is told so.
    grants = [Grant(Role.PUBLISHER, Scope("default", name)) for name in BOTH]
    some = fleet.room.house.registry.with_grants(*grants, Grant(Role.VIEWER, Scope("default")))
    barred = await fleet.promote(two, some, dry_run=True)
    assert (barred.json()["code"], names(barred.json()["problems"])) == (
        "not_allowed",
        ["fraud-adapter"],
    )
    dry = fine(await fleet.promote(two, dry_run=True))
    assert [one["asset"] for one in dry["left"]] == ["fraud-adapter"]
    done = fine(await fleet.promote(two))
    assert [one["asset"] for one in done["left"]] == ["fraud-adapter"]
    every = ("fraud", "fraud-prompt", "fraud-adapter", "churn")
    assert await fleet.champions(*every) == ["1.0.0", "1.0.0", None, None]
    # Another system that has the prompt in it, too, leaves the model where it is.
    done = fine(await fleet.promote(shared))
    assert done["left"] == []
    [said] = [one for one in done["verdict"]["results"] if one["id"] == "COMP-002"]
    assert (said["outcome"], two in said["message"]) == ("failed", True)
    assert await fleet.live(*every) == {
        "fraud": [("1.0.0", two)],
        "fraud-prompt": [("2.0.0", shared)],
        "fraud-adapter": [],
        "churn": [("1.0.0", shared)],
    }
    # Going back brings the adapter back, and going forth takes it out.
    back = {**REASON, "to": three}
    assert fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=back))["left"] == []
    assert await fleet.champions(*every) == ["1.0.0"] * 4
    gone = fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=REASON))
    assert (gone["composite"], [one["asset"] for one in gone["left"]]) == (two, ["fraud-adapter"])
    assert await fleet.champions(*every) == ["1.0.0", "1.0.0", None, "1.0.0"]
    own = await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json={**REASON, "to": two})
    assert (own.status_code, own.json()["code"]) == (409, "lifecycle_conflict")
    none = await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json={**REASON, "to": shared})
    assert (none.status_code, "has no version of fraud" in none.text) == (409, True)


async def test_production_goes_back_to_no_composite_that_is_not_approved(fleet: Fleet) -> None:
    one, other = await both(fleet)
    await fleet.approve(one)
    fine(await fleet.promote(one))
    await fleet.approve(other)
    fine(await fleet.promote(other))
    # What never was there is started by a pipeline, not gone back to.
    third = await fleet.composite("fraud@1.0.0", "fraud-prompt@1.0.0", system="other")
    await fleet.approve(third)
    new = await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json={**REASON, "to": third})
    assert (new.status_code, new.json()["code"]) == (409, "lifecycle_conflict")
    assert f"muniment promote {third}" in new.json()["detail"]
    me = fine(await fleet.room.person("product").get("/api/v1/whoami"))["id"]
    role = {"role": "approver_product", "namespace": "default"}
    fine(await fleet.room.admin.post(f"/api/v1/principals/{me}/roles/revoke", json=role))
    answer = await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=REASON)
    assert (answer.status_code, names(answer.json()["problems"])) == (403, ["BACK-001"])
    assert await fleet.champions(*BOTH) == ["1.0.0", "2.0.0"]
    # In staging it is a drill, and needs nobody's approval.
    watching = {"mode": "observe", "reason": "drill"}
    fine(await fleet.room.admin.patch("/api/v1/namespaces/default", json=watching))
    for cvi in (one, other):
        fine(await fleet.promote(cvi, environment="staging"))
    drill = {**REASON, "environment": "staging"}
    gone = fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=drill))
    assert gone["composite"] == one


async def test_where_rules_only_warn_a_version_alone_takes_the_place_and_that_is_said(
    fleet: Fleet,
) -> None:
    one, other = await both(fleet)
    await fleet.approve(one)
    fine(await fleet.promote(one))
    warn = {"mode": "warn", "reason": "for a while"}
    fine(await fleet.room.admin.patch("/api/v1/namespaces/default", json=warn))
    url = f"{DEFAULT}/fraud-prompt/aliases/champion"
    moved = fine(await fleet.pipeline.put(url, json={"version": "2.0.0"}))
    assert any(each.startswith("COMP-001: ") for each in moved["warnings"])
    assert await fleet.live(*BOTH) == {"fraud": [("1.0.0", one)], "fraud-prompt": [("2.0.0", None)]}
    # What is not approved is promoted all the same, with what would have refused it.
    done = fine(await fleet.promote(other))
    assert (done["would_have_been_refused"], done["enforcement"]) == (True, "warn")
    assert [each.split(":")[0] for each in done["warnings"]] == ["APPR-001", "APPR-002"]
    shown = fine(await fleet.viewer.get("/api/v1/namespaces/default/enforcement"))
    assert shown["would_have_been_refused"] == 2


async def test_going_back_is_tried_with_composites(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    async with open_fleet(db, blobs, keys, clock, approving("PROM-002")) as fleet:
        one, other = await both(fleet)
        for cvi in (one, other):
            await fleet.approve(cvi)
        # Where nothing is to go back to, it is taken out again; else that has been tried, whole.
        assert await fleet.failing(one) == []
        fine(await fleet.promote(one))
        assert await fleet.failing(one) == []
        assert await fleet.failing(other) == ["PROM-002"]
        for cvi in (one, other):
            fine(await fleet.promote(cvi, environment="staging"))
        drill = {**REASON, "environment": "staging"}
        fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=drill))
        assert await fleet.failing(other) == []
        done = fine(await fleet.promote(other))
        entry = fine(await fleet.room.admin.get(f"/api/v1/log/entries/{done['entry_id']}"))
        said = entry["payload"]["judged"]["document"]["rollback"]
        assert (said["target"], said["approved"]) == (one, True)


async def test_whatever_statement_fails_a_promotion_is_whole_or_not_at_all(fleet: Fleet) -> None:
    """And if only the answer is lost: the same request again ends it well."""
    both_of = await both(fleet)
    for cvi in both_of:
        await fleet.approve(cvi)
    watch = fleet.room.house.watch
    fine(await fleet.promote(both_of[0]))
    watch.start()
    fine(await fleet.promote(both_of[1]))
    count = len(watch.writes)
    assert watch.writes[-1] == "COMMIT"
    first = next(
        at for at, sql in enumerate(watch.writes, 1) if sql.startswith(("INSERT", "UPDATE"))
    )
    strikes = [(at, False) for at in range(first, count + 1, 3)] + [(count, False), (count, True)]
    for number, (at, persisted) in enumerate(strikes):
        cvi, before = both_of[number % 2], both_of[(number + 1) % 2]
        watch.start(at, persisted=persisted)
        assert (await fleet.promote(cvi)).status_code == 503
        watch.start()
        live = await fleet.live(*BOTH)
        assert {found[0][1] for found in live.values()} == {cvi if persisted else before}
        again = fine(await fleet.promote(cvi))
        assert (again["entry_id"] is None) == persisted
    promoted = await fleet.room.acts("version.promote")
    assert len(promoted) == 2 * (len(strikes) + 2)


async def test_composites_that_share_a_version_take_turns(fleet: Fleet) -> None:
    one, other = await both(fleet)
    await fleet.version("churn")
    third = await fleet.composite("churn@1", "fraud-prompt@1", system="churn")
    every = (one, other, third)
    for cvi in every:
        await fleet.approve(cvi)
    await fleet.pipeline.get("/api/v1/whoami")
    answers = await asyncio.gather(*(fleet.promote(cvi) for cvi in every * 4))
    assert {answer.status_code for answer in answers} <= {200, 412}, [a.text for a in answers if a.status_code not in {200, 412}]  # fmt: skip
    live = await fleet.live("fraud", "fraud-prompt", "churn")
    assert [len(found) for found in live.values()] == [1, 1, 1]
    assert live["fraud-prompt"][0] in {("1.0.0", one), ("2.0.0", other), ("1.0.0", third)}


async def test_a_version_that_is_written_by_hand_is_not_hidden_beside_one_that_is_pinned(
    fleet: Fleet,
) -> None:
    """What is quarantined is not judged where it is no member: nothing is asked for or promoted with it."""
    for name in BOTH:
        await fleet.version(name)
    version = fine(await fleet.viewer.get(f"{DEFAULT}/fraud/versions/1.0.0"))
    digest = version["manifest_digest"].removeprefix("sha256:")
    bad = {"reason": "bad"}
    fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/versions/1.0.0/quarantine", json=bad))
    body = components("fraud-prompt@1")
    there = [one for one in body["components"] if one.get("kind") != "model"]
    for value in (digest, digest.upper()):
        by_hand = {"kind": "model", "name": "default/fraud", "digest": {"sha256": value}}
        asked = {**body, "components": [*there, by_hand]}
        cvi = fine(await fleet.room.admin.post("/api/v1/composites", json=asked))["cvi"]
        requested = await fleet.room.asker.post(
            f"/api/v1/composites/{cvi}/approval-requests", json=ASK
        )
        for answer in (requested, await fleet.promote(cvi)):
            assert (answer.status_code, answer.json()["code"]) == (422, "bad_composite")
            assert "the model 'default/fraud' has the digest of a version" in answer.text
            assert "--pin" in answer.text
        fine(await fleet.viewer.get(f"/api/v1/composites/{cvi}"))


async def test_verdicts_on_a_whole_are_listed_to_who_may_read_every_part(fleet: Fleet) -> None:
    await fleet.version("fraud")
    await fleet.version("other-prompt", namespace="team-a")
    some = await fleet.composite("fraud@1")
    whole = await fleet.composite("fraud@1", "team-a/other-prompt@1")
    for cvi in (some, whole, some, whole):
        assert (await fleet.promote(cvi)).status_code == 403
    registry = fleet.room.house.registry
    verdicts = "/api/v1/policy/verdicts"
    part = registry.as_(Role.VIEWER, Scope("default"))
    first = fine(await part.get(verdicts, params={"limit": 1}))
    then = fine(await part.get(verdicts, params={"cursor": first["next_cursor"]}))
    listed = [*first["items"], *then["items"]]
    assert [one["subject"] for one in listed] == [some, some]
    assert (then["next_cursor"], len({one["id"] for one in listed})) == (None, 2)
    assert fine(await part.get(verdicts, params={"composite": whole}))["items"] == []
    both_of = (Grant(Role.VIEWER, Scope("default")), Grant(Role.VIEWER, Scope("team-a")))
    all_of_it = registry.with_grants(*both_of)
    assert len(fine(await all_of_it.get(verdicts))["items"]) == 4
    assert len(fine(await fleet.room.admin.get(verdicts))["items"]) == 4


async def test_nothing_starts_by_going_back(fleet: Fleet) -> None:
    """Neither a version that never was there, nor a composite that was found there as another alias."""
    for version in ("1.0.0", "2.0.0"):
        await fleet.version("churn", version)
        asked = await fleet.room.ask(f"{DEFAULT}/churn/versions/{version}")
        await fleet.room.approve(asked["id"], "product", "platform")
    promote = f"{DEFAULT}/churn/versions/1.0.0/promote"
    fine(await fleet.pipeline.post(promote, json=PRODUCTION))
    aliases = {"production_aliases": ["champion", "challenger"], "reason": "trials"}
    fine(await fleet.room.admin.patch("/api/v1/namespaces/default", json=aliases))
    one, other = await both(fleet)
    for cvi, mode in ((one, "full"), (other, "challenger")):
        await fleet.approve(cvi)
        fine(await fleet.promote(cvi, mode=mode))
    for name, to in (("churn", "2.0.0"), ("fraud", other)):
        answer = await fleet.room.person("product").post(
            f"{DEFAULT}/{name}/rollback", json={**REASON, "to": to}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "lifecycle_conflict")
        assert "was never in production as champion" in answer.text
        assert "a pipeline promotes it (`muniment promote" in answer.text
    assert await fleet.champions("churn", *BOTH) == ["1.0.0"] * 3


async def test_who_may_not_go_back_learns_nothing_of_what_they_may_not_see(fleet: Fleet) -> None:
    one, other = await both(fleet)
    for cvi in (one, other):
        await fleet.approve(cvi)
        fine(await fleet.promote(cvi))
    registry = fleet.room.house.registry
    only = registry.with_grants(Grant(Role.PUBLISHER, Scope("default", "fraud-prompt")))
    answer = await only.post(f"{DEFAULT}/fraud-prompt/rollback", json=REASON)
    assert (answer.status_code, answer.json()["problems"]) == (403, [])
    assert "stop 1 you may not see, which going back to what was there before" in answer.text
    assert one not in answer.text
    assert "default/fraud@" not in answer.text
