"""What a person's ID token must be, and what groups give: pure."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadBody, IdTokenRefused
from muniment.server.http.records import EVERYTHING, Grant, Role, Scope
from muniment.server.identity.records import GroupRole, LoginIssuer, NewLoginIssuer, Person
from muniment.server.identity.rules import id_tokens, logins
from tests.support.issuer import b64

AT = dt.datetime(2026, 4, 20, 9, 0, tzinfo=dt.UTC)
NOW = int(AT.timestamp())
URL = "https://login.example"
GOOD = {"iss": URL, "aud": "cli", "iat": NOW, "exp": NOW + 300, "sub": "7"}
VIEWER, ADMIN = Grant(Role.VIEWER, EVERYTHING), Grant(Role.ADMIN, EVERYTHING)
OWN = Grant(Role.PUBLISHER, Scope("team-a", "fraud"))
ROLES = (GroupRole("admins", ADMIN), GroupRole("all", VIEWER), GroupRole("admins", OWN))


def new(**over: Any) -> NewLoginIssuer:
    said = {"name": "corp", "url": URL, "client_id": "cli", "groups_claim": "groups"}
    return NewLoginIssuer(**{**said, "scopes": ("groups",), "roles": ROLES, **over})


def issuer(**over: Any) -> LoginIssuer:
    made = logins.clean_issuer(new(**over))
    fields = {name: getattr(made, name) for name in NewLoginIssuer.__slots__}
    return LoginIssuer(**fields, id=uuid.UUID(int=1), created_at=AT)


def check(**claims: Any) -> tuple[bytes, dt.datetime]:
    said = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    header = {"alg": "RS256", "kid": "one"}
    parts = [b64(json.dumps(each).encode()) for each in (header, said)]
    return logins.check(id_tokens.read(".".join([*parts, b64(b"s")])), client_id="cli", now=AT)


def reason_of(call: Any) -> Any:
    with pytest.raises(IdTokenRefused) as found:
        call()
    return found.value.extra["reason"]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": ["cli", "other"]}, "audience"),
        ({"aud": ["cli", "cli"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "audience"),
        ({"azp": "other"}, "azp"),
        ({"azp": ["cli"]}, "azp"),
        ({"typ": "Bearer"}, "kind"),
        ({"token_use": "access"}, "kind"),
        ({"events": {}}, "kind"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"exp": NOW - 31}, "expired"),
        ({"iat": NOW + 31}, "issued_at"),
        ({"iat": NOW - 631}, "stale"),
        ({"jti": 7}, "id"),
    ],
)
def test_what_is_no_persons_token(claims: dict[str, Any], reason: str) -> None:
    assert reason_of(lambda: check(**claims)) == reason


def test_a_good_token_is_known_by_what_it_is() -> None:
    for said in ({}, {"aud": ["cli"]}, {"azp": "cli"}, {"typ": "ID"}, {"token_use": "id"}):
        assert check(**said)[1] == AT + dt.timedelta(seconds=330)
    assert check(iat=NOW - 630)[0] != check()[0]
    assert check(jti="a", sub="1")[0] == check(jti="a", sub="2")[0] != check(jti="b")[0]


def test_a_person_is_a_subject_with_groups() -> None:
    who = logins.person(issuer(), {"sub": "7", "groups": ["all", "x"], "email": "a@b.example"})
    assert who == Person("7", frozenset({"all", "x"}), "a@b.example")
    assert logins.person(issuer(), {"sub": "7", "groups": "all"}).groups == {"all"}
    bare = logins.person(issuer(), {"sub": "7", "name": "\n", "email": 7})
    assert (bare.groups, bare.shown) == (frozenset(), None)
    long = logins.person(issuer(), {"sub": "7", "name": " " + "x" * 300})
    assert long.shown == "x" * 200
    for claims, reason in (
        ({}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "7", "groups": {"all": 1}}, "groups"),
        ({"sub": "7", "groups": ["all", 1]}, "groups"),
    ):
        assert reason_of(lambda claims=claims: logins.person(issuer(), claims)) == reason


def test_what_a_principal_is_called_is_one_subjects() -> None:
    assert logins.principal_name(issuer(), "7") == "corp:7"
    odd = ["x" * 250, "x" * 251, "7 ", "e\N{COMBINING ACUTE ACCENT}"]
    names = [logins.principal_name(issuer(), each) for each in odd]
    assert len(set(names)) == len(odd)
    assert all(len(each) == len("corp:") + 32 for each in names)


def test_an_issuer_is_written_in_order_and_once() -> None:
    made = logins.clean_issuer(new(roles=(*ROLES, ROLES[0]), scopes=("groups", "openid")))
    assert made.scopes == ("openid", "groups")
    assert [each.grant.role for each in made.roles] == [Role.ADMIN, Role.PUBLISHER, Role.VIEWER]
    assert logins.clean_roles(reversed(ROLES)) == made.roles
    assert logins.roles_json(made.roles)[1] == {
        "group": "admins", "role": "publisher", "namespace": "team-a", "asset": "fraud",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("over", "fields"),
    [
        ({"name": "X", "url": "ftp://x"}, ["name", "url"]),
        ({"client_id": "a\nb", "groups_claim": ""}, ["client_id", "groups_claim"]),
        ({"scopes": ("a b",)}, ["scopes"]),
        ({"scopes": ("",)}, ["scopes"]),
        ({"scopes": tuple(map(str, range(21)))}, ["scopes"]),
        ({"roles": (GroupRole("", VIEWER), GroupRole("x\n", VIEWER))}, ["roles[0].group", "roles[1].group"]),
        ({"roles": (GroupRole("x", VIEWER),) * 501}, ["roles"]),
    ],
)  # fmt: skip
def test_what_is_no_login_issuer(over: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(BadBody) as refused:
        logins.clean_issuer(new(**over))
    assert [each["field"] for each in refused.value.problems] == fields


def test_groups_give_what_is_listed_and_nothing_else() -> None:
    assert logins.given(issuer(), frozenset()) == frozenset()
    assert logins.given(issuer(), frozenset({"Admins", "admin"})) == frozenset()
    assert logins.given(issuer(), frozenset({"admins"})) == {ADMIN, OWN}


GRANTS = st.sampled_from([VIEWER, ADMIN, OWN, Grant(Role.VIEWER, Scope("team-a"))])


@given(st.dictionaries(GRANTS, st.booleans()), st.frozensets(GRANTS))
def test_a_login_changes_only_what_groups_gave(
    held: dict[Grant, bool], wanted: frozenset[Grant]
) -> None:
    change = logins.change(held, wanted)
    by_hand = {grant for grant, by_groups in held.items() if not by_groups}
    after = (set(held) | set(change.give)) - set(change.take)
    assert after == by_hand | wanted
    assert not by_hand & set(change.take)
    assert not set(held) & set(change.give)
    assert change.left == bool(after)
    assert logins.change(
        {**dict.fromkeys(wanted, True), **dict.fromkeys(by_hand, False)}, wanted
    ) == (logins.Change((), (), left=bool(after)))
