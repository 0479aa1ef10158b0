"""Which pipelines an asset trusts, and whether an ID token is of one of them.

1. A publisher names a repository by its number, and its owner's: names can be taken by others.
2. The workflow is pinned to a ref, or to one commit; so what runs cannot be another file.
3. The ref is protected unless the publisher says that it need not be; events that run code of
   whoever proposes a change are never accepted.
4. Every line must match. A token gets what all publishers that match permit, and nothing else.

Source: requirements §5.1, §5.2 (5), §5.3; R-139, R-140.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from muniment.core.errors import BadBody
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.identity.records import Attestation, Issuer, Line, Publisher, TrustRule
from muniment.server.identity.rules.id_tokens import claim_text, claims_digest, refused
from muniment.server.identity.rules.providers import NEVER, PROVIDERS, Provider, kept_claims

ISSUER_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
TEXT_MAX_CHARS: Final = 500
CLAIMS_MAX: Final = 20
PUBLISHERS_MAX: Final = 100
_KEPT_MAX_CHARS: Final = 500
_PERMIT: Final = re.compile(r"register|evidence|use|promote:[a-z][a-z0-9-]{0,62}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NAMES: Final = {"identity": "repository_id", "owner": "owner_id"}

Problem = dict[str, Any]


def _problem(field: str, message: str, fix: str) -> Problem:
    return {"field": field, "message": message, "fix": fix}


def refuse(problems: Sequence[Problem]) -> None:
    """Go on only if there are no problems.

    Raises:
        BadBody: there are; it has all of them.
    """
    if problems:
        first = f"`{problems[0]['field']}`: {problems[0]['message']}"
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise BadBody(first + more, problems=list(problems))


def check_issuer(name: str, url: str) -> None:
    """Refuse an issuer that no token could name.

    Raises:
        BadBody: the name is no slug, or the URL is not http(s) or has more than host and path.
    """
    problems = []
    if not ISSUER_NAME.fullmatch(name):
        problems.append(
            _problem(
                "name",
                "expected a lower-case word such as `github`",
                "use letters, digits and hyphens, a letter first",
            )
        )
    if not _is_issuer_url(url):
        problems.append(
            _problem(
                "url",
                f"expected the `iss` of its tokens, found {url[:100]!r}",
                "write it as tokens have it, such as https://token.actions.githubusercontent.com",
            )
        )
    refuse(problems)


def _is_issuer_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= TEXT_MAX_CHARS
    bare = not (parts.query or parts.fragment or parts.username is not None or "#" in url)
    named = bool(parts.hostname) and port != 0
    return plain and bare and named and parts.scheme in {"https", "http"} and "?" not in url


def clean_rule(issuer: Issuer, rule: TrustRule) -> TrustRule:
    """Return `rule` with everything spelled out: whole workflow, events of the provider.

    Raises:
        BadBody: it lacks what such an issuer's publishers must pin, or asks for what tokens of it
            never say; `problems` has all.
    """
    provider = PROVIDERS[issuer.provider]
    problems = [*_missing(provider, rule), *_impossible(issuer, provider, rule)]
    refuse(problems + _texts(rule))
    return TrustRule(
        identity=rule.identity,
        owner=rule.owner,
        repository=rule.repository,
        workflow=_whole_workflow(issuer, rule),
        environment=rule.environment,
        ref=rule.ref,
        protected=rule.protected and provider.protected is not None,
        events=tuple(sorted(set(rule.events or provider.events))),
        claims=dict(sorted(rule.claims.items())),
    )


def _missing(provider: Provider, rule: TrustRule) -> list[Problem]:
    values = {"owner": rule.owner, "workflow": rule.workflow, "ref": rule.ref}
    return [
        _problem(
            _NAMES.get(name, name),
            "must be pinned for this provider",
            f"give what its tokens say as `{getattr(provider, name)}`",
        )
        for name in provider.pins
        if not values[name]
    ]


def _impossible(issuer: Issuer, provider: Provider, rule: TrustRule) -> list[Problem]:
    said = {
        "owner": rule.owner,
        "repository": rule.repository,
        "workflow": rule.workflow,
        "environment": rule.environment,
        "ref": rule.ref,
        "event": rule.events,
    }
    problems = [
        _problem(
            _NAMES.get(name, name),
            f"tokens of a {issuer.provider} issuer do not say it",
            "leave it out, or name a claim in `claims`",
        )
        for name, value in said.items()
        if value and getattr(provider, name) is None
    ]
    never = sorted(NEVER & set(rule.events))
    if never:
        message = f"{', '.join(never)} runs code of whoever proposes a change"
        problems.append(_problem("events", message, "promote and register what was merged"))
    if rule.workflow and provider.workflow_sha and not _is_pinned(rule.workflow):
        message = f"expected a pinned workflow such as PATH@refs/heads/main, found {rule.workflow[:200]!r}"
        problems.append(_problem("workflow", message, "append @REF, or @ and the commit's hash"))
    if len(rule.claims) > CLAIMS_MAX or len(rule.events) > CLAIMS_MAX:
        problems.append(
            _problem("claims", f"expected at most {CLAIMS_MAX} claims and events", "ask for fewer")
        )
    return problems


def _texts(rule: TrustRule) -> list[Problem]:
    texts = {
        "repository_id": rule.identity,
        "owner_id": rule.owner,
        "repository": rule.repository,
        "workflow": rule.workflow,
        "environment": rule.environment,
        "ref": rule.ref,
        **{f"claims/{name}": value for name, value in rule.claims.items()},
        **{f"claims (the name {name[:50]!r})": name for name in rule.claims},
        **{f"events[{index}]": value for index, value in enumerate(rule.events)},
    }
    return [
        _problem(field, f"expected 1 to {TEXT_MAX_CHARS} printable characters", "as tokens have it")
        for field, value in texts.items()
        if value is not None and not (0 < len(value) <= TEXT_MAX_CHARS and value.isprintable())
    ]


def _is_pinned(workflow: str) -> bool:
    path, _, ref = workflow.rpartition("@")
    return bool(path) and (ref.startswith("refs/") or _COMMIT.fullmatch(ref) is not None)


def _whole_workflow(issuer: Issuer, rule: TrustRule) -> str | None:
    """Return the workflow as tokens have it, where only its path in the repository was given."""
    if rule.workflow is None or rule.repository is None or not rule.workflow.startswith("."):
        return rule.workflow
    if issuer.provider == "gitlab":
        return f"{urlsplit(issuer.url).netloc}/{rule.repository}//{rule.workflow}"
    return f"{rule.repository}/{rule.workflow}"


def clean_permits(permits: Iterable[str]) -> tuple[str, ...]:
    """Return permits in order, each once.

    Raises:
        BadBody: one is none, or there is none.
    """
    found = sorted(set(permits))
    wrong = [each for each in found if not _PERMIT.fullmatch(each)]
    if wrong or not found:
        shown = ", ".join(each[:80] for each in wrong) or "none"
        message = f"expected `register`, `evidence`, `use` or `promote:ENVIRONMENT`, found {shown}"
        refuse([_problem("permits", message, "say what its tokens may do")])
    return tuple(found)


def warnings(issuer: Issuer, rule: TrustRule, permits: Sequence[str]) -> list[str]:
    """Return what whoever trusts such a pipeline should know, if anything."""
    provider = PROVIDERS[issuer.provider]
    said = []
    if any(each.startswith("promote:") for each in permits):
        if provider.environment is not None and rule.environment is None:
            said.append(
                "no environment is asked for: any job of the workflow may promote; with an environment"
                " that has required reviewers a second person stands between"
            )
        if provider.protected is not None and not rule.protected:
            said.append("whoever may push to an unprotected ref may promote")
    if issuer.provider in {"google", "generic"} and not rule.claims:
        said.append("any workload with this subject is trusted: nothing says which code it runs")
    return said


def short(identity: str) -> str:
    """Return what stands for an identity that is too long for a name: 32 digits of its SHA-256."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


