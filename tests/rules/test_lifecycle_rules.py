"""What may be done with a version, what the rules say of a promotion, and the stage that follows."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from muniment.core.digest import digest_of
from muniment.core.errors import (
    ApprovalPending,
    BadBody,
    EvidenceMissing,
    LifecycleConflict,
    NotServed,
    Refused,
)
from muniment.core.names import Alias, AssetRef, Namespace, SemVer
from muniment.server.catalog.records import (
    GovernedNamespace,
    Kind,
    Lifecycle,
    Mark,
    Mode,
    NamespaceChange,
    NamespaceEvent,
    NamespaceState,
    OwnField,
    RiskTier,
    Standing,
    Version,
    VersionState,
)
from muniment.server.catalog.rules import governing
from muniment.server.catalog.rules.standing import (
    check_served,
    lifecycle_of,
    standing_from,
    standing_json,
)
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.lifecycle.records import DeployMode, Facts, Stage
from muniment.server.lifecycle.rules import checks, folding, moves, stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import (
    Decision,
    Lacks,
    Outcome,
    RuleClass,
)

TODAY = dt.date(2026, 11, 21)
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ADA = Actor("person", "ada")
NOTHING_SAID = Standing()


def a_version(standing: Standing = NOTHING_SAID, **more: Any) -> Version:
    version = Version(
        id=uuid.UUID(int=1),
        asset_id=uuid.UUID(int=2),
        asset=AssetRef.parse("fraud"),
        kind=Kind.MODEL,
        number=1,
        version=SemVer(1, 0, 0),
        manifest_digest=digest_of(b""),
        size_bytes=0,
        file_count=0,
        formats=(),
        executable=False,
        metadata={},
        metadata_digest=digest_of(b""),
        metrics_at_registration={},
        state=VersionState(),
        revision=1,
        registered_at=NOW,
        registered_by=ADA,
        entry_id=uuid.UUID(int=3),
        lifecycle=lifecycle_of(standing.mark),
        standing=standing,
    )
    return dataclasses.replace(version, **more)


# --- moves -------------------------------------------------------------------------------------

RETIRED = a_version(Standing(mark=Mark.RETIRED, reason="old"))


def deprecated(version: Version, reason: str = "r", **more: Any) -> Standing:
    wanted: dict[str, Any] = {"replacement": None, "sunset": None, **more}
    return moves.deprecate(version, reason=reason, today=TODAY, **wanted)


def test_a_deprecation_says_why_or_what_replaces_it_and_until_when() -> None:
    assert deprecated(a_version()) == Standing(
        mark=Mark.DEPRECATED, reason="r", sunset=TODAY + dt.timedelta(days=90)
    )
    by_other = deprecated(a_version(), "", replacement="fraud@2.0.0", sunset=TODAY)
    assert (by_other.replacement, by_other.sunset, by_other.reason) == ("fraud@2.0.0", TODAY, "")
    again = deprecated(a_version(by_other), "other")
    assert (again.sunset, again.replacement, again.reason) == (TODAY, None, "other")
    for wrong in ({"reason": " "}, {"sunset": TODAY - dt.timedelta(days=1)}):
        with pytest.raises(BadBody) as refused:
            deprecated(a_version(), **wrong)
        assert refused.value.problems[0]["field"] in {"reason", "sunset"}


@pytest.mark.parametrize(
    "move",
    [
        deprecated,
        lambda version: moves.reinstate(version, reason="r"),
        lambda version: moves.quarantine(version, reason="r"),
    ],
)
def test_what_is_retired_goes_nowhere(move: Callable[[Version], Standing]) -> None:
    with pytest.raises(LifecycleConflict):
        move(RETIRED)
    assert moves.retire(RETIRED, reason="", live=()) == RETIRED.standing
    assert moves.tombstone(RETIRED, reason="", live=()).tombstoned


def test_retiring_needs_a_reason_and_nothing_in_use() -> None:
    with pytest.raises(BadBody):
        moves.retire(a_version(), reason="", live=())
    with pytest.raises(LifecycleConflict) as there:
        moves.retire(a_version(), reason="r", live={"production", "staging"})
    assert "production, staging" in there.value.message
    with pytest.raises(LifecycleConflict):
        moves.retire(a_version(lifecycle=Lifecycle.APPROVED), reason="r", live=())
    after = moves.retire(a_version(deprecated(a_version(), "why")), reason="", live=())
    assert (after.mark, after.reason) == (Mark.RETIRED, "why")


def test_a_deprecation_is_taken_back_and_a_quarantine_released() -> None:
    held = moves.quarantine(a_version(deprecated(a_version())), reason="odd")
    assert (held.mark, held.quarantined, held.quarantine_reason) == (Mark.DEPRECATED, True, "odd")
    back = moves.reinstate(a_version(held), reason="mistake")
    assert (back.mark, back.sunset, back.quarantined) == (None, None, True)
    assert moves.same(moves.release(a_version(back), reason="checked"), Standing())
    for move in (moves.reinstate, moves.quarantine, moves.release):
        with pytest.raises(BadBody):
            move(a_version(), reason=" ")


class Walk(RuleBasedStateMachine):
    """Any moves in any order: the mark only goes where the table says, retired is for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Standing()
        self.live: set[str] = set()
        self.was: Mark | None = None

    def go(self, move: Callable[[Version], Standing]) -> None:
        self.was = self.now.mark
        try:
            self.now = move(a_version(self.now))
        except (LifecycleConflict, BadBody):
            return

    @rule(reason=st.sampled_from(["", "r"]))
    def deprecate(self, reason: str) -> None:
        self.go(lambda version: deprecated(version, reason))

    @rule(reason=st.sampled_from(["", "r"]))
    def reinstate(self, reason: str) -> None:
        self.go(lambda version: moves.reinstate(version, reason=reason))

    @rule(reason=st.sampled_from(["", "r"]))
    def retire(self, reason: str) -> None:
        self.go(lambda version: moves.retire(version, reason=reason, live=self.live))

    @rule()
    def tombstone(self) -> None:
        self.go(lambda version: moves.tombstone(version, reason="r", live=self.live))

    @rule()
    def quarantine(self) -> None:
        self.go(lambda version: moves.quarantine(version, reason="r"))

    @rule()
    def release(self) -> None:
        self.go(lambda version: moves.release(version, reason="r"))

    @rule(place=st.sampled_from(["staging", "production"]))
    def deploy(self, place: str) -> None:
        if self.now.mark is not Mark.RETIRED:
            self.live.add(place)

    @rule()
    def withdraw(self) -> None:
        self.live.clear()

    @invariant()
    def the_move_is_legal(self) -> None:
        legal = {
            (None, None),
            (None, Mark.DEPRECATED),
            (None, Mark.RETIRED),
            (Mark.DEPRECATED, Mark.DEPRECATED),
            (Mark.DEPRECATED, None),
            (Mark.DEPRECATED, Mark.RETIRED),
            (Mark.RETIRED, Mark.RETIRED),
        }
        assert (self.was, self.now.mark) in legal
        assert self.now.mark is not Mark.RETIRED or not self.live
        assert not self.now.tombstoned or self.now.mark is Mark.RETIRED
        assert bool(self.now.quarantine_reason) == self.now.quarantined


