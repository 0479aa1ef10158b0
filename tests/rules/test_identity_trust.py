"""What an ID token must be, whose keys count, and which pipelines an asset trusts: pure."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadBody, DestinationDown, IdTokenRefused
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.identity.records import Issuer, Publisher, TrustRule
from muniment.server.identity.rules import id_tokens, issuer_keys, publishers
from muniment.server.identity.rules.providers import NEVER, PROVIDERS, kept_claims
from tests.support.issuer import b64

AT = dt.datetime(2026, 4, 20, 9, 0, tzinfo=dt.UTC)
NOW = int(AT.timestamp())
URL = "https://ci.example"
HEADER = {"alg": "RS256", "kid": "one"}
GOOD = {"iss": URL, "aud": "here", "iat": NOW, "exp": NOW + 300, "jti": "a"}
SHA = "8c13517721d6ae11cac357e58b9c81e988dc86e4"


def text_of(header: Any = HEADER, claims: Any = GOOD) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}.{b64(b'sig')}"


def reason_of(call: Any) -> Any:
    with pytest.raises(IdTokenRefused) as refused:
        call()
    return refused.value.extra["reason"]


def check(claims: dict[str, Any], *, single_use: bool = True) -> tuple[bytes, dt.datetime]:
    token = id_tokens.read(text_of(claims={**GOOD, **claims}))
    return id_tokens.check(token, audience="here", now=AT, single_use=single_use)


# --- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (id_tokens.MAX_CHARS + 1), "too_large"),
        ("a.b", "malformed"),
        ("=.b.c", "malformed"),
        ("a.b.c", "malformed"),
        (f"{b64(b'[]')}.{b64(b'{}')}.{b64(b'x')}", "bad_json"),
        (f"{b64(b'{')}.{b64(b'{}')}.{b64(b'x')}", "bad_json"),
        (text_of({**HEADER, "alg": "none"}), "algorithm"),
        (text_of({**HEADER, "jku": "x"}), "header"),
        (text_of({**HEADER, "typ": "at+jwt"}), "header"),
        (text_of({**HEADER, "kid": ""}), "key_id"),
        (text_of(claims={}), "issuer"),
    ],
)
def test_what_is_no_token(text: str, reason: str) -> None:
    assert reason_of(lambda: id_tokens.read(text)) == reason


@given(st.text(alphabet="abAB01-_.=\n{}", max_size=40))
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    with pytest.raises(IdTokenRefused):
        id_tokens.read(text)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": ["here"]}, "audience"),
        ({"aud": "there"}, "audience"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": True}, "expired"),
        ({"exp": "soon"}, "expired"),
        ({"exp": -1}, "expired"),
        ({"iat": NOW + 31}, "issued_at"),
        ({"nbf": NOW + 31}, "not_yet_valid"),
        ({"exp": NOW + 86_401}, "lifetime"),
        ({"iat": NOW - 86_431, "exp": NOW - 29}, "lifetime"),
        ({"jti": ""}, "id"),
    ],
)
def test_what_does_not_hold(claims: dict[str, Any], reason: str) -> None:
    assert reason_of(lambda: check(claims)) == reason


def test_clocks_may_differ_by_half_a_minute() -> None:
    for claims in ({"exp": NOW - 29, "iat": NOW - 300}, {"iat": NOW + 30}, {"nbf": NOW + 30}):
        _, until = check(claims)
        assert until > AT
    assert check({})[1] == AT + dt.timedelta(seconds=330)


def test_a_token_is_known_by_its_id_or_by_what_was_signed() -> None:
    assert check({"run": "1"})[0] == check({"run": "2"})[0]
    assert check({"jti": "b"})[0] != check({})[0]
    bare = {name: value for name, value in GOOD.items() if name != "jti"}
    tokens = [id_tokens.read(text_of(claims={**bare, "run": run})) for run in ("1", "1", "2")]
    known = [id_tokens.check(each, audience="here", now=AT, single_use=False)[0] for each in tokens]
    assert known[0] == known[1] != known[2]
    assert (
        reason_of(lambda: id_tokens.check(tokens[0], audience="here", now=AT, single_use=True))
        == "id"
    )


def test_claims_read_as_text() -> None:
    claims = {"yes": True, "no": False, "seven": 7, "text": "x", "list": ["x"], "half": 0.5}
    assert {name: id_tokens.claim_text(claims, name) for name in (*claims, "gone")} == {
        "yes": "true", "no": "false", "seven": "7", "text": "x", "list": None, "half": None,
        "gone": None,
    }  # fmt: skip
    assert id_tokens.claims_digest({"b": 1, "a": 2}) == id_tokens.claims_digest({"a": 2, "b": 1})


# --- keys --------------------------------------------------------------------------------------

_KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "weak": rsa.generate_private_key(public_exponent=65537, key_size=1024),
}
_P256 = ec.generate_private_key(ec.SECP256R1())


def jwk(name: str, **over: Any) -> dict[str, Any]:
    made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEYS[name].public_key()))
    return {**made, "kid": name, **over}


def ec_jwk(curve: ec.EllipticCurve, **over: Any) -> dict[str, Any]:
    key = ec.generate_private_key(curve) if not isinstance(curve, ec.SECP256R1) else _P256
    made = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {**made, "kid": "ec", **over}


def test_only_keys_that_can_check_a_token_count() -> None:
    listed = [
        jwk("rsa"),
        jwk("rsa", kid="enc", use="enc"),
        jwk("rsa", kid="other", alg="RS512"),
        jwk("rsa", kid=7),
        jwk("rsa", kid="broken", n=None),
        {"kty": "RSA", "kid": "empty"},
        jwk("weak"),
        ec_jwk(ec.SECP256R1()),
        ec_jwk(ec.SECP384R1(), kid="384"),
        {"kty": "oct", "kid": "secret", "k": "AA"},
        "no key",
    ]
    found = issuer_keys.read_keys(URL, json.dumps({"keys": listed}).encode())
    assert {name: key.algorithm_name for name, key in found.items()} == {
        "rsa": "RS256",
        "ec": "ES256",
    }


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b'{"keys": 1}', json.dumps({"keys": [jwk("rsa"), jwk("rsa")]}).encode()],
)
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises(DestinationDown):
        issuer_keys.read_keys(URL, data)


def test_discovery_is_of_exactly_that_issuer() -> None:
    document = {"issuer": URL, "jwks_uri": URL + "/keys"}
    assert issuer_keys.read_discovery(URL, json.dumps(document).encode()) == URL + "/keys"
    for wrong in ({**document, "issuer": URL + "/"}, {"issuer": URL}, {}):
        with pytest.raises(DestinationDown):
            issuer_keys.read_discovery(URL, json.dumps(wrong).encode())


def test_a_token_is_verified_by_the_key_it_names_and_its_algorithm() -> None:
    keys = issuer_keys.read_keys(
        URL, json.dumps({"keys": [jwk("rsa"), ec_jwk(ec.SECP256R1())]}).encode()
    )
    good = id_tokens.read(jwt.encode(GOOD, _KEYS["rsa"], "RS256", headers={"kid": "rsa"}))
    issuer_keys.verify(good, keys["rsa"])
    assert reason_of(lambda: issuer_keys.verify(good, keys["ec"])) == "algorithm"
    curved = id_tokens.read(jwt.encode(GOOD, _P256, "ES256", headers={"kid": "ec"}))
    issuer_keys.verify(curved, keys["ec"])
    forged = id_tokens.read(text_of())
    assert reason_of(lambda: issuer_keys.verify(forged, keys["rsa"])) == "signature"


# --- publishers --------------------------------------------------------------------------------


def issuer_of(provider: str) -> Issuer:
    return Issuer(uuid.UUID(int=1), "ci", URL, provider, AT)


RULES: dict[str, TrustRule] = {
    "github": TrustRule(
        identity="7", owner="9", repository="acme/fraud", environment="production",
        workflow=".github/workflows/promote.yml@refs/heads/main",
    ),
    "gitlab": TrustRule(
        identity="7", owner="9", repository="acme/fraud", workflow=f".gitlab-ci.yml@{SHA}"
    ),
    "buildkite": TrustRule(identity="7", owner="9", ref="main", workflow="release"),
    "google": TrustRule(identity="7"),
    "generic": TrustRule(identity="7", claims={"team": "risk"}),
}  # fmt: skip
SAID: dict[str, dict[str, Any]] = {
    "github": {
        "iss": URL, "repository_id": 7, "repository_owner_id": "9", "environment": "production",
        "job_workflow_ref": "acme/fraud/.github/workflows/promote.yml@refs/heads/main",
        "ref_protected": True, "event_name": "push", "run_id": "5", "ref": "refs/heads/main",
    },
    "gitlab": {
        "iss": URL, "project_id": "7", "namespace_id": "9", "ref_protected": "true",
        "ci_config_ref_uri": "ci.example/acme/fraud//.gitlab-ci.yml@refs/heads/x",
        "ci_config_sha": SHA, "pipeline_source": "web",
    },
    "buildkite": {
        "iss": URL, "pipeline_id": "7", "organization_id": "9", "build_branch": "main",
        "step_key": "release",
    },
    "google": {"iss": URL, "sub": "7"},
    "generic": {"iss": URL, "sub": "7", "team": "risk"},
}  # fmt: skip


def publisher(provider: str, *permits: str, **over: Any) -> Publisher:
    issuer = issuer_of(provider)
    rule = TrustRule(**{**{n: getattr(RULES[provider], n) for n in TrustRule.__slots__}, **over})
    return Publisher(
        id=uuid.UUID(int=2),
        namespace="default",
        asset="fraud",
        issuer=issuer,
        principal_id=uuid.UUID(int=3),
        rule=publishers.clean_rule(issuer, rule),
        permits=publishers.clean_permits(permits or ("register",)),
        created_at=AT,
    )


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_each_provider_matches_line_by_line_and_every_line_counts(provider: str) -> None:
    one, said = publisher(provider), SAID[provider]
    assert publishers.matches(one, said)
    for line in publishers.lines(one, said):
        for wrong in (None, "another", ["x"]):
            assert not publishers.matches(one, {**said, line.claim: wrong}), line
    kept = publishers.attestation(one.issuer, said, [one])
    assert kept.claims["iss"] == URL
    assert publishers.attestation_json(kept) is not None


def test_short_workflows_are_written_out() -> None:
    assert publisher("github").rule.workflow == SAID["github"]["job_workflow_ref"]
    gitlab = f"ci.example/acme/fraud//.gitlab-ci.yml@{SHA}"
    assert publisher("gitlab").rule.workflow == gitlab
    assert publishers.rule_from(publishers.rule_json(publisher("gitlab").rule)) == (
        publisher("gitlab").rule
    )


@pytest.mark.parametrize("event", sorted(NEVER))
def test_what_proposes_a_change_is_never_trusted(event: str) -> None:
    claim = PROVIDERS["github"].event
    assert claim is not None
    one = publisher("github")
    forced = Publisher(
        **{
            **{name: getattr(one, name) for name in Publisher.__slots__},
            "rule": TrustRule(identity="7", events=(event,), protected=False),
        }
    )
    assert not publishers.matches(forced, {**SAID["github"], claim: event})


@pytest.mark.parametrize(
    ("provider", "over", "fields"),
    [
        ("github", {"owner": None, "workflow": None}, {"owner_id", "workflow"}),
        ("buildkite", {"ref": None}, {"ref"}),
        ("google", {"workflow": "x@refs/heads/main", "owner": "1"}, {"workflow", "owner_id"}),
        ("generic", {"events": ("push",)}, {"event"}),
        ("github", {"events": ("pull_request",)}, {"events"}),
        ("github", {"workflow": "x@main"}, {"workflow"}),
        ("github", {"workflow": f"@{SHA}"}, {"workflow"}),
        ("github", {"events": tuple(map(str, range(21)))}, {"claims"}),
        ("generic", {"claims": {"a": "", "b\n": "x"}}, {"claims/a", "claims (the name 'b\\n')"}),
    ],
)
def test_what_cannot_be_trusted(provider: str, over: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(BadBody) as refused:
        publisher(provider, **over)
    assert {each["field"] for each in refused.value.problems} == fields


@pytest.mark.parametrize("permits", [(), ("promote",), ("promote:Prod",), ("register", "x")])
def test_what_is_no_permit(permits: tuple[str, ...]) -> None:
    with pytest.raises(BadBody):
        publishers.clean_permits(permits)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x", "https://", "https://x?y", "https://x#", "https://u@x", "https://x:0",
     "https://x:99999", "https://x y", "https://ü", "https://" + "x" * 500],
)  # fmt: skip
def test_what_is_no_issuer(url: str) -> None:
    with pytest.raises(BadBody):
        publishers.check_issuer("ci", url)
    publishers.check_issuer("ci", "https://ci.example:8443/path")
    with pytest.raises(BadBody):
        publishers.check_issuer("CI", "https://x")


def test_roles_follow_from_permits() -> None:
    both = [
        publisher("github", "register", "promote:production"),
        publisher("google", "evidence", "use"),
    ]
    at = Scope("default", "fraud")
    assert publishers.grants(both) == (
        Grant(Role.ATTESTER, at), Grant(Role.CONSUMER, at), Grant(Role.CONTRIBUTOR, at),
        Grant(Role.PROMOTER, at),
    )  # fmt: skip
    made = publishers.attestation(both[0].issuer, SAID["github"], both)
    assert made.promotes == (("default", "fraud", "production"),)
    assert publishers.attestation_json(None) is None


def test_who_trusts_much_is_told() -> None:
    def said(provider: str, *permits: str, **over: Any) -> int:
        one = publisher(provider, *permits, **over)
        return len(publishers.warnings(one.issuer, one.rule, one.permits))

    assert said("github", "promote:production") == 0
    assert said("github", "promote:production", environment=None, protected=False) == 2
    assert said("github", "register", environment=None) == 0
    assert said("buildkite", "promote:production") == 0
    assert (said("google"), said("generic")) == (1, 0)


def test_the_closest_publisher_is_shown() -> None:
    near, far = publisher("github"), publisher("github", owner="1", environment="x")
    claims = {**SAID["github"], "environment": "staging"}
    assert [line.claim for line in publishers.closest([far, near], claims)] == ["environment"]
    assert publishers.closest([], claims) == []


def test_what_is_kept_fits_into_the_log() -> None:
    one = publisher("generic")
    for wrong in ("x" * 501, "a\x1b"):
        said = {**SAID["generic"], "team": wrong}
        assert reason_of(lambda said=said: publishers.attestation(one.issuer, said, [one])) == (
            "claims"
        )
    assert len(publishers.short("x" * 500)) == 32
    for provider in PROVIDERS.values():
        assert not {"actor", "email", "user_login"} & set(kept_claims(provider))