# --- matching ----------------------------------------------------------------------------------


def lines(publisher: Publisher, claims: Mapping[str, Any]) -> list[Line]:
    """Return everything the publisher asks for beside what `claims` say, line by line."""
    rule, provider = publisher.rule, PROVIDERS[publisher.issuer.provider]
    found = [
        _line("issuer", "iss", publisher.issuer.url, claims),
        _line("repository id", provider.identity, rule.identity, claims),
    ]
    if provider.owner and rule.owner is not None:
        found.append(_line("owner id", provider.owner, rule.owner, claims))
    if provider.workflow and rule.workflow is not None:
        found.append(_workflow(provider, rule.workflow, claims))
    if provider.environment and rule.environment is not None:
        found.append(_line("environment", provider.environment, rule.environment, claims))
    if provider.ref and rule.ref is not None:
        found.append(_line("ref", provider.ref, rule.ref, claims))
    if provider.protected and rule.protected:
        found.append(_line("protected ref", provider.protected, "true", claims))
    if provider.event:
        found.append(_event(provider.event, rule.events, claims))
    found += [_line(f"claim {name}", name, value, claims) for name, value in rule.claims.items()]
    return found


def _line(what: str, claim: str, expected: str, claims: Mapping[str, Any]) -> Line:
    found = claim_text(claims, claim)
    return Line(what, claim, expected, found, found == expected)