TestWalk = Walk.TestCase


@given(
    st.builds(
        Standing,
        mark=st.sampled_from([None, *Mark]),
        quarantined=st.booleans(),
        tombstoned=st.booleans(),
        reason=st.text(max_size=5),
        replacement=st.none() | st.text(max_size=5),
        sunset=st.none() | st.dates(),
        quarantine_reason=st.text(max_size=5),
    )
)
def test_a_standing_reads_back(standing: Standing) -> None:
    assert standing_from(standing_json(standing), 0, None) == standing


def test_what_is_retired_or_quarantined_is_not_handed_out() -> None:
    check_served(a_version())
    check_served(a_version(Standing(mark=Mark.DEPRECATED)))
    for version in (RETIRED, a_version(Standing(quarantined=True, quarantine_reason="odd"))):
        with pytest.raises(NotServed) as refused:
            check_served(version)
        assert "fraud@1.0.0 is" in refused.value.message


# --- stages ------------------------------------------------------------------------------------


def test_the_stage_is_the_first_that_holds() -> None:
    none: set[Stage] = set()
    table = [
        (Lifecycle.DRAFT, none, Stage.NONE),
        (Lifecycle.DRAFT, {Stage.NONE}, Stage.NONE),
        (Lifecycle.DRAFT, {Stage.STAGING}, Stage.STAGING),
        (Lifecycle.CANDIDATE, none, Stage.STAGING),
        (Lifecycle.APPROVED, none, Stage.STAGING),
        (Lifecycle.APPROVED, {Stage.PRODUCTION, Stage.STAGING}, Stage.PRODUCTION),
        (Lifecycle.DEPRECATED, none, Stage.ARCHIVED),
        (Lifecycle.DEPRECATED, {Stage.STAGING}, Stage.ARCHIVED),
        (Lifecycle.DEPRECATED, {Stage.PRODUCTION}, Stage.PRODUCTION),
        (Lifecycle.RETIRED, none, Stage.ARCHIVED),
        (Lifecycle.RETIRED, {Stage.PRODUCTION}, Stage.ARCHIVED),
    ]
    for lifecycle, live, stage in table:
        assert stages.stage_of(lifecycle, live) is stage, (lifecycle, live)


