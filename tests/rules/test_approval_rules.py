"""Who may sign, what counts, what is frozen, when approval ends: pure rules."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.approvals import Condition, Said, Signed, Waiver
from muniment.core.digest import digest_of
from muniment.core.errors import BadBody
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.approvals.records import (
    Approval,
    Bar,
    ChangeClass,
    Changed,
    Comment,
    ConditionOf,
    DecisionOf,
    Ended,
    Outcome,
    Place,
    Request,
    RuleException,
    Standing,
    Wanted,
    Word,
)
from muniment.server.approvals.rules import decisions, folding, requests, signing, waiving
from muniment.server.catalog.records import Mode
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Role, Scope
from muniment.server.identity.records import CameBy, CameIn, Principal, SigningKey
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.policy.records import (
    Decision,
    Lacks,
    Rule,
    RuleClass,
    RuleResult,
    Verdict,
    Violation,
)
from muniment.server.policy.records import (
    Outcome as Says,
)

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
IDS = [uuid.UUID(int=number) for number in range(1, 9)]
SCOPE = Scope("risk", "fraud")
HERE = Grant(Role.APPROVER_PLATFORM, Scope("risk"))


def request(**more: Any) -> Request:
    return Request(**{
        "id": IDS[0], "asset_id": IDS[1], "version_id": IDS[2],
        "asset": AssetRef(Namespace("risk"), AssetName("fraud")), "version": "1.0.0",
        "environment": "production", "change_class": ChangeClass.ROUTINE, "reason": "", "reference": "",
        "re_conformity": "", "frozen": {}, "frozen_sha256": digest_of(b"a"), "opened_at": NOW,
        "actor": Actor("person", str(IDS[3])), "entry_id": IDS[4], **more,
    })  # fmt: skip


def approval(number: int = 0, **more: Any) -> Approval:
    return Approval(**{
        "id": uuid.UUID(int=100 + number), "request_id": IDS[0], "person_id": uuid.UUID(int=200 + number),
        "role": "platform", "decision": "approve", "sign_off": None, "comment": "", "signed_by": "key",
        "key_id": IDS[5], "nonce": f"{number:032x}", "statement_sha256": digest_of(b"s"), "bundle": {},
        "at": NOW, "entry_id": IDS[6], **more,
    })  # fmt: skip


def said(**more: Any) -> Said:
    return Said(**{
        "registry": "here", "person": IDS[0], "role": "platform", "at": NOW, "nonce": "0" * 32,
        "request_id": IDS[0], "decision": "approve", **more,
    })  # fmt: skip


PERSON = Principal(IDS[0], PrincipalKind.PERSON, "ada", None, NOW, None, (HERE,))
KEY = SigningKey(IDS[5], IDS[0], "k", b"", "", NOW)
WAIVED = RuleException(
    id=IDS[1], asset_id=IDS[2], version_id=IDS[3], environment="production", rule="SEC-004", reason="r",
    control="c", until=NOW.date(), person_id=IDS[0], role="security", signed_by="key", key_id=IDS[5],
    nonce="n", statement_sha256=digest_of(b""), bundle={}, granted_at=NOW, entry_id=IDS[4], ref="a@1.0.0",
)  # fmt: skip
SECURITY = dataclasses.replace(PERSON, grants=(Grant(Role.APPROVER_SECURITY, Scope("default")),))
BY_SESSION = dataclasses.replace(WAIVED, key_id=None, signed_by="registry")


# --- who may sign --------------------------------------------------------------------------------


def test_roles_are_held_where_they_are_granted() -> None:
    grants = [
        HERE,
        Grant(Role.APPROVER_LEGAL, Scope("other")),
        Grant(Role.APPROVER_SECURITY, SCOPE),
        Grant(Role.ADMIN, EVERYTHING),
    ]
    assert signing.roles_in(grants, SCOPE) == {"platform", "security"}


@pytest.mark.parametrize(
    ("kind", "roles", "requester", "authors", "expected"),
    [
        (PrincipalKind.PERSON, {"platform"}, "", [], None),
        (PrincipalKind.SERVICE, {"platform"}, "", [], Bar.NOT_A_PERSON),
        (PrincipalKind.WORKLOAD, {"platform"}, "", [], Bar.NOT_A_PERSON),
        (PrincipalKind.SYSTEM, {"platform"}, "", [], Bar.NOT_A_PERSON),
        (PrincipalKind.PERSON, {"platform"}, str(IDS[0]), [], Bar.REQUESTER),
        (PrincipalKind.PERSON, {"platform"}, "", [str(IDS[0])], Bar.AUTHOR),
        (PrincipalKind.PERSON, {"product"}, "", [], Bar.NO_ROLE),
        (PrincipalKind.PERSON, set(), "", [], Bar.NO_ROLE),
    ],
)
def test_who_may_sign(
    kind: PrincipalKind, roles: set[str], requester: str, authors: list[str], expected: Bar | None
) -> None:
    signer = signing.Signer(IDS[0], kind, frozenset(roles))
    found = signing.bar(signer, "platform", requester=requester, authors=authors)
    assert (found and found[0]) == expected


def test_only_who_asked_or_made_it_reviews_it_as_its_author() -> None:
    signer = signing.Signer(IDS[0], PrincipalKind.PERSON, frozenset({"platform"}))
    assert signing.bar(signer, "author", requester=str(IDS[0]), authors=[]) is None
    assert signing.bar(signer, "author", requester="", authors=[str(IDS[0])]) is None
    barred = signing.bar(signer, "author", requester="", authors=[])
    assert (barred and barred[0]) is Bar.NO_ROLE
    pipeline = signing.Signer(IDS[0], PrincipalKind.WORKLOAD, frozenset())
    barred = signing.bar(pipeline, "author", requester=str(IDS[0]), authors=[])
    assert (barred and barred[0]) is Bar.NOT_A_PERSON
    [wrong] = signing.condition_problems(
        said(role="author", decision="defer", comment="x"), NOW.date()
    )
    assert wrong["field"] == "decision"
    assert signing.condition_problems(said(role="author"), NOW.date()) == []


@pytest.mark.parametrize(
    ("word", "earlier", "own_key", "expected"),
    [
        (said(), None, True, None),
        (said(), approval(), True, None),
        (said(), approval(role="legal"), False, Bar.OTHER_ROLE),
        (said(signed_by="registry"), None, True, Bar.OWN_KEY_NEEDED),
        (said(signed_by="registry"), None, False, None),
        (said(signed_by="registry", decision="reject"), None, True, None),
        (said(signed_by="registry", decision="not_applicable"), None, True, Bar.OWN_KEY_NEEDED),
    ],
)
def test_which_word_is_taken(
    word: Said, earlier: Approval | None, own_key: bool, expected: Bar | None
) -> None:
    found = signing.bar_of(word, earlier, signing.Profile(own_key, 90), None)
    assert (found and found[0]) == expected


LOGIN, MADE = CameIn(CameBy.ISSUER), CameIn(CameBy.TOKEN, IDS[7])
OWN_LOGIN = signing.Profile(False, 90, own_login=True)


@pytest.mark.parametrize("how", ["key", "registry"])
@pytest.mark.parametrize("came_in", [LOGIN, MADE, CameIn(CameBy.TOKEN), None])
def test_a_policy_may_take_only_who_came_in_by_an_issuer(how: str, came_in: CameIn | None) -> None:
    found = signing.bar_of(said(signed_by=how), None, OWN_LOGIN, came_in)
    assert (found and found[0]) == (None if came_in == LOGIN else Bar.OWN_LOGIN_NEEDED)
    assert ("your key" in (found or (None, "your key"))[1]) == (how == "key" or found is None)
    # Stopping takes less.
    rejected = said(signed_by=how, decision="reject")
    assert signing.bar_of(rejected, None, OWN_LOGIN, came_in) is None
    kept = approval(signed_by=how, came_in=came_in)
    word = signing.word(kept, PERSON, KEY, scopes=[SCOPE], profile=OWN_LOGIN)
    assert word.signature_valid == (came_in == LOGIN)
    assert ("by an issuer" in word.why_not) == (came_in != LOGIN)
    waived = dataclasses.replace(WAIVED, signed_by=how, came_in=came_in)
    now = waiving.Grounds(scope=Scope("default", "a"), profile=OWN_LOGIN)
    lapsed = waiving.lapsed(waived, SECURITY, KEY, now)
    assert lapsed == ("" if came_in == LOGIN else "own_login_needed")


def test_policy_is_told_how_people_came_in() -> None:
    told = [Word(approval(came_in=one), True, True).facts(digest_of(b"a")) for one in (LOGIN, MADE)]
    assert [one["came_in"] for one in told] == [
        {"by": "issuer"}, {"by": "token", "made_by": str(IDS[7])},
    ]  # fmt: skip
    assert "came_in" not in Word(approval(), True, True).facts(digest_of(b"a"))
    step = Word(approval(review_step="peer", sign_off="entry-verified"), True, True)
    assert step.facts(digest_of(b"a"))["review_step"] == "peer"
    assert signing.profile({"profiles": {"high": {"own_login": True}}}, None).own_login
    assert not signing.profile({}, None).own_login


@pytest.mark.parametrize(
    ("data", "tier", "expected"),
    [
        ({}, "high", (False, 90)),
        ({"profiles": 7}, "high", (True, 90)),
        ({"profiles": {"high": 7}}, "high", (True, 90)),
        ({"profiles": {"high": {"own_key": True}, "limited": 7}}, "limited", (True, 90)),
        ({"profiles": {"high": {"own_key": True}}}, "limited", (True, 90)),
        ({"profiles": {"high": {"own_key": True, "approval_days": 30}}}, "high", (True, 30)),
        ({"profiles": {"high": {"own_key": True}}}, None, (True, 90)),
        ({"profiles": {"high": {"own_key": True}}}, "unacceptable", (True, 90)),
        ({"profiles": {"high": {"own_key": True}, "limited": {}}}, "limited", (False, 90)),
        ({"profiles": {"minimal": {"own_key": "yes", "approval_days": True}}}, "minimal", (True, 90)),
        ({"profiles": {"minimal": {"approval_days": 0}}}, "minimal", (False, 90)),
    ],
)  # fmt: skip
def test_what_is_not_known_of_a_tier_is_the_stricter(
    data: Mapping[str, Any], tier: str | None, expected: tuple[bool, int]
) -> None:
    found = signing.profile(data, tier)
    assert (found.own_key, found.approval_days) == expected


def test_a_signature_is_of_its_sender_for_here_and_for_now() -> None:
    word: Signed = said(person=IDS[1], registry="there", signed_by="registry")
    wrong = signing.problems_of(word, person=IDS[0], registry="here")
    assert [one["field"] for one in wrong] == ["approver", "approver", "signedBy"]
    assert signing.problems_of(said(), person=IDS[0], registry="here") == []
    assert signing.time_problems(said(), now=NOW, since=NOW) == []
    assert signing.time_problems(said(), now=NOW - DAY)
    assert signing.time_problems(said(), now=NOW + DAY, since=NOW + DAY)
    assert signing.time_problems(said(), now=NOW + DAY) == []
    with pytest.raises(BadBody, match="approver"):
        signing.refuse_problems(wrong)
    signing.refuse_problems([])


def test_what_is_wrong_with_a_word_is_said_at_once() -> None:
    today = NOW.date()
    bad = (Condition(" ", today), Condition("a", today - DAY))
    assert [one["field"] for one in signing.condition_problems(said(conditions=bad), today)] == [
        "conditions[0].text",
        "conditions[1].due",
    ]
    good = (Condition("a", today),)
    assert signing.condition_problems(said(conditions=good, sign_off="entry-verified"), today) == []
    rejects = said(decision="reject", conditions=good, sign_off="entry-verified")
    assert [one["field"] for one in signing.condition_problems(rejects, today)] == [
        "conditions",
        "sign_off",
        "comment",
    ]
    assert signing.condition_problems(said(decision="defer", comment="later"), today) == []


@given(st.lists(st.integers(0, 4), max_size=12))
def test_the_last_word_of_each_person_counts(people: list[int]) -> None:
    given_ = [
        approval(index, person_id=uuid.UUID(int=1000 + person))
        for index, person in enumerate(people)
    ]
    last = signing.last_words(given_)
    assert len({one.person_id for one in last}) == len(last) == len(set(people))
    assert all(one.id == max(e.id for e in given_ if e.person_id == one.person_id) for one in last)
    assert [one.id for one in last] == sorted(one.id for one in last)


@pytest.mark.parametrize(
    ("word", "person", "key", "own_key", "expected"),
    [
        (approval(), PERSON, KEY, True, (True, True)),
        (approval(), PERSON, None, True, (False, True)),
        (approval(), PERSON, dataclasses.replace(KEY, revoked_at=NOW), True, (False, True)),
        (approval(signed_by="registry"), PERSON, None, True, (False, True)),
        (approval(signed_by="registry"), PERSON, None, False, (True, True)),
        (approval(signed_by="registry", decision="reject"), PERSON, None, True, (True, True)),
        (approval(), None, KEY, True, (True, False)),
        (approval(), dataclasses.replace(PERSON, kind=PrincipalKind.SERVICE), KEY, True, (True, False)),
        (approval(), dataclasses.replace(PERSON, disabled_at=NOW), KEY, True, (True, False)),
        (approval(), dataclasses.replace(PERSON, grants=()), KEY, True, (True, False)),
    ],
)  # fmt: skip
def test_whether_a_word_counts_now(
    word: Approval,
    person: Principal | None,
    key: SigningKey | None,
    own_key: bool,
    expected: tuple[bool, bool],
) -> None:
    profile = signing.Profile(own_key, 90)
    found = signing.word(word, person, key, scopes=[SCOPE], profile=profile)
    assert (found.signature_valid, found.eligible) == expected
    assert found.counts == all(expected)
    assert bool(found.why_not) != found.counts


@pytest.mark.parametrize(
    ("one", "person", "key", "more", "said"),
    [
        (WAIVED, SECURITY, KEY, {}, ""),
        (WAIVED, SECURITY, KEY, {"own_key": True}, ""),
        (WAIVED, SECURITY, None, {}, "key_revoked"),
        (WAIVED, SECURITY, dataclasses.replace(KEY, revoked_at=NOW), {}, "key_revoked"),
        (BY_SESSION, SECURITY, None, {}, ""),
        (BY_SESSION, SECURITY, None, {"own_key": True}, "own_key_needed"),
        (WAIVED, None, KEY, {}, "not_eligible"),
        (WAIVED, dataclasses.replace(SECURITY, disabled_at=NOW), KEY, {}, "not_eligible"),
        (WAIVED, dataclasses.replace(SECURITY, grants=()), KEY, {}, "not_eligible"),
        (WAIVED, SECURITY, KEY, {"requester": str(IDS[0])}, "requester_or_author"),
        (WAIVED, SECURITY, KEY, {"authors": ["x", str(IDS[0])]}, "requester_or_author"),
    ],
)  # fmt: skip
def test_whether_an_exception_holds_now(
    one: RuleException,
    person: Principal | None,
    key: SigningKey | None,
    more: Mapping[str, Any],
    said: str,
) -> None:
    more = dict(more)
    profile = signing.Profile(more.pop("own_key", False), 90)
    now = waiving.Grounds(scope=Scope("default", "a"), profile=profile, **more)
    assert waiving.lapsed(one, person, key, now) == said


def test_no_policy_makes_an_approval_for_ever() -> None:
    data = {"profiles": {"high": {"approval_days": 10**9}}}
    assert signing.profile(data, "high").approval_days == 3650


def test_a_request_that_ended_says_so() -> None:
    assert signing.open_to(request()) == ""
    ended = request(ended_as=Ended.REJECTED, ended_at=NOW)
    assert signing.open_to(ended) == "the request is rejected since 2026-06-01 12:00Z"


# --- what is frozen ------------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {
    "risk_tier": "high", "policy_sha256": "1", "version": {"id": "v"},
    "evidence": [{"id": "a", "kind": "sbom", "sha256": "1"}],
}  # fmt: skip


def test_what_changed_is_said_and_what_is_judged_anew_is_not() -> None:
    more = {"id": "b", "kind": "evaluation", "sha256": "2"}
    now = {
        **DOCUMENT, "risk_tier": None, "policy_sha256": "2",
        "evidence": [*DOCUMENT["evidence"], more],
    }  # fmt: skip
    found = requests.changed(DOCUMENT, now, decided=False)
    assert [one.what for one in found] == ["evidence", "policy_sha256", "risk_tier"]
    assert found[0] == Changed("evidence", [], [more])
    assert requests.in_words(found) == (
        "evidence was added (evaluation); another policy is in force; `risk_tier` was high and is nothing"
    )
    assert [one.what for one in requests.changed(DOCUMENT, now, decided=True)] == ["risk_tier"]
    gone = requests.changed(DOCUMENT, {**DOCUMENT, "evidence": []}, decided=False)
    assert requests.in_words(gone) == "evidence was taken away (sbom)"
    without = requests.changed(DOCUMENT, {k: v for k, v in DOCUMENT.items() if k != "evidence"}, decided=False)  # fmt: skip
    assert without[0].now == []
    only = requests.changed({}, {"evidence": DOCUMENT["evidence"]}, decided=False)
    assert only[0].was == []
    assert requests.changed(DOCUMENT, dict(DOCUMENT), decided=False) == ()
    long = requests.in_words([Changed("reason", "x" * 200, "y")])
    assert len(long) < 130


def test_the_same_request_is_the_same_in_all_of_its_parts() -> None:
    one = request(reason="r", reference="f", re_conformity="c")
    wanted = Wanted(
        environment="production", change_class=ChangeClass.ROUTINE, reason="r", reference="f",
        re_conformity="c",
    )  # fmt: skip
    assert requests.same(one, wanted)
    for change in ({"reason": "x"}, {"reference": ""}, {"change_class": ChangeClass.SIGNIFICANT}):
        assert not requests.same(one, dataclasses.replace(wanted, **change))


@pytest.mark.parametrize(
    "texts",
    [
        {"reason": "x" * 2001},
        {"reference": "x" * 301},
        {"reason": "a\x07"},
        {"re_conformity": "a\nb"},
    ],
)
def test_texts_that_cannot_be_kept_are_refused(texts: dict[str, str]) -> None:
    with pytest.raises(BadBody):
        requests.check_texts(**texts)


def test_texts_may_have_lines_and_must_say_something_where_due() -> None:
    requests.check_texts(reason="a\n\tb", reference="AI-1187")
    requests.check_due(reason="a")
    with pytest.raises(BadBody, match="reason"):
        requests.check_due(note="a", reason=" ")


# --- exceptions ----------------------------------------------------------------------------------


def rule(rule_class: RuleClass) -> Rule:
    return Rule("R-001", "r_001", rule_class, "", "", "", (), {}, "", "", "")


def waiver(**more: Any) -> Waiver:
    return Waiver(**{
        "registry": "here", "person": IDS[0], "role": "security", "at": NOW, "nonce": "0" * 32,
        "rule": "R-001", "version_id": IDS[1], "ref": "a@1.0.0", "manifest": digest_of(b"m"),
        "environment": "production", "until": NOW.date(), "reason": "r", "control": "c", **more,
    })  # fmt: skip


def test_critical_rules_take_no_exception_from_anyone() -> None:
    for role in ("security", "governance", "platform"):
        found = waiving.bar(rule(RuleClass.CRITICAL_SAFETY), role)
        assert found is not None
        assert found[0] is Bar.CRITICAL_SAFETY
    assert waiving.bar(rule(RuleClass.WAIVABLE), "security") is None
    assert waiving.bar(rule(RuleClass.WAIVABLE), "governance") is None
    other = waiving.bar(rule(RuleClass.WAIVABLE), "platform")
    assert other is not None
    assert other[0] is Bar.RULE_CLASS


@pytest.mark.parametrize(
    ("rule_class", "more", "fields"),
    [
        (RuleClass.WAIVABLE, {}, []),
        (RuleClass.CRITICAL_SAFETY, {}, []),
        (RuleClass.ADVISORY, {}, ["rule"]),
        (RuleClass.AUTOMATIC, {}, ["rule"]),
        (RuleClass.WAIVABLE, {"rule": "R-002"}, ["rule"]),
        (RuleClass.WAIVABLE, {"until": NOW.date() - DAY}, ["until"]),
        (RuleClass.WAIVABLE, {"until": NOW.date() + 31 * DAY}, ["until"]),
        (RuleClass.WAIVABLE, {"reason": " ", "control": ""}, ["reason", "control"]),
    ],
)
def test_what_is_wrong_with_an_exception(
    rule_class: RuleClass, more: dict[str, Any], fields: list[str]
) -> None:
    found = waiving.problems_of(waiver(**more), [rule(rule_class)], today=NOW.date(), most_days=30)
    assert [one["field"] for one in found] == fields


# --- decisions -----------------------------------------------------------------------------------


def verdict(*violations: Violation, outcome: Says = Says.FAILED) -> Verdict:
    result = RuleResult(
        "APPR-001", RuleClass.CRITICAL_SAFETY, outcome, "no", "", Lacks.APPROVAL, violations
    )
    return Verdict(Decision.NEEDS_APPROVAL, (result,), "1", "2")


def test_the_roles_that_are_wanting_follow_from_what_the_rules_say() -> None:
    found = decisions.missing(
        verdict(
            Violation("role", (1, 2, "platform"), ""),
            Violation("role", (1, 2), ""),
            Violation("role", ("1", 2, "platform"), ""),
            Violation("role", (1, 2, 3), ""),
            Violation("comments", (1, 2, "platform"), ""),
        )
    )
    assert [(one.role, one.have, one.need) for one in found] == [("platform", 1, 2)]


def decision(outcome: Outcome = Outcome.APPROVED, **more: Any) -> DecisionOf:
    return DecisionOf(**{
        "id": IDS[0], "request_id": IDS[0], "asset_id": IDS[1], "version_id": IDS[2],
        "environment": "pre-production", "outcome": outcome, "frozen_sha256": digest_of(b"a"),
        "decided_at": NOW, "expires_at": NOW + 90 * DAY if outcome is Outcome.APPROVED else None,
        "entry_id": IDS[3], "ref": "risk/fraud@1.0.0", **more,
    })  # fmt: skip


def test_a_decision_is_a_verification_summary() -> None:
    rests_on = decisions.attestations([approval()], {"evidence": [{"id": "e", "sha256": "1"}]})
    found = decisions.summary(
        decision(), registry="here", policy_digest="sha256:1", attestations=rests_on
    )
    assert found["verificationResult"] == "PASSED"
    assert found["verifiedLevels"] == ["MUNIMENT_APPROVED_PRE_PRODUCTION"]
    assert found["policy"]["digest"] == {"sha256": "1"}
    assert len(found["inputAttestations"]) == 2
    no = decisions.summary(
        decision(Outcome.REJECTED), registry="here", policy_digest="1", attestations=[]
    )
    assert (no["verificationResult"], no["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert decisions.decision_json(decision(Outcome.REJECTED))["expires_at"] is None


def standing(**more: Any) -> Standing:
    word = Word(approval(), signature_valid=True, eligible=True)
    return Standing(**{
        "at": NOW, "place": Place("production", "production"), "request": request(), "words": (word,),
        "decision": decision(), **more,
    })  # fmt: skip


CONDITION = ConditionOf(
    id=IDS[0], approval_id=IDS[1], position=0, text="watch", due=NOW.date() - DAY
)
NOT_COUNTED = (Word(approval(), signature_valid=False, eligible=True, why_not="revoked"),)


@pytest.mark.parametrize(
    ("more", "codes"),
    [
        ({}, []),
        ({"decision": None}, ["not_decided"]),
        ({"decision": decision(Outcome.REJECTED)}, ["rejected"]),
        ({"at": NOW + 90 * DAY}, ["expired"]),
        ({"changed": (Changed("risk_tier", 1, 2),)}, ["changed"]),
        ({"conditions": (CONDITION,)}, ["overdue_condition"]),
        ({"conditions": (dataclasses.replace(CONDITION, met_at=NOW),)}, []),
        ({"conditions": (dataclasses.replace(CONDITION, due=NOW.date()),)}, []),
        ({"words": NOT_COUNTED}, ["no_approver"]),
        ({"words": (Word(approval(decision="defer"), True, True),)}, ["no_approver"]),
    ],
)  # fmt: skip
def test_why_a_version_is_certainly_not_approved(more: dict[str, Any], codes: list[str]) -> None:
    assert [code for code, _ in decisions.certainly_not(standing(**more))] == codes


def test_approved_needs_all_of_it() -> None:
    passed = verdict(outcome=Says.PASSED)
    assert decisions.approved(standing(), passed, Mode.ENFORCE).approved
    assert not decisions.approved(standing(), None, Mode.ENFORCE).approved
    assert decisions.approved(standing(), verdict(), Mode.ENFORCE).reasons == (("APPR-001", "no"),)
    for mode in (Mode.OBSERVE, Mode.WARN):
        found = decisions.approved(standing(), passed, mode)
        assert (found.approved, found.reasons[0][0]) == (False, "not_enforced")


@pytest.mark.parametrize(
    ("days_left", "told", "expected"),
    [
        (31, [], None),
        (30, [], 30),
        (30, [30], None),
        (15, [], 30),
        (14, [30], 14),
        (13, [], 14),
        (3, [14, 30], 3),
        (2, [], 3),
        (2, [3], None),
        (0, [], None),
        (-1, [], None),
    ],
)
def test_when_it_is_time_to_tell(days_left: int, told: list[int], expected: int | None) -> None:
    assert decisions.due_warning(NOW + days_left * DAY, NOW, told) == expected


# --- facts and folds -----------------------------------------------------------------------------


def test_policy_is_told_how_it_stands() -> None:
    comment = Comment(
        id=IDS[0], request_id=IDS[0], text="?", at=NOW, actor=Actor("person", "a"), entry_id=IDS[1]
    )
    found = standing(
        request=request(re_conformity="CA-7"), comments=(comment,), frozen_now=digest_of(b"b")
    ).facts()
    assert found["request"] == {
        "requester": str(IDS[3]), "frozen_sha256": digest_of(b"a").hex, "open_comments": 1,
        "re_conformity_reference": "CA-7",
    }  # fmt: skip
    assert found["subject"] == {"change_class": "routine"}
    assert found["approvals"][0]["frozen_sha256"] == digest_of(b"a").hex
    assert found["approval"]["granted_at"] == int(NOW.timestamp())
    assert found["stage"] == "production"
    void = standing(
        changed=(Changed("risk_tier", 1, 2),), frozen_now=digest_of(b"b"), decision=None
    )
    assert void.void
    assert void.facts()["request"]["frozen_sha256"] == digest_of(b"b").hex
    assert "approval" not in void.facts()
    for ended in (Ended.WITHDRAWN, Ended.VOID):
        assert "request" not in standing(request=request(ended_as=ended)).facts()
    assert "request" not in standing(request=None).facts()
    assert not standing(request=None).void


def entry(act: str, payload: Mapping[str, Any] | None) -> Recorded:
    return Recorded(
        IDS[0], NOW, act, Actor("person", "a"), Subject("version", "v", "v"), payload, None
    )


def test_acts_of_others_and_erased_ones_change_nothing() -> None:
    folds = [
        folding.fold_request, folding.fold_approval, folding.fold_condition, folding.fold_comment,
        folding.fold_decision, folding.fold_warning, folding.fold_exception,
    ]  # fmt: skip
    names = ("request", "approval", "comment", "decision", "exception", "warning")
    for fold in folds:
        rows: dict[str, dict[str, Any]] = {}
        fold(rows, entry("version.promote", {name: {"id": "x"} for name in names}))
        fold(rows, entry("decision.approve", None))
        assert rows == {}