def _workflow(provider: Provider, expected: str, claims: Mapping[str, Any]) -> Line:
    assert provider.workflow is not None
    path, _, ref = expected.rpartition("@")
    if provider.workflow_sha is None or not _COMMIT.fullmatch(ref):
        return _line("workflow", provider.workflow, expected, claims)
    said = claim_text(claims, provider.workflow)
    sha = claim_text(claims, provider.workflow_sha)
    found = None if said is None else f"{said.rpartition('@')[0]}@{sha}"
    return Line("workflow", provider.workflow, expected, found, bool(path) and found == expected)


def _event(claim: str, expected: Sequence[str], claims: Mapping[str, Any]) -> Line:
    found = claim_text(claims, claim)
    matches = found in expected and found not in NEVER
    return Line("event", claim, " or ".join(expected), found, matches)


def matches(publisher: Publisher, claims: Mapping[str, Any]) -> bool:
    """Say whether a token with `claims` is of this publisher."""
    return all(line.matches for line in lines(publisher, claims))


def closest(publishers: Iterable[Publisher], claims: Mapping[str, Any]) -> list[Line]:
    """Return the lines that do not match of the publisher that comes closest; none if there is none."""
    failed = [[line for line in lines(each, claims) if not line.matches] for each in publishers]
    return min(failed, key=len, default=[])


# --- what a token gets -------------------------------------------------------------------------


def grants(publishers: Iterable[Publisher]) -> tuple[Grant, ...]:
    """Return the roles that these publishers together give, each once, in order."""
    found = {
        (_role(permit), each.namespace, each.asset)
        for each in publishers
        for permit in each.permits
    }
    return tuple(
        Grant(Role(role), Scope(namespace, asset)) for role, namespace, asset in sorted(found)
    )


_ROLES: Final = {
    "register": Role.CONTRIBUTOR,
    "evidence": Role.ATTESTER,
    "use": Role.CONSUMER,
}


def _role(permit: str) -> Role:
    return _ROLES.get(permit, Role.PROMOTER)


def attestation(
    issuer: Issuer, claims: Mapping[str, Any], publishers: Sequence[Publisher]
) -> Attestation:
    """Return what is kept of a token's claims with every act, and where it may promote.

    Raises:
        IdTokenRefused: a claim that is kept is longer than 500 characters, or not printable.
    """
    asked = dict.fromkeys(name for each in publishers for name in each.rule.claims)
    kept: dict[str, str] = {}
    for name in dict.fromkeys((*kept_claims(PROVIDERS[issuer.provider]), *asked)):
        text = claim_text(claims, name)
        if not text:
            continue
        if len(text) > _KEPT_MAX_CHARS or not text.isprintable():
            raise refused("claims", f"expected `{name}` as at most {_KEPT_MAX_CHARS} characters")
        kept[name] = text
    promotes = {
        (each.namespace, each.asset, permit.removeprefix("promote:"))
        for each in publishers
        for permit in each.permits
        if permit.startswith("promote:")
    }
    return Attestation(
        claims=kept,
        claims_sha256=claims_digest(claims),
        publishers=tuple(each.id for each in publishers),
        promotes=tuple(sorted(promotes)),
    )


# --- as JSON -----------------------------------------------------------------------------------


def rule_json(rule: TrustRule) -> dict[str, Any]:
    """Return a rule as the ledger and the API write it."""
    return {
        "identity": rule.identity,
        "owner": rule.owner,
        "repository": rule.repository,
        "workflow": rule.workflow,
        "environment": rule.environment,
        "ref": rule.ref,
        "protected": rule.protected,
        "events": list(rule.events),
        "claims": dict(rule.claims),
    }


def rule_from(fields: Mapping[str, Any]) -> TrustRule:
    """Read what `rule_json` wrote."""
    return TrustRule(**{**fields, "events": tuple(fields["events"])})


def attestation_json(attestation: Attestation | None) -> dict[str, Any] | None:
    """Return an attestation as token and ledger keep it; None is None."""
    if attestation is None:
        return None
    return {
        "claims": dict(attestation.claims),
        "claims_sha256": attestation.claims_sha256,
        "publishers": [str(each) for each in attestation.publishers],
        "promotes": [list(each) for each in attestation.promotes],
    }