def test_every_mode_has_its_alias() -> None:
    found = {mode.value: str(stages.alias_of(mode)) for mode in DeployMode}
    assert found["full"] == found["champion"] == "champion"
    assert (found["canary"], found["shadow"]) == ("canary", "challenger")
    assert stages.mode_of(Alias("Canary")) is DeployMode.CANARY
    assert stages.mode_of(Alias("prod")) is DeployMode.FULL


# --- verdicts ----------------------------------------------------------------------------------

GOOD = Facts(
    ref="fraud@1.0.0",
    environment="production",
    stage="Production",
    executor_kind="workload",
    executor_may=True,
    executor_environments=("production", "staging"),
    registration_vouched_for=True,
    lifecycle="draft",
    quarantined=False,
    risk_tier="limited",
    executable=False,
    formats=("onnx",),
)


def outcomes(**changes: Any) -> dict[str, str]:
    found = rules.verdict(dataclasses.replace(GOOD, **changes))
    return {one.id: one.outcome.value for one in found.results}


def failed(**changes: Any) -> list[str]:
    return [one.id for one in rules.verdict(dataclasses.replace(GOOD, **changes)).failed]


def test_a_complete_version_may_be_promoted_by_a_pipeline() -> None:
    found = rules.verdict(GOOD)
    assert (found.decision, found.failed, rules.barred(found)) == (Decision.ALLOW, (), ())
    assert [one.id for one in found.results] == [one.id for one in checks.RULES]


def test_a_pipeline_promotes_where_it_is_vouched_for_and_trusted() -> None:
    assert failed(executor_environments=None) == ["PROM-001"]
    assert failed(executor_environments=("staging",)) == ["TRUST-001"]
    assert failed(environment="staging", stage="Staging", executor_environments=()) == ["TRUST-001"]
    elsewhere = dataclasses.replace(GOOD, executor_environments=())
    assert rules.barred(rules.verdict(elsewhere)) == ("TRUST-001",), "in every mode"


def test_what_was_registered_by_hand_stays_a_draft() -> None:
    by_hand = {"registration_vouched_for": False}
    assert failed(**by_hand) == ["TRUST-002"]
    assert failed(**by_hand, environment="staging", stage="Staging") == ["TRUST-002"]
    assert failed(**by_hand, leaving=True) == []
    found = rules.verdict(dataclasses.replace(GOOD, registration_vouched_for=False))
    assert rules.refusal_class(found).code == "evidence_missing"


