"""What another bundle would change, who may bring it into force, and what the log keeps of it."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import functools
import json
import uuid
from typing import Any

import pytest

from muniment.core.errors import BadBody, LifecycleConflict, NotFound
from muniment.server import policy
from muniment.server.identity.records import CameBy, CameIn
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.policy.records import (
    Activation,
    Bundle,
    Decided,
    Decision,
    Evaluation,
    Judged,
    Lacks,
    Outcome,
    RuleClass,
    RuleResult,
    Simulation,
    Verdict,
    Violation,
)
from muniment.server.policy.rules import activating, bundles, folding, simulating, verdicts
from muniment.server.policy.rules.simulating import Kind
from tests.support.policies import BODY, DOCUMENT, bundle, rule, small_files, starter

AT = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ADA, BOB, CAROL = (Actor("person", name) for name in ("ada", "bob", "carol"))
DAY = dt.timedelta(days=1)
SAFETY, WAIVABLE, ADVISORY = RuleClass.CRITICAL_SAFETY, RuleClass.WAIVABLE, RuleClass.ADVISORY


def said(*failed: tuple[str, RuleClass], lacks: Lacks = Lacks.NOTHING) -> Verdict:
    results = tuple(
        RuleResult(name, kind, Outcome.FAILED, f"{name} fails", "mend", lacks)
        for name, kind in failed
    )
    found = Verdict(Decision.ALLOW, results, "p" * 64, "i" * 64)
    if not found.failed:
        return found
    decision = Decision.NEEDS_APPROVAL if lacks is Lacks.APPROVAL else Decision.DENY
    return dataclasses.replace(found, decision=decision)


@pytest.mark.parametrize(
    ("now", "would", "kind", "safety"),
    [
        (said(), said(), None, ()),
        (said(("A-1", ADVISORY)), said(), None, ()),
        (said(("A-1", WAIVABLE)), said(("A-1", WAIVABLE)), None, ()),
        (said(), said(("A-1", WAIVABLE)), Kind.BLOCKED, ()),
        (said(("A-1", WAIVABLE)), said(), Kind.LET_THROUGH, ()),
        (said(("S-1", SAFETY)), said(), Kind.LET_THROUGH, ("S-1",)),
        (said(("S-1", SAFETY)), said(("S-1", WAIVABLE)), Kind.CHANGED, ("S-1",)),
        (said(("S-1", SAFETY)), said(("A-1", WAIVABLE)), Kind.CHANGED, ("S-1",)),
        (said(("A-1", WAIVABLE)), said(("B-1", WAIVABLE)), Kind.CHANGED, ()),
        (
            said(("A-1", WAIVABLE)),
            said(("A-1", WAIVABLE), lacks=Lacks.APPROVAL),
            Kind.CHANGED,
            (),
        ),
    ],
)
def test_two_verdicts_are_compared(
    now: Verdict, would: Verdict, kind: Kind | None, safety: tuple[str, ...]
) -> None:
    found = simulating.compare(now, would)
    assert (found.kind if found else None) is kind
    assert (found.safety if found else ()) == safety


def test_a_simulation_sums_up() -> None:
    now = bundle(BODY, BODY, rule_class="critical_safety")
    would = bundle(BODY, rule_class="critical_safety")
    summed = simulating.Sum()
    about = {"verdict_id": "1", "live": ["production"], "loses_approval": True}
    blocked = simulating.compare(said(), said(("A-1", WAIVABLE)))
    through = simulating.compare(said(("S-1", SAFETY)), said())
    assert blocked
    assert through
    summed.add(simulating.difference_json(blocked, **about))
    summed.add(simulating.difference_json(through, **{**about, "loses_approval": False}))
    found = summed.result(now, would, until="1", asked=3, unreadable=1)
    assert {name: found[name] for name in found if name.endswith("_count")} == {
        "verdict_count": 3,
        "unreadable_count": 1,
        "differing_count": 2,
        "blocked_count": 1,
        "let_through_count": 1,
        "changed_count": 0,
        "live_count": 1,
        "approval_count": 1,
        "safety_count": 1,
    }
    assert found["rules"] == {
        "A-1": {"newly_failed": 1, "no_longer_failed": 0},
        "S-1": {"newly_failed": 0, "no_longer_failed": 1},
    }
    assert (found["safety"], found["weakened"]) == (["S-1"], ["SEC-002"])
    assert simulating.to_acknowledge(found) == ["S-1", "SEC-002"]
    again = simulating.Sum()
    again.add(simulating.difference_json(through, **about))
    other = again.result(now, would, until="1", asked=3, unreadable=1)
    assert simulating.result_digest(other) != simulating.result_digest(found)
    assert simulating.weakened(now, bundle(BODY, BODY)) == ["SEC-001", "SEC-002"]
    assert simulating.weakened(bundle(), now) == []
    text = rule(rule_class="critical_safety").decode()
    less = policy.read_bundle(
        {"rules/a.rego": text.replace("[candidate, approve, promote]", "[approve]").encode()}
    )
    whole = policy.read_bundle({"rules/a.rego": text.encode()})
    assert simulating.weakened(whole, less) == ["SEC-001"]
    assert simulating.weakened(less, whole) == []


def test_what_a_critical_rule_says_no_to_by_its_fixtures_is_asked_of_the_other() -> None:
    safety = rule(rule_class="critical_safety")
    lib = b"package muniment.lib.a\n"
    now = policy.read_bundle(small_files(**{"rules/1.rego": safety, "lib/a.rego": lib}))
    asked = [(one.rule, one.name) for one in simulating.could_be_weaker(now, now)]
    assert asked == []
    for changed in (
        {"rules/1.rego": safety + b"\n"}, {"lib/a.rego": lib + b"\n"}, {"data.json": b'{"a": 1}'},
    ):  # fmt: skip
        other = policy.read_bundle({**now.files, **changed})
        asked = [(one.rule, one.name) for one in simulating.could_be_weaker(now, other)]
        assert asked == [("SEC-001", "bad")]
        # Of another class or gone it is weaker by that already.
        waivable = policy.read_bundle({**other.files, "rules/1.rego": rule()})
        assert simulating.could_be_weaker(now, waivable) == ()
        assert simulating.could_be_weaker(waivable, now) == ()
    gone = policy.read_bundle({"rules/2.rego": rule(BODY, "SEC-002")})
    assert simulating.could_be_weaker(now, gone) == ()
    [fixture] = [one for one in now.fixtures if one.outcome is Outcome.FAILED]
    found = simulating.Sum().result(now, now, [fixture], until=None, asked=0, unreadable=0)
    assert (found["weakened"], found["fixtures"]) == (["SEC-001"], {"SEC-001": ["bad"]})
    assert simulating.to_acknowledge(found) == ["SEC-001"]


TABLES: dict[str, Any] = {
    "quorum": {"high": {"routine": {"technical": 1, "security": 1}}},
    "profiles": {
        "minimal": {"own_login": True},
        "high": {
            "approval_days": 90, "own_key": True, "sign_offs": {"technical": "entry-verified"},
            "review_steps": [
                {"name": "peer", "roles": ["technical"]},
                {"name": "legal", "roles": ["legal"], "after": ["peer"], "optional": True},
                {"name": "final", "roles": ["governance"], "after": ["peer"]},
            ],
        },
    },
}  # fmt: skip
PEER, LEGAL, FINAL = TABLES["profiles"]["high"]["review_steps"]


def with_tables(**patch: Any) -> Bundle:
    found = bundles.with_tables(starter(), {"profiles": {"minimal": None, "limited": None}})
    data = {**found.data, **copy.deepcopy(TABLES)}
    for place, value in patch.items():
        *way, last = place.split("__")
        functools.reduce(lambda at, name: at[name], way, data)[last] = value
    return dataclasses.replace(found, data=data)


HIGH = "profiles__high__"


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({}, []),
        ({"profiles__high__own_key": False}, ["profiles.high.own_key", "profiles.limited.own_key"]),
        ({"profiles__high__own_key": "yes"}, ["profiles.high.own_key", "profiles.limited.own_key"]),
        ({"profiles__minimal__own_login": None}, ["profiles.minimal.own_login"]),
        ({"profiles__high__own_login": True, "profiles__limited": TABLES["profiles"]["high"]}, []),
        ({"profiles__limited": {}}, [
            "APPR-002", "APPR-004", "APPR-005", "profiles.limited.own_key",
        ]),
        ({"profiles__high__approval_days": 30}, []),
        ({"profiles__high__approval_days": 91}, ["APPR-002"]),
        ({"profiles__high__approval_days": True}, ["APPR-002"]),
        ({"profiles__high__sign_offs": {}}, ["APPR-004"]),
        ({"profiles__high__sign_offs": 7}, ["APPR-004"]),
        ({"quorum__high__routine": {"technical": 2, "security": 1, "legal": 1}}, []),
        ({"quorum__high__routine": {"technical": 2}}, ["APPR-001"]),
        ({"quorum__high": {}}, ["APPR-001"]),
        ({"quorum": None}, ["APPR-001"]),
        ({f"{HIGH}review_steps": [PEER, {**LEGAL, "optional": False}, FINAL]}, []),
        ({f"{HIGH}review_steps": [PEER, LEGAL, {**FINAL, "after": ["legal"]}]}, []),
        ({f"{HIGH}review_steps": []}, ["APPR-005"]),
        ({f"{HIGH}review_steps": [PEER, LEGAL]}, ["APPR-005"]),
        ({f"{HIGH}review_steps": [PEER, LEGAL, {**FINAL, "optional": True}]}, ["APPR-005"]),
        ({f"{HIGH}review_steps": [PEER, LEGAL, {**FINAL, "after": []}]}, ["APPR-005"]),
        ({f"{HIGH}review_steps": [{**PEER, "roles": ["technical", "legal"]}, LEGAL, FINAL]}, [
            "APPR-005",
        ]),
        ({f"{HIGH}review_steps": "see the wiki"}, ["APPR-005"]),
    ],
)  # fmt: skip
def test_tables_that_ask_less_are_named(patch: dict[str, Any], named: list[str]) -> None:
    assert simulating.weakened(with_tables(), with_tables(**patch)) == named
    result = simulating.Sum().result(
        with_tables(), with_tables(**patch), until=None, asked=0, unreadable=0
    )
    assert simulating.to_acknowledge(result) == named


def test_what_no_critical_rule_is_for_is_named_by_its_place() -> None:
    now = dataclasses.replace(bundle(), data=TABLES)
    assert simulating.weakened(now, bundle()) == [
        *(f"profiles.{tier}.{name}" for tier, names in (
            ("high", ("approval_days", "own_key", "review_steps", "sign_offs")),
            ("limited", ("approval_days", "own_key", "review_steps", "sign_offs")),
            ("minimal", ("own_login",)),
        ) for name in names),
        "quorum.high",
    ]  # fmt: skip
    odd = dataclasses.replace(now, data={"profiles": {"high": {"review_steps": "see the wiki"}}})
    assert "profiles.high.review_steps" in simulating.weakened(odd, now)


def test_a_rule_that_reads_the_file_of_another_is_asked_again() -> None:
    safety, other = rule(rule_class="critical_safety"), rule(BODY, "SEC-002")
    now = policy.read_bundle(small_files(**{"rules/1.rego": safety, "rules/2.rego": other}))
    would = policy.read_bundle({**now.files, "rules/2.rego": other + b"\n"})
    assert [one.rule for one in simulating.could_be_weaker(now, would)] == ["SEC-001"]


def test_an_engine_that_was_not_there_says_nothing_of_rules() -> None:
    gone = RuleResult("A-1", WAIVABLE, Outcome.FAILED, "no answer", fault="engine_unavailable")
    broken = dataclasses.replace(gone, fault="rule_undefined")
    found = said()
    assert simulating.could_not_be_asked(dataclasses.replace(found, results=(broken,))) == ""
    assert simulating.could_not_be_asked(dataclasses.replace(found, results=(gone,))) == "no answer"


def test_a_replay_names_the_rules_that_say_something_else() -> None:
    was, now = said(("A-1", WAIVABLE), ("B-1", WAIVABLE)), said(("B-1", WAIVABLE), ("C-1", SAFETY))
    assert simulating.replay_differences(was, now) == [
        {"id": "A-1", "stored": "failed: A-1 fails", "replayed": None},
        {"id": "C-1", "stored": None, "replayed": "failed: C-1 fails"},
    ]


def test_a_verdict_is_read_as_it_was_written() -> None:
    full = RuleResult(
        "A-1",
        SAFETY,
        Outcome.FAILED,
        "m",
        "r",
        Lacks.EVIDENCE,
        (Violation("c", (1, "x"), "m"),),
        "f",
    )
    found = Verdict(Decision.DENY, (full, *said(("B-1", ADVISORY)).results), "p", "i")
    found = dataclasses.replace(
        found, results=(full, dataclasses.replace(found.results[1], lacks=None))
    )
    again = verdicts.read_verdict(json.loads(verdicts.verdict_bytes(found)))
    assert again == found


def proposal(**changes: Any) -> Activation:
    result = {"against": "0" * 64, "safety": ["SEC-003"], "weakened": ["SEC-001"]}
    made = Activation(
        id=uuid.UUID(int=1),
        digest="1" * 64,
        proposed=Decided(AT, ADA, "why", uuid.UUID(int=2)),
        effective_from=None,
        simulation={"id": "3", "digest": "d", "result": result},
    )
    return dataclasses.replace(made, **changes)


APPROVED: dict[str, Any] = {
    "approved": Decided(AT, BOB, "good", uuid.UUID(int=4)),
    "effective_at": AT + DAY,
}
WITHDRAWN = {"withdrawn": Decided(AT, BOB, "no", uuid.UUID(int=5))}


@pytest.mark.parametrize(
    ("one", "at", "state"),
    [
        (proposal(), AT, "open"),
        (proposal(**APPROVED), AT, "scheduled"),
        (proposal(**APPROVED), AT + DAY, "effective"),
        (proposal(**WITHDRAWN), AT, "withdrawn"),
        (proposal(**APPROVED, **WITHDRAWN), AT + DAY, "withdrawn"),
    ],
)
def test_where_a_proposal_stands(one: Activation, at: dt.datetime, state: str) -> None:
    assert one.state(at) == state
    if state == "open":
        activating.check_open(one, at)
    else:
        with pytest.raises(LifecycleConflict, match=state):
            activating.check_open(one, at)
    if state in {"open", "scheduled"}:
        activating.check_withdrawable(one, at)
    else:
        with pytest.raises(LifecycleConflict, match=state):
            activating.check_withdrawable(one, at)


def test_two_people_bring_a_policy_into_force() -> None:
    service = Actor("service", "s")
    assert activating.refusal_of_proposer(ADA) == ""
    assert "a service does not propose" in activating.refusal_of_proposer(service)
    assert activating.refusal_of_approver(proposal(), ADA, BOB) == ""
    assert "a service does not approve" in activating.refusal_of_approver(proposal(), ADA, service)
    assert "who proposes" in activating.refusal_of_approver(proposal(), CAROL, ADA)
    assert "who sent" in activating.refusal_of_approver(proposal(), BOB, BOB)


@pytest.mark.parametrize(
    ("tables", "came_in", "refused"),
    [
        ({"profiles": {"high": {"own_login": True}, "odd": 1}}, CameIn(CameBy.ISSUER), False),
        ({"profiles": {"high": {"own_login": True}}}, CameIn(CameBy.TOKEN), True),
        ({"profiles": {"high": {"own_login": True}}}, None, True),
        ({"profiles": {"high": {"own_login": False}}}, None, False),
        ({"profiles": 1}, None, False),
        ({}, CameIn(CameBy.TOKEN), False),
    ],
)
def test_where_people_come_in_by_an_issuer_policies_are_decided_so_too(
    tables: dict[str, Any], came_in: CameIn | None, refused: bool
) -> None:
    assert bool(activating.refusal_of_login(tables, came_in)) == refused


def test_when_it_is_in_force() -> None:
    for fine in (None, AT, AT + DAY):
        activating.check_effective(fine, AT)
    for wrong in (AT - DAY, AT + 400 * DAY):
        with pytest.raises(BadBody, match="effective_from"):
            activating.check_effective(wrong, AT)
    assert activating.effective_at(proposal(), AT) == AT
    assert activating.effective_at(proposal(effective_from=AT + DAY), AT) == AT + DAY
    assert activating.effective_at(proposal(effective_from=AT - DAY), AT) == AT


def test_what_it_was_simulated_against_and_what_it_weakens() -> None:
    activating.check_base(proposal(), "0" * 64)
    with pytest.raises(LifecycleConflict, match="simulate and propose anew"):
        activating.check_base(proposal(), "2" * 64)
    activating.check_alone(None)
    with pytest.raises(LifecycleConflict, match="takes force later"):
        activating.check_alone(uuid.UUID(int=3))
    came_to = (proposal().simulation or {})["result"]
    activating.check_acknowledged([came_to], ["SEC-003", "SEC-001", "X-1"])
    with pytest.raises(BadBody, match="--weakens SEC-001"):
        activating.check_acknowledged([came_to], ["SEC-003"])
    newer = {"safety": [], "weakened": ["SEC-002"]}
    with pytest.raises(BadBody, match="--weakens SEC-002"):
        activating.check_acknowledged([came_to, newer], ["SEC-003", "SEC-001"])


def test_a_simulation_that_does_not_know_what_was_judged_since_is_good_for_a_day() -> None:
    until, later = uuid.UUID(int=1), uuid.UUID(int=2)
    one = Simulation(
        id=uuid.UUID(int=3), digest="1" * 64, against="0" * 64, until=until, total_count=1,
        done_count=1, after=until, result={"fixtures": {}}, problem=None, asked_at=AT, actor=ADA,
    )  # fmt: skip
    activating.check_fresh(one, until, AT + 400 * DAY)
    activating.check_fresh(one, later, AT + DAY)
    activating.check_fresh(dataclasses.replace(one, until=None), None, AT + 400 * DAY)
    with pytest.raises(LifecycleConflict, match="since it was simulated on 2026-11-21 12:00Z"):
        activating.check_fresh(one, later, AT + DAY + dt.timedelta(seconds=1))
    with pytest.raises(LifecycleConflict, match="simulate it again"):
        activating.check_fresh(None, until, AT)
    older = dataclasses.replace(one, result={"safety": []})
    with pytest.raises(LifecycleConflict, match="before the fixtures"):
        activating.check_fresh(older, until, AT)
    assert activating.asked_fixtures(dataclasses.replace(one, result=None))


def entry(act: str, payload: Any, actor: Actor = ADA, at: dt.datetime = AT) -> Recorded:
    subject = Subject("policy activation", "7", "x")
    return Recorded(uuid.UUID(int=9), at, act, actor, subject, payload, None)


def test_tables_follow_from_the_log_and_from_nothing_else() -> None:
    rows: dict[str, Any] = {}
    for fold in (folding.fold_activation, folding.fold_bundle, folding.fold_verdict):
        fold(rows, entry("asset.create", {"name": "a"}))
        fold(rows, entry(folding.PROPOSE, None))
    assert rows == {}
    added = {"digest": "d", "packed_sha256": "s", "rule_count": 1}
    folding.fold_bundle(rows, entry(folding.ADD, added))
    assert rows.pop("d")["packed"] == "s"
    folding.fold_activation(rows, entry(folding.PROPOSE, folding.proposal_payload(proposal())))
    assert rows["7"]["approved_at"] is None
    later = proposal(effective_from=AT, simulation=None)
    assert folding.proposal_payload(later)["effective_from"] == "2026-11-21T12:00:00.000000Z"
    approval = {"approval_reason": "good", "effective_at": "later"}
    folding.fold_activation(rows, entry(folding.ACTIVATE, approval, BOB))
    assert (rows["7"]["approver_id"], rows["7"]["effective_at"]) == ("bob", "later")
    assert rows["7"]["proposer_id"] == "ada"
    folding.fold_activation(rows, entry(folding.WITHDRAW, {"withdrawal_reason": "no"}, CAROL))
    assert (rows["7"]["withdrawer_id"], rows["7"]["withdrawal_reason"]) == ("carol", "no")


def test_a_verdict_is_in_the_entry_of_its_act() -> None:
    judged = Judged(
        uuid.UUID(int=3),
        Evaluation(said(("A-1", WAIVABLE)), "regopy", "1", 5),
        json.dumps(DOCUMENT).encode(),
    )
    payload = folding.judged_payload(
        judged, asset_id=uuid.UUID(int=1), version_id=None, environment=None, carried_out=False
    )
    rows: dict[str, Any] = {}
    recorded = entry("version.promote", {"judged": payload, "more": 1})
    folding.fold_verdict(rows, recorded)
    assert rows[str(judged.id)]["failed"] == ["A-1"]
    assert rows[str(judged.id)]["step"] == "promote"
    assert folding.judged_of(recorded) == payload
    large = {**DOCUMENT, "approvals": [{"at": at} for at in range(30_000)]}
    packed = folding.judged_payload(
        dataclasses.replace(judged, document_bytes=json.dumps(large).encode()),
        asset_id=uuid.UUID(int=1),
        version_id=None,
        environment=None,
        carried_out=False,
    )
    assert len(packed["packed"]) < 200_000
    assert folding.judged_in({"judged": packed}) == {
        **payload, "document": large, "packed": packed["packed"],
    }  # fmt: skip
    for other in (entry("version.promote", None), entry("version.promote", {"judged": 1})):
        with pytest.raises(NotFound, match="holds no verdict"):
            folding.judged_of(other)
