"""Who may do what: the table, and what holds for any grants."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadBody, Conflict, NotAllowed, NotAuthenticated
from muniment.server.http.records import (
    EVERYTHING,
    Caller,
    Grant,
    PrincipalKind,
    Role,
    Scope,
    Verb,
)
from muniment.server.identity.records import CameBy, CameIn, Credential, Token
from muniment.server.identity.rules import access as rules

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)

scopes = st.one_of(
    st.just(EVERYTHING),
    st.builds(Scope, st.sampled_from("nm")),
    st.builds(Scope, st.sampled_from("nm"), st.sampled_from("ab")),
)
grants = st.builds(Grant, st.sampled_from(Role), scopes)
many = st.lists(grants, max_size=5).map(tuple)
verbs = st.sampled_from(Verb)
guarded = [verb for verb in Verb if verb not in (Verb.NOTHING, Verb.ANONYMOUS)]


def a_caller(*held: Grant) -> Caller:
    return Caller(uuid.UUID(int=1), PrincipalKind.PERSON, "ada", held, uuid.UUID(int=2))


def a_token(**changes: object) -> Token:
    values: dict[str, object] = {
        "id": uuid.UUID(int=2),
        "principal_id": uuid.UUID(int=1),
        "label": "laptop",
        "limits": None,
        "created_at": NOW,
        "expires_at": NOW + 10 * DAY,
        "revoked_at": None,
        "last_used_at": None,
    }
    return Token(**(values | changes))  # type: ignore[arg-type]


# --- verbs -------------------------------------------------------------------------------------


def test_the_table_is_what_we_say_it_is() -> None:
    shown = {role.value: sorted(verb.value for verb in rules.VERBS[role]) for role in Role}
    contributor = ["annotate", "attest", "create", "read", "register", "request", "use"]
    approver = ["read", "read_log", "request", "stop"]
    assert shown == {
        "viewer": ["read"],
        "attester": ["attest", "read"],
        "consumer": ["read", "use"],
        "contributor": contributor,
        "promoter": ["promote", "read"],
        "publisher": sorted([*contributor, "alias", "promote", "retire", "stop"]),
        "approver_platform": approver,
        "approver_product": approver,
        "approver_security": sorted([*approver, "audit", "release", "triage"]),
        "approver_governance": sorted([*approver, "audit", "govern", "release", "retire"]),
        "approver_technical": approver,
        "approver_legal": approver,
        "auditor": ["audit", "observe", "read", "read_log", "read_principals"],
        "admin": sorted(verb.value for verb in guarded),
    }


@given(scopes, st.sampled_from(guarded))
def test_without_grants_nothing_is_allowed(scope: Scope, verb: Verb) -> None:
    assert not rules.allows((), verb, scope)
    assert not rules.allows_somewhere((), verb)


@given(many, scopes)
def test_what_needs_nothing_is_always_allowed(held: tuple[Grant, ...], scope: Scope) -> None:
    assert rules.allows(held, Verb.NOTHING, scope)
    assert rules.allows_somewhere(held, Verb.NOTHING)


@given(many, grants, verbs, scopes)
def test_more_grants_never_allow_less(
    held: tuple[Grant, ...], more: Grant, verb: Verb, scope: Scope
) -> None:
    if rules.allows(held, verb, scope):
        assert rules.allows((*held, more), verb, scope)


@given(many, verbs, scopes, scopes)
def test_what_is_allowed_in_a_scope_is_allowed_within_it(
    held: tuple[Grant, ...], verb: Verb, wide: Scope, narrow: Scope
) -> None:
    if wide.covers(narrow) and rules.allows(held, verb, wide):
        assert rules.allows(held, verb, narrow)


@given(many, verbs, scopes)
def test_what_is_allowed_here_is_allowed_somewhere(
    held: tuple[Grant, ...], verb: Verb, scope: Scope
) -> None:
    if rules.allows(held, verb, scope):
        assert rules.allows_somewhere(held, verb)


@given(
    many, st.sampled_from(guarded), st.builds(Scope, st.sampled_from("nm"), st.sampled_from("ab"))
)
def test_visible_scopes_are_exactly_where_the_verb_is_allowed(
    held: tuple[Grant, ...], verb: Verb, asset: Scope
) -> None:
    visible = rules.visible_scopes(held, verb)
    shown = visible is None or any(scope.covers(asset) for scope in visible)
    assert shown == rules.allows(held, verb, asset)
    for one in visible or []:
        assert not any(other != one and other.covers(one) for other in visible or [])


# --- narrowing ---------------------------------------------------------------------------------


@given(many, st.none() | many, verbs, scopes)
def test_a_token_gives_what_both_its_principal_and_its_limits_allow(
    held: tuple[Grant, ...], limits: tuple[Grant, ...] | None, verb: Verb, scope: Scope
) -> None:
    given_ = rules.allows(rules.narrow(held, limits), verb, scope)
    if given_:
        assert rules.allows(held, verb, scope)
        assert limits is None or rules.allows(limits, verb, scope)


@given(many)
def test_a_token_without_limits_gives_all(held: tuple[Grant, ...]) -> None:
    assert rules.narrow(held, None) == held


@given(scopes, many)
def test_limits_within_an_administrators_roles_are_given_whole(
    scope: Scope, limits: tuple[Grant, ...]
) -> None:
    wanted = tuple(g for g in limits if g.role not in rules.APPROVERS and scope.covers(g.scope))
    given_ = rules.narrow((Grant(Role.ADMIN, scope),), wanted)
    assert set(given_) == set(wanted)


@given(many, many)
def test_nobody_becomes_an_approver_by_narrowing(
    held: tuple[Grant, ...], limits: tuple[Grant, ...]
) -> None:
    approving = {g.role for g in rules.narrow(held, limits)} & rules.APPROVERS
    assert approving <= {g.role for g in held}


@given(many, many)
def test_what_check_within_lets_pass_is_within(
    held: tuple[Grant, ...], wanted: tuple[Grant, ...]
) -> None:
    try:
        rules.check_within(held, wanted)
    except NotAllowed:
        assert set(rules.narrow(held, wanted)) != set(wanted)
    else:
        assert set(wanted) <= set(rules.narrow(held, wanted))


def test_a_refused_limit_says_which() -> None:
    with pytest.raises(NotAllowed, match="not admin on asset `team-a/fraud`"):
        rules.check_within(
            (Grant(Role.VIEWER, EVERYTHING),), [Grant(Role.ADMIN, Scope("team-a", "fraud"))]
        )


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (EVERYTHING, "everything"),
        (Scope("team-a"), "namespace `team-a`"),
        (Scope("team-a", "fraud"), "asset `team-a/fraud`"),
    ],
)
def test_a_scope_in_words(scope: Scope, words: str) -> None:
    assert rules.describe(scope) == words


@given(many)
def test_grants_as_json_keep_their_order(held: tuple[Grant, ...]) -> None:
    written = rules.grants_as_json(held)
    assert written is not None
    assert (
        tuple(Grant(Role(str(g["role"])), Scope(g["namespace"], g["asset"])) for g in written)
        == held
    )
    assert rules.grants_as_json(None) is None


@given(grants, grants)
def test_different_grants_have_different_keys(one: Grant, other: Grant) -> None:
    mine = uuid.UUID(int=1)
    assert (rules.grant_key(mine, one) == rules.grant_key(mine, other)) == (one == other)


# --- tokens made with tokens -------------------------------------------------------------------


def test_a_token_hands_on_its_own_limits_and_expiry() -> None:
    limits = (Grant(Role.VIEWER, Scope("team-a")),)
    own = a_token(limits=limits)
    assert rules.inherited(a_caller(*limits), own, None) == (own.expires_at, limits)


def test_a_token_may_hand_on_less() -> None:
    held = Grant(Role.PUBLISHER, Scope("team-a"))
    less = (Grant(Role.VIEWER, Scope("team-a", "fraud")),)
    assert rules.inherited(a_caller(held), a_token(), less) == (NOW + 10 * DAY, less)


def test_a_token_may_not_hand_on_more() -> None:
    more = (Grant(Role.PUBLISHER, EVERYTHING),)
    with pytest.raises(NotAllowed):
        rules.inherited(a_caller(Grant(Role.VIEWER, EVERYTHING)), a_token(), more)


def test_who_came_without_a_token_is_bound_by_roles_alone() -> None:
    assert rules.inherited(a_caller(), None, None) == (None, None)


def test_how_somebody_came_in_is_handed_on_to_their_own_tokens_alone() -> None:
    ada, other = uuid.UUID(int=1), uuid.UUID(int=9)
    login = CameIn(CameBy.ISSUER)
    assert rules.came_in(None, None, ada) == CameIn(CameBy.TOKEN)
    assert rules.came_in(a_caller(), a_token(came_in=login), ada) == login
    made = CameIn(CameBy.TOKEN, other)
    assert rules.came_in(a_caller(), a_token(came_in=made), ada) == made
    assert rules.came_in(a_caller(), None, ada) is None
    # Whoever makes one for somebody else could use it, however they came in themselves.
    assert rules.came_in(a_caller(), a_token(came_in=login), other) == CameIn(CameBy.TOKEN, ada)
    for one in (None, login, made, CameIn(CameBy.TOKEN)):
        assert rules.came_in_of(*rules.came_in_row(one)) == one
    assert rules.came_in_json(made) == {"by": "token", "made_by": str(other)}
    assert rules.came_in_json(login) == {"by": "issuer", "made_by": None}
    assert rules.came_in_json(None) is None
    assert (login.own, made.own) == (True, False)


def test_the_last_administrator_stays() -> None:
    ada, ben = uuid.UUID(int=1), uuid.UUID(int=2)
    with pytest.raises(Conflict, match="last administrator"):
        rules.check_admin_left([ada], ada)
    rules.check_admin_left([ada, ben], ada)
    rules.check_admin_left([ben], ada)
    rules.check_admin_left([], ada)


# --- token text --------------------------------------------------------------------------------


@given(st.uuids(), st.binary(min_size=32, max_size=32))
def test_a_tokens_text_shows_its_id_and_carries_its_secret(key: uuid.UUID, secret: bytes) -> None:
    text = rules.token_text(key, secret)
    prefix, shown, rest = text.split("_")
    assert (prefix, shown) == ("mun", rules.short_id(key))
    assert len(shown) == 26
    assert len(rest) == 43
    assert text.isalnum() is False
    assert text.replace("_", "").isalnum()


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_secrets_make_different_tokens(one: bytes, other: bytes) -> None:
    key = uuid.UUID(int=7)
    same = rules.token_text(key, one) == rules.token_text(key, other)
    assert same == (one == other)


def test_the_ledger_never_holds_the_hash_that_opens() -> None:
    hashed = rules.token_hash("mun_x_y")
    witness = rules.hash_witness(hashed)
    assert hashed.hex() not in witness
    assert witness != rules.hash_witness(rules.token_hash("mun_x_z"))


# --- using a token -----------------------------------------------------------------------------


def a_credential(
    text: str, *, usable: bool = True, expires_at: dt.datetime = NOW + DAY
) -> Credential:
    return Credential(rules.token_hash(text), expires_at, usable, None, a_caller())


def test_a_good_token_opens() -> None:
    credential = a_credential("mun_a")
    assert rules.check_credential(credential, rules.token_hash("mun_a"), NOW) is credential


@pytest.mark.parametrize(
    "credential",
    [
        None,
        a_credential("mun_b"),
        a_credential("mun_a", usable=False),
        a_credential("mun_a", expires_at=NOW),
    ],
    ids=["unknown", "another", "revoked", "expired"],
)
def test_a_bad_token_does_not_and_nobody_learns_why(credential: Credential | None) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        rules.check_credential(credential, rules.token_hash("mun_a"), NOW)
    assert "unknown, expired or revoked" in refused.value.message


# --- expiry ------------------------------------------------------------------------------------


def test_by_default_a_token_is_good_for_ninety_days() -> None:
    assert rules.expiry(NOW, None, cap=None) == NOW + 90 * DAY


def test_or_until_the_time_it_is_asked_for() -> None:
    assert rules.expiry(NOW, NOW + 365 * DAY, cap=None) == NOW + 365 * DAY
    assert rules.expiry(NOW, NOW + DAY, cap=NOW + DAY) == NOW + DAY


def test_or_as_long_as_the_one_that_makes_it() -> None:
    assert rules.expiry(NOW, None, cap=NOW + DAY) == NOW + DAY
    assert rules.expiry(NOW, None, cap=NOW + 100 * DAY) == NOW + 90 * DAY


@given(st.datetimes(timezones=st.just(dt.UTC)), st.none() | st.datetimes(timezones=st.just(dt.UTC)))
def test_no_token_outlives_a_year_or_its_maker(
    wanted: dt.datetime, cap: dt.datetime | None
) -> None:
    try:
        expires_at = rules.expiry(NOW, wanted, cap=cap)
    except BadBody:
        assert cap is not None or not NOW < wanted <= NOW + 365 * DAY
    else:
        assert expires_at == wanted
        assert NOW < expires_at <= NOW + 365 * DAY
        assert cap is None or expires_at <= cap


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BadBody, match="with a zone"):
        rules.expiry(NOW, dt.datetime(2026, 12, 1), cap=None)  # noqa: DTZ001 -- that is the point


def test_what_outlives_its_maker_is_refused_with_a_way_out() -> None:
    with pytest.raises(BadBody) as refused:
        rules.expiry(NOW, NOW + 2 * DAY, cap=NOW + DAY)
    assert "ask an administrator" in refused.value.problems[0]["fix"]


# --- names -------------------------------------------------------------------------------------


@given(st.text(max_size=250) | st.just("ada"))
def test_a_name_is_kept_in_one_form_or_refused(text: str) -> None:
    try:
        name = rules.clean_name(text)
    except BadBody:
        assert text != "ada"
    else:
        assert rules.clean_name(name) == name
        assert 0 < len(name) <= 200
        assert "\0" not in name


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a\nb", "a\0b", "x" * 201, "\u202eada"])
def test_a_name_that_misleads_is_refused(name: str) -> None:
    with pytest.raises(BadBody):
        rules.clean_name(name)


def test_an_asset_needs_its_namespace() -> None:
    rules.check_scope(EVERYTHING)
    rules.check_scope(Scope("team-a", "fraud"))
    with pytest.raises(BadBody, match="namespace"):
        rules.check_scope(Scope(None, "fraud"))


@pytest.mark.parametrize("text", ["x" * 31, "x" * 513, "x" * 40 + " ", "ä" * 40, "x" * 40 + "\n"])
def test_a_weak_bootstrap_token_is_refused(text: str) -> None:
    with pytest.raises(BadBody, match="MUNIMENT_BOOTSTRAP_TOKEN"):
        rules.check_bootstrap_token(text)


def test_a_long_bootstrap_token_is_taken() -> None:
    rules.check_bootstrap_token("0123456789abcdef" * 4)