def test_each_rule_has_what_fails_it() -> None:
    high = {"executable": True, "risk_tier": "high", "formats": ("pickle",)}
    assert failed(executor_kind="person") == ["PROM-001"]
    assert failed(executor_kind="service") == ["PROM-001"]
    assert failed(executor_may=False) == ["PROM-001"]
    assert failed(lifecycle="retired") == ["STATE-001"]
    assert failed(quarantined=True) == ["STATE-002"]
    assert failed(lifecycle="deprecated") == ["STATE-003"]
    assert failed(risk_tier="unacceptable") == ["RISK-001"]
    assert failed(**high) == ["SEC-005"]
    assert failed(executable=True) == []
    assert outcomes(executable=True)["FMT-001"] == "failed"
    assert failed(gaps=("license",)) == ["META-001"]
    assert failed(documentation_gaps=("model_card",)) == ["DOC-001"]


def test_what_is_only_for_production_does_not_apply_before() -> None:
    staging = {
        "environment": "staging",
        "stage": "Staging",
        "executor_kind": "person",
        "executor_environments": None,
    }
    assert failed(**staging, documentation_gaps=("model_card",)) == []
    assert failed(**staging, gaps=("license",)) == ["META-001"]
    development = {**staging, "environment": "development", "stage": "None"}
    assert failed(**development, gaps=("license",), executable=True, risk_tier="high") == []


def test_leaving_production_asks_only_who_does_it() -> None:
    gone = {
        "leaving": True,
        "lifecycle": "retired",
        "quarantined": True,
        "risk_tier": "unacceptable",
        "executable": True,
        "gaps": ("license",),
        "documentation_gaps": ("model_card",),
    }
    assert failed(**gone) == []
    assert failed(**gone, executor_kind="person") == ["PROM-001"]
    assert failed(leaving=True, lifecycle="deprecated") == []


def test_what_holds_in_every_mode() -> None:
    retired = dataclasses.replace(GOOD, lifecycle="retired", executor_kind="person")
    assert rules.barred(rules.verdict(retired)) == ("STATE-001",)
    held = dataclasses.replace(GOOD, quarantined=True)
    assert rules.barred(rules.verdict(held)) == ("STATE-002",)
    assert rules.barred(rules.verdict(dataclasses.replace(GOOD, executor_kind="person"))) == ()


def test_a_refusal_says_what_would_help() -> None:
    approval: checks.Rule[Facts] = checks.Rule(
        "X-1",
        RuleClass.CRITICAL_SAFETY,
        "t",
        "s",
        lambda _facts: checks.Said(Outcome.FAILED, "m", "r", Lacks.APPROVAL),
    )
    gaps = dataclasses.replace(GOOD, gaps=("license",))
    assert rules.verdict(GOOD, [approval]).decision is Decision.NEEDS_APPROVAL
    assert rules.refusal_class(rules.verdict(GOOD, [approval])) is ApprovalPending
    both = rules.verdict(gaps, [*checks.RULES, approval])
    assert (both.decision, rules.refusal_class(both)) == (Decision.DENY, EvidenceMissing)
    person = rules.verdict(dataclasses.replace(gaps, executor_kind="person"))
    assert rules.refusal_class(person) is Refused
    text = rules.words(person)[0]
    assert "muniment request fraud@1.0.0 --to production" in text
    assert "muniment promote fraud@1.0.0 --env production" in text


facts = st.builds(
    Facts,
    ref=st.just("fraud@1.0.0"),
    environment=st.sampled_from(["staging", "production"]),
    stage=st.sampled_from(["None", "Staging", "Production"]),
    executor_kind=st.sampled_from(["person", "service", "workload"]),
    executor_may=st.booleans(),
    lifecycle=st.sampled_from([one.value for one in Lifecycle]),
    quarantined=st.booleans(),
    risk_tier=st.sampled_from([None, "minimal", "limited", "high", "unacceptable"]),
    executable=st.booleans(),
    formats=st.just(("pickle",)),
    gaps=st.sampled_from([(), ("license",)]),
    documentation_gaps=st.sampled_from([(), ("model_card",)]),
    leaving=st.booleans(),
    registration_vouched_for=st.booleans(),
    executor_environments=st.sampled_from([None, (), ("staging",), ("production", "staging")]),
)


@given(facts)
def test_a_verdict_is_given_again_from_what_is_kept(found: Facts) -> None:
    kept = rules.facts_json(found)
    assert rules.verdict(rules.facts_from(kept)) == rules.verdict(found)
    shown = rules.verdict_json(rules.verdict(found))
    assert [one["id"] for one in shown["results"]] == [one.id for one in checks.RULES]


@given(facts)
def test_nobody_but_a_pipeline_that_may_gets_a_yes_for_production(found: Facts) -> None:
    answer = rules.verdict(found)
    if found.stage == "Production" and answer.decision is Decision.ALLOW:
        assert (found.executor_kind, found.executor_may) == ("workload", True)
        assert "production" in (found.executor_environments or ())
    assert (answer.decision is Decision.ALLOW) == (not answer.failed)


# --- namespaces --------------------------------------------------------------------------------


def a_namespace() -> GovernedNamespace:
    name = Namespace("risk")
    return GovernedNamespace(name, governing.state_of(Mode.ENFORCE), 1, NOW, ADA, NOW)


def test_a_namespace_s_change_says_why_and_names_aliases() -> None:
    changed = governing.changed_state(
        a_namespace(), NamespaceChange(Mode.WARN, ["Blue", "blue", "green"], "r")
    )
    assert changed == NamespaceState(Mode.WARN, ("blue", "green"))
    assert governing.resolves(changed, Alias("BLUE"))
    assert not governing.resolves(changed, Alias("champion"))
    same = governing.changed_state(a_namespace(), NamespaceChange(reason="r"))
    assert not governing.state_changes(a_namespace().state, same)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 3000}, "reason"),
        ({"reason": "r", "production_aliases": ["a b"]}, "production_aliases[0]"),
        ({"reason": "r", "production_aliases": ["a"] * 51}, "production_aliases"),
    ]
    for fields, where in wrong:
        with pytest.raises(BadBody) as refused:
            governing.changed_state(a_namespace(), NamespaceChange(**fields))
        assert refused.value.problems[0]["field"] == where


def own(field: str, why: str = "the law", step: Lifecycle = Lifecycle.CANDIDATE) -> OwnField:
    return OwnField(field, step, why, (Kind.MODEL,), (RiskTier.HIGH,))


def test_a_namespace_asks_for_fields_of_its_own() -> None:
    change = NamespaceChange(required_fields=[own("dpia"), own("board_vote")], reason="law")
    changed = governing.changed_state(a_namespace(), change)
    assert [one.field for one in changed.required_fields] == ["board_vote", "dpia"]
    kept = governing.namespace_json(changed)
    assert governing.namespace_state_from(kept) == changed
    assert governing.own_fields(json.dumps(kept["required_fields"])) == changed.required_fields
    assert governing.own_fields(None) == ()
    before = a_namespace().state
    event = NamespaceEvent(
        Namespace("risk"), changed, 2, governing.state_changes(before, changed), "law", NOW, ADA,
        uuid.uuid4(),
    )  # fmt: skip
    assert list(event.changes) == ["required_fields"]
    assert governing.state_before(event) == before


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ([own(f"f{n}") for n in range(51)], ""),
        ([own("Dpia")], "[0].field"),
        ([own("a"), own("b"), own("a")], "[0].field"),
        ([own("a", step=Lifecycle.RETIRED)], "[0].step"),
        ([own("a", " ")], "[0].why"),
        ([own("a", "x" * 3000)], "[0].why"),
    ],
)
def test_fields_of_a_namespace_that_are_none_are_refused(fields: Any, where: str) -> None:
    with pytest.raises(BadBody) as refused:
        governing.changed_state(a_namespace(), NamespaceChange(required_fields=fields, reason="r"))
    assert refused.value.problems[0]["field"] == f"required_fields{where}"


def test_namespaces_made_before_modes_were_kept_enforce() -> None:
    assert governing.namespace_state_from({}) == governing.state_of(Mode.ENFORCE)


# --- folds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [None, {}])
def test_other_acts_change_no_deployment_and_no_attempt(payload: dict[str, Any] | None) -> None:
    subject = Subject("version", "v", "fraud@1.0.0")
    entry = Recorded(uuid.UUID(int=9), NOW, "version.register", ADA, subject, payload, 0)
    for fold in (folding.fold_deployment, folding.fold_attempt):
        rows: dict[str, dict[str, Any]] = {}
        fold(rows, entry, "t")
        assert not rows
